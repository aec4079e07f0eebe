import type { Refusal } from "@reflex/protocol/refusal";
import type { Result } from "@reflex/protocol/result";

/**
 * Right after a lease of ours has ended, a product that lags still shows what was in force. Believed, it would be somebody else's
 * doing, left alone by apply and undo for ever. So "it was so before us" takes as many reads that agree; "it was not" takes one.
 */
export const readsThatAgreeMin = 7;
/** Seven reads take 1.5 s: longer than replicas lag in a good hour, and within the time of one call. */
const pauseMs = 250;

export type Pause = (ms: number) => Promise<void>;
const pauseOfClock: Pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const captureSettled = (
  capture: () => Promise<Result<string, Refusal>>,
  isSoBefore: (undoData: string) => boolean,
  pause?: Pause,
): Promise<Result<string, Refusal>> => settled(capture, (captured) => captured.ok && isSoBefore(captured.value), pause);

/** Reads again what would be taken for settled, were it not old. */
export const settled = async <Answer>(
  read: () => Promise<Answer>,
  mayBeOld: (answer: Answer) => boolean,
  pause: Pause = pauseOfClock,
): Promise<Answer> => {
  let answer = await read();
  for (let reads = 1; reads < readsThatAgreeMin && mayBeOld(answer); reads += 1) {
    await pause(pauseMs);
    answer = await read();
  }
  return answer;
};
