import { Worker } from "node:worker_threads";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, type Result } from "@reflex/protocol/result";
import type { SelfTest } from "../policy/activate.ts";

export type WorkerSelfTestOptions = {
  /** The file to run, or in a single binary the text of the bundled one (esbuild of worker-self-test-thread.ts). */
  readonly entry?: { readonly file: URL } | { readonly source: string };
  readonly deadlineMs?: number;
  readonly heapMb?: number;
};

/** 50 000 cases take seconds; minutes mean a bundle that would also stall the agent. */
const deadlineMsDefault = 60_000;
/** The largest legal bundle parsed and compiled takes a few hundred MB. */
const heapMbDefault = 768;

const besides = { file: new URL("./worker-self-test-thread.ts", import.meta.url) };

/** A bundle that crashes, hangs or eats memory does so in a thread of its own, and is refused. */
export const createWorkerSelfTest = (options: WorkerSelfTestOptions = {}): SelfTest => {
  const { entry = besides, deadlineMs = deadlineMsDefault, heapMb = heapMbDefault } = options;
  return (payload, site) =>
    new Promise((resolve) => {
      const worker = new Worker("file" in entry ? entry.file : entry.source, {
        eval: "source" in entry,
        workerData: { payload, site },
        resourceLimits: { maxOldGenerationSizeMb: heapMb, stackSizeMb: 4 },
        // Nothing of the agent's: no environment to read, no arguments, no way to write to its output.
        env: {},
        argv: [],
        stdout: true,
        stderr: true,
      });
      const end = (result: Result<void, Refusal>): void => {
        clearTimeout(deadline);
        worker.removeAllListeners();
        // The thread may still throw while it is being ended.
        worker.on("error", () => undefined);
        void worker.terminate();
        resolve(result);
      };
      const deadline = setTimeout(() => {
        end(err(refusal("self-test-timeout", `not done within ${deadlineMs} ms`)));
      }, deadlineMs);
      worker.once("message", (result: Result<void, Refusal>) => end(result));
      worker.once("error", (error: Error & { code?: string }) => {
        const isMemory = error.code === "ERR_WORKER_OUT_OF_MEMORY";
        end(
          err(
            refusal(
              isMemory ? "self-test-timeout" : "self-test-failed",
              isMemory ? `more than ${heapMb} MB` : error.message.slice(0, 512),
            ),
          ),
        );
      });
      worker.once("exit", (code) =>
        end(err(refusal("self-test-failed", `the self-test ended with ${code} and said nothing`))),
      );
    });
};
