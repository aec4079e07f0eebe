import type { Timers } from "../ports.ts";

export type CallResult<Answer> =
  | { readonly kind: "answered"; readonly answer: Answer }
  /** `ended` resolves when the call comes back after all; until then it may still have its effect. */
  | { readonly kind: "timed_out"; readonly ended: Promise<void> }
  | { readonly kind: "threw"; readonly detail: string };

/** One outside call with a time limit. Never rejects: whatever the connector does is an answer. */
export const callWithin = async <Answer>(
  timers: Timers,
  timeoutMs: number,
  call: () => Promise<Answer>,
): Promise<CallResult<Answer>> => {
  const answered = Promise.resolve()
    .then(call)
    .then(
      (answer): CallResult<Answer> => ({ kind: "answered", answer }),
      (cause): CallResult<Answer> => ({
        kind: "threw",
        detail: cause instanceof Error ? cause.message : String(cause),
      }),
    );
  let cancel = (): void => {};
  const timedOut = new Promise<CallResult<Answer>>((resolve) => {
    const ended = answered.then(() => {});
    cancel = timers.after(timeoutMs, () => resolve({ kind: "timed_out", ended }));
  });
  const result = await Promise.race([answered, timedOut]);
  cancel();
  return result;
};

/** Why there is no answer. */
export const detailOf = (result: CallResult<unknown>): string =>
  result.kind === "threw" ? `the call broke: ${result.detail}` : result.kind === "timed_out" ? "no answer in time" : "";

/** Did the far end say anything at all? What it said is another matter. */
export const hasAnswered = (result: CallResult<{ readonly kind: string }>): boolean =>
  result.kind === "answered" && result.answer.kind !== "unknown" && result.answer.kind !== "retry";
