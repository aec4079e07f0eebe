import type { RawRecord } from "../ports.ts";

/** Samples kept: enough for a p99 of a long feed; older ones are replaced in turn. */
const samplesMax = 100_000;

export type Latency = {
  /** Wraps `offer`: measures from a record's arrival until its fate is durable. */
  readonly timed: (offer: (record: RawRecord) => Promise<void>) => (record: RawRecord) => Promise<void>;
  readonly quantilesMs: () => { readonly p50: number; readonly p99: number };
};

export const createLatency = (monotonicMs: () => number): Latency => {
  const samples: number[] = [];
  let next = 0;
  return {
    timed: (offer) => (record) => {
      const arrivedMs = monotonicMs();
      return offer({
        ...record,
        settle: (fate) => {
          if (fate.kind === "decided") {
            samples[next] = monotonicMs() - arrivedMs;
            next = (next + 1) % samplesMax;
          }
          record.settle(fate);
        },
      });
    },
    quantilesMs: () => {
      const sorted = samples.toSorted((a, b) => a - b);
      const at = (share: number): number =>
        Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 1_000) / 1_000;
      return { p50: at(0.5), p99: at(0.99) };
    },
  };
};
