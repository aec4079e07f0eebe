import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, unpacked } from "./download.ts";
import { answersHttp, freePort, isInstalled, startProgram, withRetry } from "./program.ts";

/** Keycloak as its makers distribute it, with a database in its own memory. */
export type Keycloak = {
  readonly url: string;
  /** As the administrator of the server; the answer's JSON, or undefined where there is none. */
  readonly ask: (method: string, path: string, json?: unknown) => Promise<unknown>;
  readonly stop: () => Promise<void>;
};

const version = "26.7.3";
const distribution = {
  url: `https://repo1.maven.org/maven2/org/keycloak/keycloak-quarkus-dist/${version}/keycloak-quarkus-dist-${version}.tar.gz`,
  sha256: "77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47",
  name: `keycloak-${version}-dist`,
};
const builtFolder = join(cacheFolder, `keycloak-${version}`);
const memoryMax = "-Xms64m -Xmx512m";

/** Keycloak's own limit is a minute; checking a password is slow on purpose. */
const tokenMsMax = 30_000;

/** Why there is no Keycloak to test against; undefined where there is one, or it can be fetched. */
export const keycloakMissing = (): string | undefined => {
  if (process.env["REFLEX_LAB_KEYCLOAK"] === "0") return "switched off by REFLEX_LAB_KEYCLOAK=0";
  return isInstalled("java", "-version") ? undefined : "java is not installed: apt-get install openjdk-17-jre-headless";
};

export const startKeycloak = async (): Promise<Keycloak> => {
  const program = await built();
  const password = randomBytes(18).toString("hex");
  const { url, running } = await withRetry(async () => {
    const port = await freePort();
    const at = `http://127.0.0.1:${port}`;
    const started = await startProgram({
      program: join(program, "bin/kc.sh"),
      args: [
        ...["start", "--optimized", "--http-enabled=true", "--hostname-strict=false", "--cache=local"],
        ...["--http-host=127.0.0.1", `--http-port=${port}`, `--http-management-port=${await freePort()}`],
        // VALUE is a word of its own to H2 and the name of a column to Keycloak.
        "--db-url=jdbc:h2:mem:keycloak;NON_KEYWORDS=VALUE;DB_CLOSE_DELAY=-1",
      ],
      env: {
        KC_BOOTSTRAP_ADMIN_USERNAME: "admin",
        KC_BOOTSTRAP_ADMIN_PASSWORD: password,
        JAVA_OPTS_APPEND: `${memoryMax} -Djava.net.preferIPv4Stack=true`,
      },
      isReady: () => answersHttp(`${at}/realms/master`),
      readyWithinMs: 180_000,
    });
    return { url: at, running: started };
  });

  let kept: { readonly token: string; readonly untilMs: number } | undefined;
  const token = async (): Promise<string> => {
    if (kept !== undefined && performance.now() < kept.untilMs) return kept.token;
    const answer = await fetch(`${url}/realms/master/protocol/openid-connect/token`, {
      method: "POST",
      body: new URLSearchParams({ grant_type: "password", client_id: "admin-cli", username: "admin", password }),
    });
    if (!answer.ok) throw new Error(`the administrator does not get in: ${answer.status}`);
    const { access_token: got } = (await answer.json()) as { access_token: string };
    kept = { token: got, untilMs: performance.now() + tokenMsMax };
    return got;
  };
  return {
    url,
    ask: async (method, path, json) => {
      const answer = await fetch(`${url}/admin/realms${path}`, {
        method,
        headers: { authorization: `Bearer ${await token()}`, "content-type": "application/json" },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
        signal: AbortSignal.timeout(30_000),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${path} answers ${answer.status}: ${text.slice(0, 300)}`);
      return text === "" ? undefined : (JSON.parse(text) as unknown);
    },
    stop: running.stop,
  };
};

/** Keycloak puts itself together for its options before it first starts; that takes longest, so it is kept. */
const built = async (): Promise<string> => {
  if (existsSync(builtFolder)) return builtFolder;
  const source = await unpacked(distribution);
  mkdirSync(cacheFolder, { recursive: true });
  const unfinished = `${builtFolder}.${process.pid}`;
  try {
    cpSync(source, unfinished, { recursive: true });
    execFileSync(join(unfinished, "bin/kc.sh"), ["build", "--db=dev-mem", "--cache=local"], {
      stdio: "pipe",
      timeout: 180_000,
      env: { ...process.env, JAVA_OPTS_APPEND: memoryMax },
    });
    if (!existsSync(builtFolder)) renameSync(unfinished, builtFolder);
    rmSync(source, { recursive: true, force: true });
    return builtFolder;
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
};
