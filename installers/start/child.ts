import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";

export type Child = {
  readonly process: ChildProcess;
  /** Resolves with the first line of this kind on the child's stdout; rejects with the log's place when it ends before. */
  readonly line: (kind: string) => Promise<Record<string, unknown>>;
  readonly stop: (timeoutMs: number) => Promise<void>;
  readonly ended: Promise<void>;
};

export type ChildOptions = {
  readonly name: string;
  readonly script: string;
  readonly args: readonly string[];
  readonly logFile: string;
  readonly stdin: "ignore" | "inherit" | "pipe";
  readonly onLine: (line: Record<string, unknown>) => void;
};

/** Longest wait for a part to say that it is ready; a first start makes keys, certificates and a database. */
const readyTimeoutMs = 90_000;

/**
 * A part of Reflex as a process of its own, in a process group of its own: Ctrl-C reaches only us, and we stop the parts
 * in order. The IPC channel tells a part when we are gone, so that none is left behind.
 */
export const startChild = (options: ChildOptions): Child => {
  const child = spawn(process.execPath, [options.script, ...options.args], {
    stdio: [options.stdin, "pipe", "pipe", "ipc"],
    detached: true,
  });
  const log = createWriteStream(options.logFile, { flags: "a" });
  child.stderr?.pipe(log);
  let lastWords = "";
  child.stderr?.on("data", (text: Buffer) => {
    lastWords = `${lastWords}${text.toString("utf8")}`.slice(-lastWordsMax);
  });
  const seen = new Map<string, Record<string, unknown>>();
  const waiters = new Map<string, ((line: Record<string, unknown>) => void)[]>();
  const stdout = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  stdout.on("line", (text) => {
    const line = readLine(text);
    if (line === undefined) return void log.write(`${text}\n`);
    const kind = String(line.kind);
    seen.set(kind, line);
    for (const wake of waiters.get(kind)?.splice(0) ?? []) wake(line);
    options.onLine(line);
  });
  let endText = "";
  const ended = new Promise<void>((resolve) => {
    child.on("exit", (code, signal) => {
      endText = signal ?? `code ${code}`;
      resolve();
    });
    child.on("error", (error) => {
      endText = error.message;
      resolve();
    });
  });
  const line = (kind: string): Promise<Record<string, unknown>> => {
    const known = seen.get(kind);
    if (known !== undefined) return Promise.resolve(known);
    const arrived = new Promise<Record<string, unknown>>((resolve) =>
      waiters.set(kind, [...(waiters.get(kind) ?? []), resolve]),
    );
    const gone = ended.then(async (): Promise<never> => {
      // What it said last may still be on its way.
      await new Promise((wake) => setTimeout(wake, 100));
      throw new Error(
        `the ${options.name} ended (${endText}) before it was ${kind}: ${errorIn(lastWords)}; see ${options.logFile}`,
      );
    });
    return Promise.race([arrived, gone]);
  };
  const stop = async (timeoutMs: number): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    await ended;
    clearTimeout(timer);
  };
  return { process: child, line, stop, ended };
};

/** Enough for one sentence; the log has the rest. */
const lastWordsMax = 4_096;
/** A part says why it ends as a sentence, or as a JSON line of its log with the sentence in `error`. */
const errorIn = (words: string): string => {
  const text = words.trimEnd().split("\n").at(-1) ?? "";
  try {
    const line: unknown = JSON.parse(text);
    return typeof line === "object" && line !== null && "error" in line ? String(line.error) : text;
  } catch {
    return text;
  }
};

const readLine = (text: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "kind" in value
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
};

/** Rejects when a part takes longer than a first start may. */
export const within = <T>(promise: Promise<T>, what: string): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${readyTimeoutMs / 1_000} s`)), readyTimeoutMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};
