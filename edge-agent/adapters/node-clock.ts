import type { Clock, Log } from "../ports.ts";

/** Slewing by NTP stays far below this between two readings; a step is an operator, a resume or an attack. */
const jumpMs = 2_000;

export type NodeClock = Clock & {
  /** Milliseconds since some moment before start; no step of the wall clock moves it. */
  readonly monotonicMs: () => number;
};

export type NodeClockDeps = {
  readonly log: Log;
  readonly wallMs?: () => number;
  readonly monotonicMs?: () => number;
};

/** Wall time that never goes back: after a step back it runs on at the monotonic rate until the wall has caught up. */
export const createNodeClock = ({
  log,
  wallMs = () => Date.now(),
  monotonicMs = () => performance.now(),
}: NodeClockDeps): NodeClock => {
  let lastMs = wallMs();
  /** The last moment at which the wall was believed, on both clocks. */
  let anchor = { wallMs: lastMs, monotonicMs: monotonicMs() };
  let read = anchor;
  return {
    monotonicMs,
    nowMs: () => {
      const now = { wallMs: wallMs(), monotonicMs: monotonicMs() };
      const jumpedMs = now.wallMs - read.wallMs - (now.monotonicMs - read.monotonicMs);
      if (Math.abs(jumpedMs) > jumpMs) log.warn({ jumpedMs: Math.round(jumpedMs) }, "wall clock jumped");
      read = now;
      if (now.wallMs >= lastMs) {
        anchor = now;
        lastMs = now.wallMs;
      } else {
        const runOnMs = Math.floor(anchor.wallMs + now.monotonicMs - anchor.monotonicMs);
        lastMs = Math.max(lastMs, runOnMs);
      }
      return lastMs;
    },
  };
};
