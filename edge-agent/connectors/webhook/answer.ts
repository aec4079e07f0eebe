import { refusal } from "@reflex/protocol/refusal";
import type { ApplyOutcome } from "../contract.ts";
import type { HttpCallAnswer } from "../http-call.ts";

/** A receiver that asks for more is not busy but gone; the executor has limits of its own below this. */
const retryAfterMsMax = 24 * 3_600_000;

/**
 * What a status of RFC 9110 says about a message that was sent. Any 2xx is a receipt. Codes that say the request was not taken in
 * are a refusal; 429, and 503 with the time to come back, were turned away at the door; all others may have been read.
 */
export const outcomeOfStatus = (answer: HttpCallAnswer, nowMs: number): ApplyOutcome => {
  const { status } = answer;
  if (status >= 200 && status < 300) return { kind: "applied", detail: `received (${status})` };
  const detail = `the receiver answers ${status}`;
  const retryAfterMs = retryAfterMsOf(answer, nowMs);
  if (status === 429) return { kind: "retry", detail, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  if (status === 503 && retryAfterMs !== undefined) return { kind: "retry", detail, retryAfterMs };
  if (status >= 300 && status < 400) {
    return {
      kind: "refused",
      ...refusal("connector-refused", `${detail}; redirects are not followed, give the final URL`),
    };
  }
  if (refusedStatuses.has(status)) return { kind: "refused", ...refusal("connector-refused", detail) };
  return { kind: "unknown", detail };
};

const refusedStatuses: ReadonlySet<number> = new Set([
  400, 401, 402, 403, 404, 405, 406, 407, 410, 411, 413, 414, 415, 421, 422, 426, 428, 431, 451, 501, 505,
]);

/** RFC 9110 10.2.3: seconds, or a date. */
export const retryAfterMsOf = ({ headers }: Pick<HttpCallAnswer, "headers">, nowMs: number): number | undefined => {
  const text = headers["retry-after"]?.trim() ?? "";
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), retryAfterMsMax) : undefined;
};
