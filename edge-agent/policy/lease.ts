import { futureSkewSecondsMax } from "@reflex/protocol/limits";
import type { Clock } from "../ports.ts";
import type { Marks } from "./marks-port.ts";

/**
 * Dead-man lease: the right to act ends `leaseSeconds` after the controller's last new head. Measured on the monotonic clock, so
 * setting the wall clock back gains nothing, and on the wall clock since the head was issued, so a head held back gains nothing.
 * Across a restart only the wall clock is left; a wall clock that went back then ends the lease until the next head.
 */
export type Lease = {
  /** A verified head with a new sequence was heard. */
  readonly renew: (issuedAtMs: number) => void;
  readonly valid: (leaseSeconds: number) => boolean;
  /** Wall time at which it lapses if nothing is heard; 0 when it never ran. */
  readonly lapsesAtMs: (leaseSeconds: number) => number;
};

export type LeaseDeps = { readonly clock: Clock; readonly monotonicMs: () => number; readonly marks: Marks };

const skewMs = futureSkewSecondsMax * 1_000;

export const createLease = ({ clock, monotonicMs, marks }: LeaseDeps): Lease => {
  let issuedMs = marks.get("lease/issued");
  let heardMs = marks.get("lease/heard");
  let heardMonotonicMs: number | undefined;
  return {
    renew: (issuedAtMs) => {
      heardMs = clock.nowMs();
      // A controller whose clock runs ahead must not give more than the lease.
      issuedMs = Math.max(issuedMs, Math.min(issuedAtMs, heardMs + skewMs));
      heardMonotonicMs = monotonicMs();
      // Not durable only costs the lease at the next restart, so a full disk does not stop acting now. A mark only rises: heard
      // on a clock that was ahead it would stand for every head that comes until then, so the controller's clock bounds it.
      marks.raise({ "lease/issued": issuedMs, "lease/heard": Math.min(heardMs, issuedAtMs) });
    },
    valid: (leaseSeconds) => {
      if (issuedMs === 0) return false;
      const leaseMs = leaseSeconds * 1_000;
      const nowMs = clock.nowMs();
      const sinceHeardMs = heardMonotonicMs === undefined ? nowMs - heardMs : monotonicMs() - heardMonotonicMs;
      if (sinceHeardMs < 0 || sinceHeardMs > leaseMs) return false;
      return nowMs - issuedMs <= leaseMs + skewMs;
    },
    lapsesAtMs: (leaseSeconds) =>
      issuedMs === 0 ? 0 : Math.min(heardMs + leaseSeconds * 1_000, issuedMs + leaseSeconds * 1_000 + skewMs),
  };
};
