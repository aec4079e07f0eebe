import type { Random } from "../ports.ts";

/** Full jitter: anywhere up to the bound, which doubles. A fleet that lost its broker at one moment does not return at one. */
export type Backoff = { readonly nextMs: () => number; readonly reset: () => void };

export const createBackoff = (random: Random, fromMs: number, toMs: number): Backoff => {
  let boundMs = fromMs;
  return {
    nextMs: () => {
      const delayMs = Math.floor(fraction(random) * boundMs);
      boundMs = Math.min(toMs, boundMs * 2);
      return delayMs;
    },
    reset: () => {
      boundMs = fromMs;
    },
  };
};

/** `ms` ± `share`, so that regular messages of many agents spread. */
export const jittered = (random: Random, ms: number, share: number): number =>
  Math.floor(ms * (1 + share * (2 * fraction(random) - 1)));

const fraction = (random: Random): number => {
  const [a = 0, b = 0] = random.bytes(2);
  return (a * 256 + b) / 65_536;
};
