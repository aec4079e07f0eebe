import type { RawRecord, Timers } from "../ports.ts";

export type Intake = {
  /** Resolves when there is room for the next record: a source that awaits it is slowed down, never cut. */
  readonly offer: (record: RawRecord) => Promise<void>;
  /** Refuses what comes from now on; resolves when what was taken is settled. */
  readonly stop: () => Promise<void>;
  readonly waiting: () => number;
};

/** Waiting records: enough to fill a few group commits, few enough to hold in memory (256 x 256 kB at the very worst). */
export const intakeRecordsMax = 256;
/** Records decided in one turn: bounds how long a kill switch waits for the event loop. */
export const batchRecordsMax = 64;

/**
 * The one queue between all sources and the agent. Batches are taken one after the other, in order of arrival, so that
 * detections of one entity are decided in order and a failed commit never leaves a later one standing.
 */
export const createIntake = (timers: Timers, take: (batch: readonly RawRecord[]) => Promise<void>): Intake => {
  const queue: RawRecord[] = [];
  const waiters: (() => void)[] = [];
  const stopped: (() => void)[] = [];
  let taking = false;
  let stopping = false;

  const pump = async (): Promise<void> => {
    if (taking) return;
    taking = true;
    while (queue.length > 0) {
      const batch = queue.splice(0, batchRecordsMax);
      // As many as left the queue may come in: the queue never holds more than its bound and one record a waiter.
      for (const wake of waiters.splice(0, batch.length)) wake();
      await take(batch);
    }
    taking = false;
    for (const wake of waiters.splice(0)) wake();
    for (const resolve of stopped.splice(0)) resolve();
  };

  const offer = (record: RawRecord): Promise<void> => {
    if (stopping) {
      record.settle({ kind: "not_taken", refusal: { code: "queue-full", detail: "the agent is stopping" } });
      return Promise.resolve();
    }
    queue.push(record);
    if (queue.length === 1 && !taking) timers.soon(() => void pump());
    return queue.length < intakeRecordsMax ? Promise.resolve() : new Promise((resolve) => waiters.push(resolve));
  };

  const stop = (): Promise<void> => {
    stopping = true;
    if (!taking && queue.length === 0) return Promise.resolve();
    return new Promise((resolve) => stopped.push(resolve));
  };

  return { offer, stop, waiting: () => queue.length };
};
