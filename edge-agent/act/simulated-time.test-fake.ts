import type { Clock, Timers } from "../ports.ts";

/** Time that passes when a test says so; promises run to their end in between. */
export type SimulatedTime = {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Lets everything run that needs no time to pass. */
  readonly settle: () => Promise<void>;
  readonly advance: (byMs: number) => Promise<void>;
  /** Moves the clock and no timer. */
  readonly jump: (byMs: number) => void;
  readonly setBack: (byMs: number) => void;
};

export const createSimulatedTime = (startMs: number): SimulatedTime => {
  type Timer = { readonly atMs: number; readonly order: number; readonly run: () => void };
  let monotonicMs = 0;
  let offsetMs = startMs;
  let order = 0;
  const timers = new Set<Timer>();
  const soon: (() => void)[] = [];

  const settle = async (): Promise<void> => {
    // Twice quiet: a promise that settles may queue the next thing a turn later.
    for (let quietTurns = 0; quietTurns < 2; ) {
      await new Promise((resolve) => setImmediate(resolve));
      quietTurns = soon.length === 0 ? quietTurns + 1 : 0;
      for (const run of soon.splice(0)) run();
    }
  };

  const nextBy = (untilMs: number): Timer | undefined =>
    [...timers].filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0];

  return {
    clock: { nowMs: () => offsetMs + monotonicMs },
    timers: {
      after: (delayMs, run) => {
        order += 1;
        const timer = { atMs: monotonicMs + Math.max(0, delayMs), order, run };
        timers.add(timer);
        return () => void timers.delete(timer);
      },
      soon: (run) => void soon.push(run),
    },
    settle,
    advance: async (byMs) => {
      const untilMs = monotonicMs + byMs;
      await settle();
      for (let next = nextBy(untilMs); next !== undefined; next = nextBy(untilMs)) {
        timers.delete(next);
        monotonicMs = Math.max(monotonicMs, next.atMs);
        next.run();
        await settle();
      }
      monotonicMs = untilMs;
    },
    jump: (byMs) => {
      offsetMs += byMs;
    },
    setBack: (byMs) => {
      offsetMs -= byMs;
    },
  };
};
