import Type, { type Static } from "typebox";
import { UtcTimestamp } from "./detection.ts";
import { DecisionId, sha256Pattern } from "./ids.ts";

export const feedbackOutcomes = ["success", "failure", "overridden"] as const;
export const feedbackVerdicts = ["true_positive", "benign_positive", "false_positive", "undetermined"] as const;
export const verdictSources = ["explicit", "override", "implicit", "imported"] as const;

/** Did the connector work (`outcome`) and was it right (`verdict`): two different things, never one field. */
export const Feedback = Type.Object(
  {
    decision_id: DecisionId,
    outcome: Type.Enum(feedbackOutcomes),
    /** Correlation (detection's timestamp of arrival) to action confirmed. */
    execution_latency_ms: Type.Optional(Type.Number({ minimum: 0 })),
    analyst_override: Type.Boolean(),
    /** An analyst's hint; logged, clamped to ±0.1, never summed. */
    confidence_adjustment: Type.Number({ minimum: -0.1, maximum: 0.1 }),
    verdict: Type.Enum(feedbackVerdicts),
    verdict_source: Type.Enum(verdictSources),
    analyst: Type.Optional(Type.String({ maxLength: 128 })),
    decided_at: UtcTimestamp,
    verdict_at: Type.Optional(UtcTimestamp),
    policy_version: Type.Integer({ minimum: 0 }),
    policy_hash: Type.String({ pattern: sha256Pattern }),
    weights_version: Type.Integer({ minimum: 0 }),
    /** Probability with which this decision was taken; 1 unless exploration chose. */
    propensity: Type.Number({ minimum: 0, maximum: 1 }),
  },
  { additionalProperties: false },
);
export type Feedback = Static<typeof Feedback>;
