import { err, ok, type Result } from "@reflex/protocol/result";
import type { Clock } from "../../ports.ts";

/** An access token fetched from the far end; kept in memory and nowhere else. */
export type FetchedToken = { readonly token: string; readonly expiresSeconds: number };
/** No token means that nothing was sent to the far end's own interface. */
export type TokenFailure = {
  readonly kind: "unsent" | "refused";
  readonly detail: string;
  readonly retryAfterMs?: number;
};

export type TokenStore = {
  readonly get: () => Promise<Result<string, TokenFailure>>;
  /** The far end does not take this one any more. */
  readonly drop: (token: string) => void;
};

/** Renewed this long before its end, or after nine tenths of a short life: a request must not expire on its way. */
const earlyMsMax = 60_000;

/** One fetch at a time, however many calls wait for it. */
export const createTokenStore = (
  clock: Clock,
  fetchToken: () => Promise<Result<FetchedToken, TokenFailure>>,
): TokenStore => {
  let kept: { readonly token: string; readonly renewAtMs: number } | undefined;
  let fetching: Promise<Result<string, TokenFailure>> | undefined;

  const fetchNew = async (): Promise<Result<string, TokenFailure>> => {
    const askedAtMs = clock.nowMs();
    const fetched = await fetchToken();
    if (!fetched.ok) return err(fetched.error);
    const lifeMs = Math.max(0, fetched.value.expiresSeconds) * 1_000;
    kept = { token: fetched.value.token, renewAtMs: askedAtMs + lifeMs - Math.min(earlyMsMax, lifeMs / 10) };
    return ok(fetched.value.token);
  };

  return {
    get: () => {
      if (kept !== undefined && clock.nowMs() < kept.renewAtMs) return Promise.resolve(ok(kept.token));
      fetching ??= fetchNew().finally(() => {
        fetching = undefined;
      });
      return fetching;
    },
    drop: (token) => {
      if (kept?.token === token) kept = undefined;
    },
  };
};
