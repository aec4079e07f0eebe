/** Longer than a lease's whole patience says nothing more. */
const retryAfterMsMax = 3_600_000;

/** `Retry-After` (RFC 9110): seconds, or a date on the far end's clock. Undefined where it is absent or makes no sense. */
export const retryAfterMs = (headers: Readonly<Record<string, string>>, nowMs: number): number | undefined => {
  const written = headers["retry-after"]?.trim();
  if (written === undefined || written === "") return undefined;
  if (/^\d{1,9}(?:\.\d{1,3})?$/.test(written)) return Math.min(Number(written) * 1_000, retryAfterMsMax);
  const at = /^[A-Z][a-z]{2,8}, /.test(written) ? Date.parse(written) : Number.NaN;
  if (Number.isNaN(at)) return undefined;
  // Counted on the far end's own clock where it tells it, so that two clocks need not agree.
  const theirNow = Date.parse(headers["date"] ?? "");
  return Math.min(Math.max(0, at - (Number.isNaN(theirNow) ? nowMs : theirNow)), retryAfterMsMax);
};
