import {
  type ConfidenceOrigin,
  confidenceOrigins,
  type Severity,
  type SourceDomain,
  severities,
  sourceDomains,
} from "@reflex/protocol/detection";
import { type EntityRole, type EntityType, entityRoles, entityTypes } from "@reflex/protocol/entity";
import { entitiesMax, entityValueLengthMax, textLengthMax } from "@reflex/protocol/limits";
import { type Draft, finishDetection } from "./draft.ts";
import { canonicalEntityValue, createEntityList, type EntityList } from "./entities.ts";
import { deadLetter, type Normaliser } from "./normaliser.ts";
import { below, type Fields, fieldsOf, readId, readText, readTexts, readTime } from "./reading.ts";

/**
 * Our own wire fields as JSON. Only `event_id` and `timestamp` must be there; what is left out gets the default that acts
 * least, and what is there but wrong where it steers an action (confidence, entities) is refused rather than guessed.
 */
export const normaliseNative: Normaliser = (value) => {
  const record = fieldsOf(value);
  if (record === undefined) return deadLetter("schema-invalid", "a detection is an object");
  const eventId = readId(record["event_id"], 256);
  if (eventId === undefined) return deadLetter("schema-invalid", "event_id is missing or not plain text of 1..256");
  const time = readTime(record["timestamp"]);
  if (time === undefined || time.tag !== undefined) return deadLetter("timestamp-malformed", "timestamp");
  const confidence = readConfidence(record);
  if (confidence === "illegal") return deadLetter("schema-invalid", "confidence is not between 0 and 1");
  const entities = createEntityList();
  const malformed = addEntities(record, entities);
  if (malformed !== undefined) return deadLetter("entity-malformed", malformed);
  const srcHost = readText(record["src_host"], entityValueLengthMax);
  const dstHost = readText(record["dst_host"], entityValueLengthMax);
  const hasRole = (...roles: EntityRole[]): boolean =>
    entities.entities.some(({ role }) => role !== undefined && roles.includes(role));
  if (!hasRole("source")) entities.addMachine(srcHost, "source");
  if (!hasRole("destination")) entities.addMachine(dstHost, "destination");
  const rule = below(record, "rule");
  const source = below(record, "source");
  return finishDetection({
    eventId,
    timeMs: time.timeMs,
    confidence,
    severity: readSeverity(record["severity"]),
    srcHost: canonicalOr(srcHost),
    dstHost: canonicalOr(dstHost),
    tags: readTexts(record["tags"], 256),
    recommendedAction: readText(record["recommended_action"], 64)?.toLowerCase(),
    policyScope: readText(record["policy_scope"], 64),
    correlationId: readText(record["correlation_id"], 256),
    entities,
    rule: {
      id: readText(rule["id"] ?? record["rule"], 256) ?? "unspecified",
      name: readText(rule["name"], textLengthMax) ?? "",
      origin: readText(rule["origin"], 64)?.toLowerCase().replaceAll(" ", "_") ?? "unspecified",
    },
    source: {
      kind: readText(source["kind"], 64)?.toLowerCase() ?? "native",
      // One domain for all who do not say: two of them never count as independent views.
      domain: oneOf<SourceDomain>(sourceDomains, source["domain"]) ?? "network",
      sensor: readText(source["sensor"], entityValueLengthMax),
    },
    enrichment: below(record, "enrichment"),
  });
};

const readConfidence = (record: Fields): Draft["confidence"] | "illegal" => {
  const value = record["confidence"];
  // Absent, not zero: a default never carries the sender's word for its origin.
  if (value === undefined || value === null) return undefined;
  // 95 could be percent or a mistake; acting on a guess is what this must never do.
  if (typeof value !== "number" || !(value >= 0 && value <= 1)) return "illegal";
  return { value, origin: oneOf<ConfidenceOrigin>(confidenceOrigins, record["confidence_origin"]) ?? "vendor" };
};

const readSeverity = (value: unknown): Severity | undefined => {
  const text = readText(value, 32)?.toLowerCase();
  return text === "informational" || text === "info" ? "low" : oneOf<Severity>(severities, text);
};

/** The first entity that is not legal, by its place; a detection about half of its entities would be another detection. */
const addEntities = (record: Fields, entities: EntityList): string | undefined => {
  const listed = record["entities"];
  if (listed === undefined || listed === null) return undefined;
  if (!Array.isArray(listed)) return "entities is not a list";
  if (listed.length > entitiesMax) return `entities: more than ${entitiesMax}`;
  for (const [index, one] of listed.entries()) {
    const fields = fieldsOf(one) ?? {};
    const type = oneOf<EntityType>(entityTypes, fields["type"]);
    const role = fields["role"] === undefined ? undefined : oneOf<EntityRole>(entityRoles, fields["role"]);
    if (type === undefined || (role === undefined && fields["role"] !== undefined)) return `entities/${index}`;
    if (canonicalEntityValue(type, fields["value"]) === undefined) return `entities/${index}/value`;
    entities.add(type, fields["value"], role);
  }
  return undefined;
};

/** Equal machines are equal strings, where the text is a machine; else as sent. */
const canonicalOr = (text: string | undefined): string | undefined =>
  text === undefined
    ? undefined
    : (canonicalEntityValue("address", text) ?? canonicalEntityValue("host", text) ?? text);

const oneOf = <T extends string>(words: readonly T[], value: unknown): T | undefined =>
  words.find((word) => word === value);
