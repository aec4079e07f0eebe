/** Whoever a timer belongs to. What belongs to the dead never runs. */
export type Owner = { isAlive: boolean };

/** True time, monotonic, in ms since the simulation began. Nothing passes but when `step` says so. */
export type SimulatedTime = {
  readonly nowMs: () => number;
  readonly after: (owner: Owner, delayMs: number, run: () => void) => () => void;
  /** Lets the next thing happen, and every promise it settles run to its end. */
  readonly step: () => Promise<void>;
};

type Timer = { readonly atMs: number; readonly order: number; readonly owner: Owner; run: (() => void) | undefined };

export const createSimulatedTime = (): SimulatedTime => {
  const heap: Timer[] = [];
  let nowMs = 0;
  let order = 0;

  const isBefore = (a: Timer, b: Timer): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

  const push = (timer: Timer): void => {
    let index = heap.push(timer) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent] as Timer;
      if (isBefore(above, timer)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = timer;
  };

  const pop = (): Timer | undefined => {
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let index = 0;
    for (let child = 1; child < heap.length; child = 2 * index + 1) {
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Timer)) child += 1;
      const smaller = heap[child] as Timer;
      if (isBefore(last, smaller)) break;
      heap[index] = smaller;
      index = child;
    }
    heap[index] = last;
    return first;
  };

  return {
    nowMs: () => nowMs,
    after: (owner, delayMs, run) => {
      order += 1;
      const timer: Timer = { atMs: nowMs + Math.max(0, Math.ceil(delayMs)), order, owner, run };
      push(timer);
      return () => {
        timer.run = undefined;
      };
    },
    step: async () => {
      for (let next = pop(); next !== undefined; next = pop()) {
        if (next.run === undefined || !next.owner.isAlive) continue;
        nowMs = Math.max(nowMs, next.atMs);
        next.run();
        // Nothing in a simulation waits for anything but promises, so after this turn all of them have settled.
        await new Promise((resolve) => setImmediate(resolve));
        return;
      }
      throw new Error("nothing is left to happen");
    },
  };
};
