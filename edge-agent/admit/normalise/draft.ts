import type { ConfidenceOrigin, Detection, Severity, SourceDomain } from "@reflex/protocol/detection";
import { enrichmentFieldsMax, textLengthMax } from "@reflex/protocol/limits";
import { timestampOf } from "@reflex/protocol/timestamp";
import type { EntityList } from "./entities.ts";
import { deadLetter, type Normalised } from "./normaliser.ts";
import { readText, tagsOf } from "./reading.ts";

/** What a normaliser read, before bounds and defaults. */
export type Draft = {
  readonly eventId: string;
  readonly timeMs: number;
  /** Absent: the vendor gives none. */
  readonly confidence?: { readonly value: number; readonly origin: ConfidenceOrigin } | undefined;
  /** Absent: unknown, which counts as low and says so in a tag. */
  readonly severity?: Severity | undefined;
  readonly srcHost?: string | undefined;
  readonly dstHost?: string | undefined;
  readonly tags: readonly (string | undefined)[];
  readonly recommendedAction?: string | undefined;
  readonly policyScope?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly entities: EntityList;
  readonly rule: { readonly id: string; readonly name: string; readonly origin: string };
  readonly source: { readonly kind: string; readonly domain: SourceDomain; readonly sensor?: string | undefined };
  readonly enrichment: Readonly<Record<string, unknown>>;
};

/** Assumed where nobody learned and nobody said anything: all below what any permit should act on alone. */
export const defaultConfidence: Readonly<Record<Severity, number>> = {
  low: 0.3,
  medium: 0.4,
  high: 0.5,
  critical: 0.6,
};

/** Longest event id of the schema; a longer one is refused, because a cut id could equal another. */
const eventIdLengthMax = 256;

/** Always the same keys in the same order: the content hash of a detection is over this text. */
export const finishDetection = (draft: Draft): Normalised => {
  if (draft.eventId.length > eventIdLengthMax) return deadLetter("schema-invalid", "event_id is longer than 256");
  const severity = draft.severity ?? "low";
  const confidence = draft.confidence ?? { value: defaultConfidence[severity], origin: "default" as const };
  const { sensor, ...source } = draft.source;
  const detection: Detection = {
    event_id: draft.eventId,
    timestamp: timestampOf(draft.timeMs),
    confidence: confidence.value,
    confidence_origin: confidence.origin,
    severity,
    ...(draft.srcHost === undefined ? {} : { src_host: draft.srcHost }),
    ...(draft.dstHost === undefined ? {} : { dst_host: draft.dstHost }),
    tags: tagsOf([
      ...(draft.severity === undefined ? ["severity:unknown"] : []),
      ...draft.entities.tags(),
      ...draft.tags,
    ]),
    ...(draft.recommendedAction === undefined ? {} : { recommended_action: draft.recommendedAction }),
    ...(draft.policyScope === undefined ? {} : { policy_scope: draft.policyScope }),
    ...(draft.correlationId === undefined ? {} : { correlation_id: draft.correlationId }),
    entities: [...draft.entities.entities],
    rule: { id: draft.rule.id, name: draft.rule.name, origin: draft.rule.origin },
    source: { kind: source.kind, domain: source.domain, ...(sensor === undefined ? {} : { sensor }) },
    enrichment: boundedFacts(draft.enrichment),
  };
  return { kind: "detection", detection };
};

/** Scalars under legal names, sorted by name; the rest of a vendor's record stays with the vendor. */
const boundedFacts = (facts: Readonly<Record<string, unknown>>): Detection["enrichment"] => {
  const bounded: Record<string, string | number | boolean> = {};
  let count = 0;
  for (const key of Object.keys(facts).sort()) {
    const name = key.toLowerCase();
    if (!/^[a-z0-9_.-]{1,64}$/.test(name) || name === "__proto__" || Object.hasOwn(bounded, name)) continue;
    const value = facts[key];
    const scalar =
      typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))
        ? value
        : readText(value, textLengthMax);
    if (scalar === undefined) continue;
    if (count === enrichmentFieldsMax) break;
    bounded[name] = scalar;
    count += 1;
  }
  return bounded;
};
