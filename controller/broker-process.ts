import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The embedded broker as a child: started, watched, started again. Agents and this controller come back to it by themselves. */
export type BrokerProcess = {
  readonly port: () => number;
  readonly wsPort: () => number | null;
  readonly isUp: () => boolean;
  readonly setRevoked: (agents: readonly string[]) => void;
  readonly stop: () => Promise<void>;
};

export type BrokerProcessDeps = {
  readonly org: string;
  readonly host: string;
  readonly port: number;
  readonly wsPort: number;
  /** Files, so that no key stands on a command line. */
  readonly files: { readonly cert: string; readonly key: string; readonly ca: string };
  readonly logLevel: string;
  readonly log: (fields: Readonly<Record<string, unknown>>, message: string) => void;
};

const readyMsMax = 30_000;
const backoffMsMax = 10_000;
/** Up this long means that it runs; the next end starts from the shortest wait again. */
const settledMs = 60_000;

export const startBrokerProcess = async (deps: BrokerProcessDeps): Promise<BrokerProcess> => {
  let child: ChildProcess | undefined;
  let ports: { readonly port: number; readonly wsPort: number | null } = { port: deps.port, wsPort: deps.wsPort };
  let revoked: readonly string[] = [];
  let failures = 0;
  let isStopped = false;
  let retry: NodeJS.Timeout | undefined;

  const tellRevoked = (): void => {
    child?.stdin?.write(`${JSON.stringify({ revoked })}\n`);
  };

  const start = async (): Promise<void> => {
    const startedMs = performance.now();
    // After the first start the ports stay: agents know them.
    const starting = await spawnBroker(deps, ports.port, ports.wsPort ?? 0);
    child = starting.child;
    ports = { port: starting.port, wsPort: starting.wsPort };
    tellRevoked();
    child.once("exit", (code, signal) => {
      child = undefined;
      if (isStopped) return;
      failures = performance.now() - startedMs > settledMs ? 0 : failures + 1;
      deps.log({ code, signal, failures }, "broker ended, starting it again");
      again();
    });
  };

  const again = (): void => {
    retry = setTimeout(
      () =>
        start().catch((error: Error) => {
          failures += 1;
          deps.log({ error: error.message }, "broker does not start");
          if (!isStopped) again();
        }),
      Math.min(backoffMsMax, 100 * 2 ** Math.min(failures, 10)),
    );
  };

  await start();
  return {
    port: () => ports.port,
    wsPort: () => ports.wsPort,
    isUp: () => child !== undefined,
    setRevoked: (agents) => {
      revoked = agents;
      tellRevoked();
    },
    stop: async () => {
      isStopped = true;
      clearTimeout(retry);
      const last = child;
      if (last === undefined) return;
      const ended = new Promise((done) => last.once("exit", done));
      last.kill("SIGTERM");
      const timer = setTimeout(() => last.kill("SIGKILL"), 5_000);
      await ended;
      clearTimeout(timer);
    },
  };
};

type Spawned = { readonly child: ChildProcess; readonly port: number; readonly wsPort: number | null };

const spawnBroker = (deps: BrokerProcessDeps, port: number, wsPort: number): Promise<Spawned> => {
  const { org, host, files, logLevel } = deps;
  const args = [
    "--org",
    org,
    "--host",
    host,
    "--port",
    String(port),
    "--ws-port",
    String(wsPort),
    "--log-level",
    logLevel,
  ];
  for (const name of ["cert", "key", "ca"] as const) args.push(`--${name}`, files[name]);
  const child = spawn(process.execPath, [...brokerProgram(), ...args, "--follow-stdin"], {
    stdio: ["pipe", "pipe", "inherit"],
    // Ctrl-C in a terminal reaches the controller alone, which says goodbye first.
    detached: process.platform !== "win32",
  });
  child.stdin?.on("error", () => undefined);
  return new Promise((done, fail) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail(new Error("the broker did not become ready in time"));
    }, readyMsMax);
    child.once("error", fail);
    child.once("exit", (code) => fail(new Error(`the broker ended with ${code}: is port ${port} free?`)));
    if (child.stdout === null) return fail(new Error("the broker has no output"));
    createInterface({ input: child.stdout }).once("line", (line) => {
      clearTimeout(timer);
      const ready: { readonly port: number; readonly ws_port: number | null } = JSON.parse(line);
      done({ child, port: ready.port, wsPort: ready.ws_port });
    });
  });
};

/** From the checkout it is a file of its own; in a single binary the binary runs itself as `broker`. */
const brokerProgram = (): readonly string[] =>
  import.meta.url.endsWith(".ts") ? [fileURLToPath(new URL("./broker/main.ts", import.meta.url))] : ["broker"];
