import type { Random } from "../ports.ts";

export type BackoffBounds = { readonly firstMs: number; readonly mostMs: number };

/**
 * Exponential back-off with full jitter, ms: anywhere between nothing and the doubled ceiling, so that commands that
 * failed together do not come back together. A target that names its own delay is never asked sooner.
 */
export const backoffMs = (attempt: number, bounds: BackoffBounds, random: Random, retryAfterMs = 0): number => {
  const ceilingMs = Math.min(bounds.mostMs, bounds.firstMs * 2 ** Math.min(30, Math.max(0, attempt - 1)));
  return Math.max(1, Math.min(retryAfterMs, retryAfterMsMax), Math.round(ceilingMs * unitOf(random)));
};

/** A target may ask for patience, not for a lease to be forgotten. */
const retryAfterMsMax = 5 * 60_000;

const unitOf = (random: Random): number => {
  const [high = 0, low = 0] = random.bytes(2);
  return (high * 256 + low) / 65_535;
};
