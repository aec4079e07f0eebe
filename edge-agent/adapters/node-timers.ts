import type { Timers } from "../ports.ts";

/** Node takes delays as 32-bit integers and runs longer ones at once; these wait in steps. */
const stepMsMax = 2 ** 31 - 1;

export const nodeTimers: Timers = {
  after: (delayMs, run) => {
    let leftMs = Math.max(0, delayMs);
    let timer: NodeJS.Timeout;
    const wait = (): void => {
      const stepMs = Math.min(leftMs, stepMsMax);
      leftMs -= stepMs;
      timer = setTimeout(leftMs > 0 ? wait : run, stepMs);
    };
    wait();
    return () => clearTimeout(timer);
  },
  soon: (run) => {
    setImmediate(run);
  },
};
