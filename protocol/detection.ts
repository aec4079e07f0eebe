import Type, { type Static } from "typebox";
import { Entity } from "./entity.ts";
import {
  enrichmentFieldsMax,
  entitiesMax,
  entityValueLengthMax,
  tagLengthMax,
  tagsMax,
  textLengthMax,
} from "./limits.ts";
import { RecordOf } from "./record.ts";

export const severities = ["low", "medium", "high", "critical"] as const;
export type Severity = (typeof severities)[number];
export const confidenceOrigins = ["vendor", "learned", "mapped", "default"] as const;
export type ConfidenceOrigin = (typeof confidenceOrigins)[number];

/** Where a source looks from; agreement across domains raises the score, repetition within one does not. */
export const sourceDomains = ["network", "host", "identity", "cloud", "application"] as const;
export type SourceDomain = (typeof sourceDomains)[number];

// Which days there are is in the pattern, so that the JSON Schema alone refuses 30 February, in every message and language.
const commonDay =
  "\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))";
const leapDay = "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29";

/** RFC 3339 in UTC with milliseconds, `2026-01-31T12:00:00.000Z`: one spelling, so equal times are equal strings. */
export const utcTimestampPattern = `^(?:${commonDay}|${leapDay})T(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d\\.\\d{3}Z$`;
export const UtcTimestamp = Type.String({ pattern: utcTimestampPattern });

export const Rule = Type.Object(
  {
    /** Vendor's id of the rule: `2001219`, `5712`, `T1110`. Never empty. */
    id: Type.String({ minLength: 1, maxLength: 256 }),
    name: Type.String({ maxLength: textLengthMax }),
    /** Where the rule comes from as policies see it: `known_ioc`, `behaviour`, `signature`, `anomaly`, … */
    origin: Type.String({ minLength: 1, maxLength: 64 }),
  },
  { additionalProperties: false },
);

export const DetectionSource = Type.Object(
  {
    /** Format that was normalised: `native`, `suricata`, `wazuh`, … */
    kind: Type.String({ minLength: 1, maxLength: 64 }),
    domain: Type.Enum(sourceDomains),
    /** Sensor or manager name, so that two sensors count as two. */
    sensor: Type.Optional(Type.String({ maxLength: entityValueLengthMax })),
  },
  { additionalProperties: false },
);

/** One confirmed SIEM/EDR/NDR finding, normalised: the only input of a decision. */
export const Detection = Type.Object(
  {
    event_id: Type.String({ minLength: 1, maxLength: 256 }),
    timestamp: UtcTimestamp,
    confidence: Type.Number({ minimum: 0, maximum: 1 }),
    confidence_origin: Type.Enum(confidenceOrigins),
    severity: Type.Enum(severities),
    src_host: Type.Optional(Type.String({ minLength: 1, maxLength: entityValueLengthMax })),
    dst_host: Type.Optional(Type.String({ minLength: 1, maxLength: entityValueLengthMax })),
    tags: Type.Array(Type.String({ minLength: 1, maxLength: tagLengthMax }), { maxItems: tagsMax }),
    recommended_action: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    policy_scope: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    correlation_id: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    entities: Type.Array(Entity, { maxItems: entitiesMax }),
    rule: Rule,
    source: DetectionSource,
    /** Scalar facts beside the known fields; keys are lower-case dotted names. */
    enrichment: RecordOf(
      "^[a-z0-9_.-]{1,64}$",
      Type.Union([Type.String({ maxLength: textLengthMax }), Type.Number(), Type.Boolean()]),
      enrichmentFieldsMax,
    ),
  },
  { additionalProperties: false },
);
export type Detection = Static<typeof Detection>;
