import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createServer } from "node:net";

/** Debian keeps servers where only administrators look. */
export const pathWithSbin = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

export const isInstalled = (program: string, ...args: readonly string[]): boolean =>
  spawnSync(program, args, { env: { ...process.env, PATH: pathWithSbin }, stdio: "ignore" }).error === undefined;

/** A server of the lab: its own process, ended by `stop` and in any case with the lab. */
export type Program = { readonly child: ChildProcess; readonly said: () => string; readonly stop: () => Promise<void> };

export type ProgramOptions = {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly folder?: string;
  /** Asked again and again until it is true. */
  readonly isReady: () => Promise<boolean>;
  readonly readyWithinMs: number;
};

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

const saidCharsMax = 4_000;
const askEveryMs = 50;
const stopWithinMs = 5_000;

/** Starts it and waits until it answers; throws with what it said when it does not. */
export const startProgram = async (options: ProgramOptions): Promise<Program> => {
  const child = spawn(options.program, options.args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PATH: pathWithSbin, ...options.env },
    ...(options.folder === undefined ? {} : { cwd: options.folder }),
  });
  running.add(child);
  let said = "";
  const hear = (chunk: Buffer): void => {
    said = `${said}${chunk.toString("utf8")}`.slice(-saidCharsMax);
  };
  child.stdout?.on("data", hear);
  child.stderr?.on("data", hear);
  let cannotStart: Error | undefined;
  child.once("error", (cause) => {
    cannotStart = cause;
  });
  child.once("exit", () => running.delete(child));
  const hasEnded = (): boolean => cannotStart !== undefined || child.exitCode !== null || child.signalCode !== null;
  const stop = async (): Promise<void> => {
    if (hasEnded()) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), stopWithinMs);
    await ended;
    clearTimeout(timer);
  };
  const untilMs = performance.now() + options.readyWithinMs;
  while (!(await options.isReady().catch(() => false))) {
    if (hasEnded() || performance.now() > untilMs) {
      await stop();
      throw new Error(`${options.program} does not start: ${cannotStart?.message ?? ""}${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, askEveryMs));
  }
  return { child, said: () => said, stop };
};

/** Free a moment ago; whoever takes it in between makes the start fail, and it is tried again with another. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });

export const startTriesMax = 3;
/** A port may be taken between finding and using it. */
export const withRetry = async <Started>(start: () => Promise<Started>): Promise<Started> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (cause) {
      if (attempt >= startTriesMax) throw cause;
    }
  }
};

export const answersHttp = async (url: string): Promise<boolean> => {
  const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) });
  await answer.arrayBuffer();
  return answer.status < 500;
};
