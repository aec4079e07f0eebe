import type { Log, Random, Timers } from "../ports.ts";
import type { Executor } from "./executor.ts";

export type Reconciler = { readonly start: () => void; readonly stop: () => void };

/** Desired and actual are compared this often; a drift is a hole in the defence, a comparison is one cheap read. */
export const reconcileEveryMs = 60_000;

/** Each connector in its own turn, spread out so that a fleet does not ask one firewall at the same second. */
export const createReconciler = (deps: {
  readonly connectors: Iterable<string>;
  readonly executor: Pick<Executor, "reconcile">;
  readonly everyMs?: number;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
}): Reconciler => {
  const { timers, executor, log, everyMs = reconcileEveryMs } = deps;
  const cancels = new Map<string, () => void>();
  let isStopped = false;

  const next = (name: string): void => {
    const [byte = 0] = deps.random.bytes(1);
    const delayMs = Math.round(everyMs * (0.75 + byte / 512));
    cancels.set(
      name,
      timers.after(delayMs, () => void run(name)),
    );
  };

  const run = async (name: string): Promise<void> => {
    const done = await executor.reconcile(name);
    if (!done.ok) log.warn({ connector: name, code: done.error.code, detail: done.error.detail }, "not reconciled");
    if (!isStopped) next(name);
  };

  return {
    start: () => {
      for (const name of deps.connectors) next(name);
    },
    stop: () => {
      isStopped = true;
      for (const cancel of cancels.values()) cancel();
    },
  };
};
