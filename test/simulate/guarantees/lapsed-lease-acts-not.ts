import { leaseSeconds } from "../bundles.ts";
import { type Guarantee, nothingAtEnd } from "../happening.ts";

const roundingMs = 1_000;
/** After a restart what was heard is dated by the controller's clock, which may be off by as much. */
const controllerSkewMs = 60_000;

/**
 * The right to act ends when the controller was not heard for as long as the bundle says. A clock that was set back while the
 * agent was down is all that can lengthen it, by as much: no other clock is left then.
 */
export const lapsedLeaseActsNot = (): Guarantee => {
  let heardMs: number | undefined;
  let heardAgentMs = 0;
  let lostMs = 0;
  let skewMs = 0;
  return {
    name: "who is not heard from gives no right to act",
    note: (happening, atMs) => {
      switch (happening.kind) {
        case "head_heard":
          heardMs = atMs;
          heardAgentMs = happening.agentMs;
          lostMs = 0;
          skewMs = 0;
          return undefined;
        case "booted":
          skewMs = controllerSkewMs;
          if (heardMs !== undefined) lostMs = Math.max(0, atMs - heardMs - (happening.agentMs - heardAgentMs));
          return undefined;
        case "apply_started": {
          if (heardMs === undefined) return `${happening.action} ${happening.target} before any head was heard`;
          const sinceMs = atMs - heardMs - lostMs - skewMs;
          if (sinceMs <= leaseSeconds * 1_000 + roundingMs) return undefined;
          return `${happening.action} ${happening.target}, ${Math.round(sinceMs / 1_000)} s after the last head`;
        }
        default:
          return undefined;
      }
    },
    atEnd: nothingAtEnd,
  };
};
