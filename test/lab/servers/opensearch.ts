import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheFolder } from "./download.ts";
import { answersHttp, freePort, isInstalled, type Program, startProgram, withRetry } from "./program.ts";

/** One OpenSearch node, from the jars its makers publish on Maven Central: no security plugin, no state management. */
export type OpenSearch = {
  readonly url: string;
  /** The answer's JSON; throws where it is not one. */
  readonly ask: (method: string, path: string, json?: unknown) => Promise<Record<string, unknown>>;
  /** As a crash of its machine would be, less the disk. */
  readonly kill: () => Promise<void>;
  /** On the same port and data. */
  readonly restart: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

const version = "2.19.1";
const sources = join(import.meta.dirname, "opensearch");
const copyDependencies = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
const fetchWithinMs = 5 * 60_000;

/** Why there is no OpenSearch to test against; undefined where there is one. Fetches it the first time. */
export const openSearchMissing = (): string | undefined => {
  if (process.env["REFLEX_LAB_OPENSEARCH"] === "0") return "switched off by REFLEX_LAB_OPENSEARCH=0";
  if (!isInstalled("javac", "-version")) return "no Java compiler: apt-get install openjdk-17-jdk-headless";
  if (!isInstalled("mvn", "--version")) return "no Maven: apt-get install maven";
  try {
    fetchedJars();
    return undefined;
  } catch (cause) {
    return `its jars cannot be fetched: ${cause instanceof Error ? cause.message.slice(0, 300) : ""}`;
  }
};

export const startOpenSearch = async (): Promise<OpenSearch> => {
  const jars = fetchedJars();
  const home = mkdtempSync(join(tmpdir(), "reflex-opensearch-"));
  for (const folder of ["config", "logs"]) mkdirSync(join(home, folder));
  const startOn = (port: number): Promise<Program> =>
    startProgram({
      program: "java",
      args: [
        ...["-Xms128m", "-Xmx384m", "-Djava.net.preferIPv4Stack=true", "-Dlog4j2.level=OFF"],
        ...["-cp", join(jars, "*"), join(sources, "Node.java"), home, String(port)],
      ],
      isReady: () => answersHttp(`http://127.0.0.1:${port}/_cluster/health?wait_for_status=yellow&timeout=1s`),
      readyWithinMs: 120_000,
    });
  const first = await withRetry(async () => {
    const port = await freePort();
    return { port, program: await startOn(port) };
  });
  const url = `http://127.0.0.1:${first.port}`;
  let { program } = first;
  return {
    url,
    ask: async (method, path, json) => {
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: { "content-type": "application/json" },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
        signal: AbortSignal.timeout(30_000),
      });
      return (await answer.json()) as Record<string, unknown>;
    },
    kill: async () => {
      const ended = new Promise((done) => program.child.once("exit", done));
      program.child.kill("SIGKILL");
      await ended;
    },
    restart: async () => {
      program = await startOn(first.port);
    },
    stop: async () => {
      await program.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
};

/** Maven checks what it downloads against the digests of its repository (`-C`), and keeps it for every program of this machine. */
const fetchedJars = (): string => {
  const folder = join(cacheFolder, `opensearch-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cacheFolder, { recursive: true });
  const unfinished = mkdtempSync(join(cacheFolder, "opensearch-"));
  try {
    copyFileSync(join(sources, "pom.xml"), join(unfinished, "pom.xml"));
    const jars = join(unfinished, "jars");
    execFileSync("mvn", ["-q", "-B", "-C", copyDependencies, `-DoutputDirectory=${jars}`], {
      cwd: unfinished,
      stdio: "pipe",
      timeout: fetchWithinMs,
    });
    if (!existsSync(folder)) renameSync(jars, folder);
    return folder;
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
};
