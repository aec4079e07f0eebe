import Type, { type Static } from "typebox";
import { ActionName, ConnectorName } from "./command.ts";
import { UtcTimestamp } from "./detection.ts";
import { Entity } from "./entity.ts";
import { DecisionId } from "./ids.ts";
import { candidatesMax, reasonLengthMax, textLengthMax } from "./limits.ts";
import { Approval, layers } from "./policy.ts";
import { RefusalCodeSchema } from "./refusal.ts";

export const verdicts = ["act", "ask", "hold", "refuse", "observe"] as const;
export type Verdict = (typeof verdicts)[number];

/** Why a human has to look; feeds learning. */
export const exceptions = ["unmatched", "contradictory", "unexecutable"] as const;

/** One share of the score, in log-odds, so that shares add up and can be shown to an analyst. */
export const Factor = Type.Object(
  { name: Type.String({ maxLength: 64 }), value: Type.String({ maxLength: 256 }), log_odds: Type.Number() },
  { additionalProperties: false },
);
export type Factor = Static<typeof Factor>;

export const PolicyReference = Type.Object(
  {
    id: Type.String({ maxLength: 128 }),
    layer: Type.Enum(layers),
    effect: Type.Enum(["allow", "deny", "require_approval", "restrict"]),
    /** Which code this policy contributed, e.g. `limit-exceeded`; `unknown` facts say which field. */
    code: Type.Optional(RefusalCodeSchema),
    detail: Type.Optional(Type.String({ maxLength: reasonLengthMax })),
  },
  { additionalProperties: false },
);
export type PolicyReference = Static<typeof PolicyReference>;

/** One granted (action, target), judged on its own. */
export const Candidate = Type.Object(
  {
    action: ActionName,
    target: Entity,
    connector: Type.Optional(ConnectorName),
    ttl_seconds: Type.Integer({ minimum: 0 }),
    verdict: Type.Enum(["act", "ask", "refuse", "observe"]),
    /** Why not `act`; absent when it is. */
    code: Type.Optional(RefusalCodeSchema),
    permits: Type.Array(PolicyReference),
    guards: Type.Array(PolicyReference),
    approval: Type.Optional(Approval),
    /** Limit groups this candidate would use, `<policy>|<group>`; reserved when it acts. */
    limits: Type.Array(Type.String({ maxLength: 256 })),
  },
  { additionalProperties: false },
);
export type Candidate = Static<typeof Candidate>;

/** The result of evaluating one detection. */
export const Decision = Type.Object(
  {
    decision_id: DecisionId,
    event_id: Type.String({ minLength: 1, maxLength: 256 }),
    verdict: Type.Enum(verdicts),
    code: Type.Optional(RefusalCodeSchema),
    exception: Type.Optional(Type.Enum(exceptions)),
    /** Response score in [0,1], rounded to 1e-6; equals the logistic of the sum of the factors. */
    score: Type.Number({ minimum: 0, maximum: 1 }),
    /** Calibrated confidence in [0,1], rounded to 1e-6. */
    confidence: Type.Number({ minimum: 0, maximum: 1 }),
    factors: Type.Array(Factor),
    candidates: Type.Array(Candidate, { maxItems: candidatesMax }),
    /** One sentence an analyst can read aloud. */
    justification: Type.String({ maxLength: 2 * textLengthMax }),
    undo: Type.String({ maxLength: textLengthMax }),
    next_review_at: Type.Optional(UtcTimestamp),
  },
  { additionalProperties: false },
);
export type Decision = Static<typeof Decision>;
