import type { Random, Timers } from "../ports.ts";

export type GateLimits = {
  /** Calls under way at one connector; more would queue inside the target. */
  readonly callsAtOnceMax: number;
  /** What the far end takes, averaged over a second, and how many at once after a pause. */
  readonly rate?: { readonly perSecond: number; readonly burst: number };
  /** Calls in a row that brought nothing, after which applying pauses: each of them may have done something nobody knows of. */
  readonly failuresMax: number;
  readonly pause: { readonly firstMs: number; readonly mostMs: number };
};

/** What stands before every call to one connector: how many at once, how many a second, and whether it works at all. */
export type Gate = {
  /** Waits for its turn; what it returns gives the place back. Undo is urgent: it goes before everything that waits. */
  readonly take: (isUrgent: boolean) => Promise<() => void>;
  /** Milliseconds until an apply is worth another look, 0 when one may be made now. Takes nothing. */
  readonly waitMs: () => number;
  /** Right before an apply: false while applying pauses; after the pause one call at a time tries. */
  readonly admit: () => boolean;
  /** How a call ended: did the far end answer. A clear no is an answer. */
  readonly note: (hasAnswered: boolean) => void;
  readonly isOpen: () => boolean;
};

/** A circuit breaker and a token bucket, on timers alone: a wall clock that jumps changes nothing here. */
export const createGate = (
  limits: GateLimits,
  deps: {
    readonly timers: Timers;
    readonly random: Random;
    /** The circuit opened (applying pauses) or closed again. */
    readonly onCircuit: (isOpen: boolean, failures: number) => void;
  },
): Gate => {
  const { timers } = deps;
  const bucketSize = limits.rate?.burst ?? 0;
  let tokens = bucketSize;
  let isRefilling = false;
  let underWay = 0;
  const urgent: (() => void)[] = [];
  const others: (() => void)[] = [];

  const pump = (): void => {
    while (underWay < limits.callsAtOnceMax && (limits.rate === undefined || tokens >= 1)) {
      const next = urgent.shift() ?? others.shift();
      if (next === undefined) break;
      underWay += 1;
      if (limits.rate !== undefined) tokens -= 1;
      next();
    }
    if (limits.rate !== undefined && tokens < bucketSize) refill(limits.rate.perSecond);
  };

  const refill = (perSecond: number): void => {
    if (isRefilling) return;
    isRefilling = true;
    const everyMs = Math.max(refillMsMin, 1_000 / perSecond);
    timers.after(everyMs, () => {
      isRefilling = false;
      tokens = Math.min(bucketSize, tokens + (everyMs * perSecond) / 1_000);
      pump();
    });
  };

  const take: Gate["take"] = async (isUrgent) => {
    await new Promise<void>((resume) => {
      (isUrgent ? urgent : others).push(resume);
      pump();
    });
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      underWay -= 1;
      pump();
    };
  };

  let circuit: "closed" | "open" | "trying" | "tried" = "closed";
  let failures = 0;
  let pauseMs = limits.pause.firstMs;

  const open = (): void => {
    const isNew = circuit === "closed";
    circuit = "open";
    if (isNew) deps.onCircuit(true, failures);
    timers.after(pauseMs, () => {
      if (circuit === "open") circuit = "trying";
    });
    pauseMs = Math.min(limits.pause.mostMs, pauseMs * 2);
  };

  const note: Gate["note"] = (hasAnswered) => {
    if (hasAnswered) {
      const wasOpen = circuit !== "closed";
      circuit = "closed";
      failures = 0;
      pauseMs = limits.pause.firstMs;
      if (wasOpen) deps.onCircuit(false, 0);
      return;
    }
    failures += 1;
    if (circuit === "tried" || (circuit === "closed" && failures >= limits.failuresMax)) open();
  };

  return {
    take,
    waitMs: () => {
      if (circuit === "closed" || circuit === "trying") return 0;
      // Not all at once when it closes.
      const [byte = 0] = deps.random.bytes(1);
      return Math.round(limits.pause.firstMs * (0.25 + byte / 256));
    },
    admit: () => {
      if (circuit === "closed") return true;
      if (circuit !== "trying") return false;
      circuit = "tried";
      // The one that tries may be stopped by a brake, or not come back: then another may try.
      timers.after(limits.pause.firstMs, () => {
        if (circuit === "tried") circuit = "trying";
      });
      return true;
    },
    note,
    isOpen: () => circuit !== "closed",
  };
};

/** Timers much finer than this cost more than they pace. */
const refillMsMin = 10;
