// Real processes for end-to-end tests: controller (with its broker and database), agent, `npm start` and reflexctl, in a temporary folder.
import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Client, createClient } from "@reflex/controller/reflexctl/client";
import { createKeys } from "@reflex/controller/reflexctl/keys";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const startProgram = join(root, "installers/start/main.ts");
export const starterPolicies = join(root, "policies/library/starter");

/** PostgreSQL runs as a user of its own when the tests run as root: the folder must let it pass. */
export const makeFolder = (name: string): string => {
  const folder = mkdtempSync(join(tmpdir(), `reflex-${name}-`));
  chmodSync(folder, 0o711);
  return folder;
};
export const removeFolder = (folder: string): void => rmSync(folder, { recursive: true, force: true });

/** Ten processes start in some of these tests, and other work may share the machine: long, so that only a hang fails. */
export const patientMs = { testTimeout: 240_000, hookTimeout: 120_000 };

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };
export type Program = {
  readonly pid: number;
  readonly process: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** First line of this kind on stdout, past or to come. */
  readonly line: (kind: string) => Promise<Record<string, unknown>>;
  readonly ended: Promise<Ended>;
  readonly kill: (signal: NodeJS.Signals) => Promise<Ended>;
};

/** Runs a program of this checkout on the Node that runs the tests. What it says is kept. */
export const startProgramAt = (args: readonly string[], input: "ignore" | "pipe" = "ignore"): Program => {
  // The channel's end tells the program that the test is gone, so that a test that is cut off leaves nothing running.
  const child = spawn(process.execPath, [...args], { cwd: root, stdio: [input, "pipe", "pipe", "ipc"] });
  let stdout = "";
  let stderr = "";
  const seen = new Map<string, Record<string, unknown>>();
  const waiting = new Map<string, ((line: Record<string, unknown>) => void)[]>();
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on("line", (text) => {
      if (!text.startsWith('{"kind":')) return;
      const line = JSON.parse(text) as Record<string, unknown>;
      const kind = String(line["kind"]);
      seen.set(kind, line);
      for (const wake of waiting.get(kind)?.splice(0) ?? []) wake(line);
    });
  }
  const ended = new Promise<Ended>((done) => child.on("close", (code) => done({ code, stdout, stderr })));
  return {
    pid: child.pid ?? 0,
    process: child,
    stdout: () => stdout,
    stderr: () => stderr,
    line: (kind) => {
      const known = seen.get(kind);
      if (known !== undefined) return Promise.resolve(known);
      const arrived = new Promise<Record<string, unknown>>((done) =>
        waiting.set(kind, [...(waiting.get(kind) ?? []), done]),
      );
      const gone = ended.then(({ code }): never => {
        throw new Error(`ended with ${code} before it said "${kind}": ${stderr.slice(-2_000)}`);
      });
      return Promise.race([arrived, gone]);
    },
    ended,
    kill: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
};

/** Processes with this text on their command line: the data folder names all parts of one installation. */
export const processesOf = (text: string): { readonly pid: number; readonly command: string }[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
        return command.includes(text) ? [{ pid: Number(name), command }] : [];
      } catch {
        return []; // ended meanwhile
      }
    });

/** Waits for what must come true; the limit is only there so that a failure has a name. */
export const until = async <T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  withinMs = 60_000,
): Promise<T> => {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
};
export const untilTrue = async (
  what: string,
  look: () => Promise<boolean> | boolean,
  withinMs?: number,
): Promise<void> => {
  await until(what, async () => ((await look()) ? true : undefined), withinMs);
};

export type World = {
  readonly folder: string;
  readonly key: (name: string) => string;
  readonly controller: () => Program;
  readonly agent: () => Program;
  readonly client: () => Client;
  readonly token: () => string;
  readonly url: () => string;
  readonly ca: () => string;
  readonly startController: () => Promise<void>;
  readonly startAgent: () => Promise<void>;
  /** A detection through the webhook: the answer comes when its decision is durable. */
  readonly send: (detection: object | string) => Promise<{ readonly status: number; readonly body: string }>;
  readonly reflexctl: (...args: readonly string[]) => Promise<Ended>;
  /** A POST of exactly these bytes with the operator's token. */
  readonly post: (
    path: string,
    body: Uint8Array | string,
  ) => Promise<{ status: number; body: Record<string, unknown> }>;
  readonly close: () => Promise<void>;
};

export const org = "demo";
export const site = "demo";
export const agentName = "agent-1";

/** One controller and one agent of site `demo`, with a webhook as source and an EDL as connector; nothing is published yet. */
export const createWorld = (name: string): World => {
  const folder = makeFolder(name);
  createKeys({
    dir: join(folder, "keys"),
    org,
    releaseKeys: 2,
    releaseThreshold: 2,
    issuedAt: new Date().toISOString(),
  });
  const key = (keyName: string): string => join(folder, "keys", `${keyName}.key`);
  let controller: Program | undefined;
  let agent: Program | undefined;
  let ports: { api: string; broker: string; ws: string } = { api: "0", broker: "0", ws: "0" };
  let ready: Record<string, unknown> = {};
  let webhook = "";
  const token = (): string => readFileSync(String(ready["token_file"]), "utf8").trim();
  const ca = (): string => readFileSync(String(ready["ca_file"]), "utf8");
  const client = (): Client => createClient({ url: String(ready["url"]), token: token(), ca: ca() });

  const startController = async (): Promise<void> => {
    controller = startProgramAt([
      join(root, "controller/main.ts"),
      ...["--data", join(folder, "controller"), "--org", org, "--trust", join(folder, "keys/trust.json")],
      ...["--head-key", key("head-1"), "--weights-key", key("weights-1")],
      ...["--port", ports.api, "--broker-port", ports.broker, "--broker-ws-port", ports.ws],
    ]);
    ready = await controller.line("ready");
    // The same ports after a restart: agents know them.
    ports = {
      api: new URL(String(ready["url"])).port,
      broker: new URL(String(ready["broker_url"])).port,
      ws: ready["broker_ws_url"] === null ? "0" : new URL(String(ready["broker_ws_url"])).port,
    };
    const connection = { url: ready["url"], token_file: ready["token_file"], ca_file: ready["ca_file"] };
    writeFileSync(join(folder, "connection.json"), JSON.stringify(connection));
  };

  const startAgent = async (): Promise<void> => {
    const dir = join(folder, "agent");
    mkdirSync(dir, { recursive: true });
    if (!existsSync(join(dir, "policy/identity.json"))) {
      const { join_token: joinToken } = await client().post<{ join_token: string }>("/v1/join-tokens", { site });
      writeFileSync(join(dir, "join-token"), joinToken, { mode: 0o600 });
    }
    const config = {
      data_dir: dir,
      org,
      site,
      agent: agentName,
      controller: {
        url: ready["url"],
        broker_url: ready["broker_url"],
        ca_file: ready["ca_file"],
        join_token_file: join(dir, "join-token"),
      },
      sources: [{ kind: "webhook", port: 0 }],
      connectors: [{ kind: "edl", name: "edl", port: 0 }],
    };
    writeFileSync(join(dir, "agent.json"), JSON.stringify(config));
    agent = startProgramAt([join(root, "edge-agent/main.ts"), "--config", join(dir, "agent.json")]);
    await agent.line("ready");
    const { address } = (await agent.line("webhook")) as { address: { host: string; port: number } };
    webhook = `http://${address.host}:${address.port}/v1/detections`;
  };

  return {
    folder,
    key,
    controller: () => controller as Program,
    agent: () => agent as Program,
    client,
    token,
    url: () => String(ready["url"]),
    ca,
    startController,
    startAgent,
    send: async (detection) => {
      const answer = await fetch(webhook, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: typeof detection === "string" ? detection : JSON.stringify(detection),
      });
      return { status: answer.status, body: await answer.text() };
    },
    reflexctl: (...args) =>
      startProgramAt([join(root, "controller/reflexctl/main.ts"), ...args, "--data", folder]).ended,
    post: (path, body) => postBytes(new URL(path, String(ready["url"])), token(), ca(), body),
    close: async () => {
      if (agent !== undefined && agent.process.exitCode === null) await agent.kill("SIGTERM");
      if (controller !== undefined && controller.process.exitCode === null) await controller.kill("SIGTERM");
      removeFolder(folder);
    },
  };
};

const postBytes = (
  url: URL,
  bearer: string,
  ca: string,
  body: Uint8Array | string,
): Promise<{ status: number; body: Record<string, unknown> }> =>
  new Promise((done, fail) => {
    const headers = {
      authorization: `Bearer ${bearer}`,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    };
    let isAnswered = false;
    const call = request(url, { method: "POST", ca, headers, timeout: 60_000 }, (answer) => {
      isAnswered = true;
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      answer.on("end", () => done({ status: answer.statusCode ?? 0, body: readObject(text) }));
      answer.on("error", fail);
    });
    // Whoever is refused before all is sent has the answer already.
    call.on("error", (error) => (isAnswered ? undefined : fail(error)));
    const bytes = Buffer.from(body);
    const write = async (): Promise<void> => {
      for (let at = 0; at < bytes.length && !isAnswered; at += 65_536)
        await new Promise<void>((next) =>
          call.write(bytes.subarray(at, at + 65_536), () => setTimeout(next, at === 0 ? 100 : 0)),
        );
      if (isAnswered) call.destroy();
      else call.end();
    };
    if (bytes.length < 1_000_000) call.end(bytes);
    else void write();
  });

const readObject = (text: string): Record<string, unknown> => {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return { text };
  }
};
