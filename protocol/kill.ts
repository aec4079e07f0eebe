import Type, { type Static } from "typebox";
import { UtcTimestamp } from "./detection.ts";
import { segmentPattern } from "./ids.ts";
import { reasonLengthMax } from "./limits.ts";

/**
 * Kill state of one scope (agent, site or org). Engaging needs one key and no clock; releasing needs two.
 * The epoch only grows: a replayed release can never undo a later kill.
 */
export const KillState = Type.Object(
  {
    v: Type.Literal(1),
    kind: Type.Literal("kill"),
    aud: Type.Object(
      {
        org: Type.String({ pattern: segmentPattern }),
        /** `*` = whole organisation; then agent must be `*` too. */
        site: Type.String({ pattern: "^([a-z0-9_-]{1,48}|\\*)$" }),
        agent: Type.String({ pattern: "^([a-z0-9_-]{1,48}|\\*)$" }),
      },
      { additionalProperties: false },
    ),
    state: Type.Enum(["engaged", "armed"]),
    epoch: Type.Integer({ minimum: 1 }),
    reason: Type.String({ minLength: 1, maxLength: reasonLengthMax }),
    by: Type.String({ minLength: 1, maxLength: 128 }),
    issued_at: UtcTimestamp,
  },
  { additionalProperties: false },
);
export type KillState = Static<typeof KillState>;

/** The state to keep of two for one scope: the higher epoch; at a tie, engaged wins. */
export const strongerKillState = <T extends Pick<KillState, "epoch" | "state">>(a: T, b: T): T => {
  if (a.epoch !== b.epoch) return a.epoch > b.epoch ? a : b;
  return a.state === "engaged" ? a : b;
};

export const killScopeKey = (aud: KillState["aud"]): string => `${aud.org}/${aud.site}/${aud.agent}`;

/** Does a kill for `aud` reach this agent? */
export const killReaches = (aud: KillState["aud"], agent: { org: string; site: string; agent: string }): boolean =>
  aud.org === agent.org &&
  (aud.site === "*" || aud.site === agent.site) &&
  (aud.agent === "*" || aud.agent === agent.agent);
