import type { Refusal } from "@reflex/protocol/refusal";
import type { Result } from "@reflex/protocol/result";

/**
 * Right after a lease of ours has ended, a product that lags still shows what was in force. Believed, it would be somebody else's
 * doing, left alone by apply and undo for ever. So "it was so before us" takes as many reads that agree; "it was not" takes one.
 */
export const readsThatAgreeMin = 7;
/** Seven reads take 1.5 s: longer than replicas lag in a good hour, and within the time of one call. */
const pauseMs = 250;

export const captureSettled = async (
  capture: () => Promise<Result<string, Refusal>>,
  isSoBefore: (undoData: string) => boolean,
  pause: (ms: number) => Promise<void> = (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
): Promise<Result<string, Refusal>> => {
  let captured = await capture();
  for (let reads = 1; reads < readsThatAgreeMin && captured.ok && isSoBefore(captured.value); reads += 1) {
    await pause(pauseMs);
    captured = await capture();
  }
  return captured;
};
