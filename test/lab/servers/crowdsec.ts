import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheFolder, fetching } from "./download.ts";
import { answersHttp, freePort, isInstalled, startProgram, withRetry } from "./program.ts";

/** CrowdSec's local API alone, as Debian ships it: no agent, no central API, its own SQLite file. */
export type CrowdSec = {
  readonly url: string;
  readonly machine: { readonly id: string; readonly password: string };
  /** What a bouncer would enforce now. */
  readonly decisions: () => Promise<readonly Decision[]>;
  /** A ban by somebody else: another machine, another origin. */
  readonly banByHand: (scope: "Ip" | "Range", value: string) => Promise<void>;
  readonly removeAll: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

export type Decision = { readonly scope: string; readonly value: string; readonly origin: string };

/** Why there is no CrowdSec to test against; undefined where there is one, or it can be fetched. */
export const crowdSecMissing = (): string | undefined => {
  if (isInstalled("crowdsec", "-version") || existsSync(unpackedFolder)) return undefined;
  return isInstalled("apt-get", "--version") && isInstalled("dpkg-deb", "--version")
    ? undefined
    : "crowdsec is not installed: apt-get install crowdsec";
};

export const startCrowdSec = async (): Promise<CrowdSec> => {
  const bin = await fetching("crowdsec", binFolder);
  const folder = mkdtempSync(join(tmpdir(), "reflex-crowdsec-"));
  const machine = { id: "reflex", password: randomBytes(18).toString("hex") };
  const other = { id: "somebody", password: randomBytes(18).toString("hex") };
  const bouncerKey = randomBytes(18).toString("hex");
  for (const name of ["data", "hub", "notifications", "plugins"]) mkdirSync(join(folder, name));
  const config = join(folder, "config.yaml");
  const tool = (...args: readonly string[]): void =>
    void execFileSync(join(bin, "cscli"), ["-c", config, ...args], { stdio: "pipe", timeout: 60_000 });

  try {
    const { url, program } = await withRetry(async () => {
      const at = `127.0.0.1:${await freePort()}`;
      writeFileSync(config, configOf(folder, at));
      writeFileSync(join(folder, "credentials.yaml"), `url: http://${at}\n`, { mode: 0o600 });
      writeFileSync(join(folder, "simulation.yaml"), "simulation: false\n");
      writeFileSync(join(folder, "profiles.yaml"), profiles);
      for (const { id, password } of [machine, other])
        tool("machines", "add", id, "--password", password, "--force", "-f", join(folder, "unused.yaml"));
      const started = await startProgram({
        program: join(bin, "crowdsec"),
        args: ["-c", config, "-no-cs"],
        folder,
        isReady: () => answersHttp(`http://${at}/health`),
        readyWithinMs: 30_000,
      });
      return { url: `http://${at}`, program: started };
    });
    tool("bouncers", "add", "lab", "--key", bouncerKey);

    const json = async (path: string, init: RequestInit): Promise<unknown> => {
      const answer = await fetch(url + path, { ...init, signal: AbortSignal.timeout(10_000) });
      if (!answer.ok) throw new Error(`${path} answers ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
      return answer.json();
    };
    const tokenOf = async ({ id, password }: typeof machine): Promise<string> => {
      const body = JSON.stringify({ machine_id: id, password, scenarios: [] });
      const said = (await json("/v1/watchers/login", { method: "POST", body, headers: jsonBody })) as { token: string };
      return said.token;
    };
    return {
      url,
      machine,
      decisions: async () =>
        ((await json("/v1/decisions", { headers: { ...jsonBody, "x-api-key": bouncerKey } })) ??
          []) as readonly Decision[],
      banByHand: async (scope, value) => {
        const authorization = `Bearer ${await tokenOf(other)}`;
        const body = JSON.stringify([alertOf(scope, value)]);
        await json("/v1/alerts", { method: "POST", body, headers: { ...jsonBody, authorization } });
      },
      removeAll: async () => {
        const authorization = `Bearer ${await tokenOf(other)}`;
        await json("/v1/decisions", { method: "DELETE", headers: { ...jsonBody, authorization } });
        await json("/v1/alerts", { method: "DELETE", headers: { ...jsonBody, authorization } });
      },
      stop: async () => {
        await program.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (cause) {
    rmSync(folder, { recursive: true, force: true });
    throw cause;
  }
};

/** The API turns away whoever does not say "name/version". */
const jsonBody = { "content-type": "application/json", "user-agent": "reflex-lab/1" };
const unpackedFolder = join(cacheFolder, "crowdsec");

/**
 * Debian's package registers with the central API on the internet when it is installed, and starts an agent that reads this
 * machine's logs. So it is only unpacked; apt has checked its signature.
 */
const binFolder = (): string => {
  if (isInstalled("crowdsec", "-version")) return "/usr/bin";
  if (!existsSync(unpackedFolder)) {
    mkdirSync(cacheFolder, { recursive: true });
    const unfinished = mkdtempSync(join(cacheFolder, "crowdsec-"));
    try {
      downloadPackage("crowdsec", unfinished);
      const archive = readdirSync(unfinished).find((file) => file.endsWith(".deb"));
      if (archive === undefined) throw new Error("apt-get downloaded no package");
      execFileSync("dpkg-deb", ["-x", join(unfinished, archive), join(unfinished, "root")], { stdio: "pipe" });
      if (!existsSync(unpackedFolder)) renameSync(join(unfinished, "root"), unpackedFolder);
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  return join(unpackedFolder, "usr/bin");
};

/** A machine that has never asked for Debian's list of packages finds none. */
const downloadPackage = (name: string, folder: string): void => {
  const run = (...args: readonly string[]): void =>
    void execFileSync("apt-get", args, { cwd: folder, stdio: "pipe", timeout: 5 * 60_000 });
  try {
    run("download", name);
  } catch {
    run("update");
    run("download", name);
  }
};

const configOf = (folder: string, at: string): string => `
common: { daemonize: false, log_media: stdout, log_level: warning, working_dir: . }
config_paths:
  config_dir: ${folder}
  data_dir: ${folder}/data
  simulation_path: ${folder}/simulation.yaml
  hub_dir: ${folder}/hub
  index_path: ${folder}/hub/.index.json
  notification_dir: ${folder}/notifications
  plugin_dir: ${folder}/plugins
db_config: { type: sqlite, db_path: ${folder}/data/crowdsec.db, use_wal: true, log_level: warning }
plugin_config: { user: nobody, group: nogroup }
api:
  client: { insecure_skip_verify: false, credentials_path: ${folder}/credentials.yaml }
  server: { log_level: warning, listen_uri: ${at}, profiles_path: ${folder}/profiles.yaml }
prometheus: { enabled: false }
`;

/** Nothing is decided here by itself. */
const profiles = 'name: none\nfilters: ["false"]\ndecisions: [{ type: ban, duration: 4h }]\non_success: break\n';

const alertOf = (scope: "Ip" | "Range", value: string): unknown => {
  const now = new Date().toISOString();
  return {
    ...{ scenario: "manual", scenario_hash: "", scenario_version: "1", message: "by hand", simulated: false },
    ...{ events_count: 1, start_at: now, stop_at: now, capacity: 0, leakspeed: "0", events: [] },
    source: { scope, value },
    decisions: [{ origin: "somebody", type: "ban", scope, value, duration: "1h", scenario: "manual" }],
  };
};
