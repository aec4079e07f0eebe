import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, fetching } from "./download.ts";
import { answersHttp, freePort, isInstalled, startProgram, withRetry } from "./program.ts";

/** AWS as `moto` plays it: EC2 and IAM with their state, on loopback HTTP. It checks no signatures. */
export type Moto = {
  readonly url: string;
  /** One call as an administrator of the account; the answer's XML. An account is empty until it is first used. */
  readonly ask: (service: "ec2" | "iam", form: Readonly<Record<string, string>>, account: string) => Promise<string>;
  readonly stop: () => Promise<void>;
};

const requirements = join(import.meta.dirname, "moto-requirements.txt");

/** Why there is no moto to test against; undefined where there is one, or it can be fetched. */
export const motoMissing = (): string | undefined => {
  if (!isInstalled("python3", "-c", "import venv, ensurepip"))
    return "python3 is not installed: apt-get install python3-venv";
  return undefined;
};

export const startMoto = async (): Promise<Moto> => {
  const folder = await fetching("moto", environment);
  const { url, program } = await withRetry(async () => {
    const port = await freePort();
    const at = `http://127.0.0.1:${port}`;
    const started = await startProgram({
      // Not bin/moto_server: scripts name the folder that they were made in.
      program: join(folder, "bin/python"),
      args: ["-m", "moto.server", "-H", "127.0.0.1", "-p", String(port)],
      isReady: () => answersHttp(`${at}/moto-api/`),
      readyWithinMs: 60_000,
    });
    return { url: at, program: started };
  });
  return {
    url,
    ask: async (service, form, account) => {
      const answer = await fetch(url, {
        method: "POST",
        // moto reads from the signature which service is meant, and nothing else.
        headers: {
          "x-moto-account-id": account,
          authorization: `AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
        },
        body: new URLSearchParams(form),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${form["Action"]}: ${answer.status} ${text.slice(0, 500)}`);
      return text;
    },
    stop: program.stop,
  };
};

/** A Python environment with exactly what the requirements name, each file by its digest; made once for each version of them. */
const environment = (): string => {
  const version = createHash("sha256").update(readFileSync(requirements)).digest("hex").slice(0, 12);
  const folder = join(cacheFolder, `moto-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cacheFolder, { recursive: true });
  const unfinished = join(cacheFolder, `moto-${version}.${process.pid}`);
  const run = (program: string, ...args: readonly string[]): void =>
    void execFileSync(program, args, { stdio: "pipe", timeout: 5 * 60_000 });
  try {
    run("python3", "-m", "venv", unfinished);
    run(
      join(unfinished, "bin/python"),
      ...["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"],
      ...["--require-hashes", "-r", requirements],
    );
    if (!existsSync(folder)) renameSync(unfinished, folder);
    return folder;
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
};
