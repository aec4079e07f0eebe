import type { ActionName } from "./action.ts";
import type { Command } from "./command.ts";
import type { ConfidenceOrigin, Detection, Severity, SourceDomain } from "./detection.ts";
import type { Entity, EntityRole, EntityType } from "./entity.ts";
import type { Feedback } from "./feedback.ts";

/**
 * Numbers of the protobuf encoding. They are the wire: a number is never changed and never used again, a new field or value
 * takes the next free one. What is here and what the schemas say must be the same; the compiler and a test see to it.
 */
type Numbers<Name extends PropertyKey> = Readonly<Record<Name, number>>;
type FieldsOf<Message> = Numbers<keyof Required<Message>>;

export const fieldNumbers = {
  Detection: {
    event_id: 1,
    timestamp: 2,
    confidence: 3,
    confidence_origin: 4,
    severity: 5,
    src_host: 6,
    dst_host: 7,
    tags: 8,
    recommended_action: 9,
    policy_scope: 10,
    correlation_id: 11,
    entities: 12,
    rule: 13,
    source: 14,
    enrichment: 15,
  } satisfies FieldsOf<Detection>,
  Entity: { type: 1, value: 2, role: 3 } satisfies FieldsOf<Entity>,
  Rule: { id: 1, name: 2, origin: 3 } satisfies FieldsOf<Detection["rule"]>,
  DetectionSource: { kind: 1, domain: 2, sensor: 3 } satisfies FieldsOf<Detection["source"]>,
  Command: {
    command_id: 1,
    decision_id: 2,
    action: 3,
    target: 4,
    reason: 5,
    ttl: 6,
    idempotency_key: 7,
    connector: 8,
    issued_at: 9,
  } satisfies FieldsOf<Command>,
  Feedback: {
    decision_id: 1,
    outcome: 2,
    execution_latency_ms: 3,
    analyst_override: 4,
    confidence_adjustment: 5,
    verdict: 6,
    verdict_source: 7,
    analyst: 8,
    decided_at: 9,
    verdict_at: 10,
    policy_version: 11,
    policy_hash: 12,
    weights_version: 13,
    propensity: 14,
  } satisfies FieldsOf<Feedback>,
} as const;
export type MessageName = keyof typeof fieldNumbers;

/** A scalar of JSON is a message with one of these fields set. */
export const scalarNumbers = { text: 1, number: 2, flag: 3 } as const;

/** Zero stays free in every enum: proto3 reads a value that is not there as zero, and no meaning may be a default. */
export const enumNumbers = {
  Severity: { low: 1, medium: 2, high: 3, critical: 4 } satisfies Numbers<Severity>,
  ConfidenceOrigin: { vendor: 1, learned: 2, mapped: 3, default: 4 } satisfies Numbers<ConfidenceOrigin>,
  SourceDomain: { network: 1, host: 2, identity: 3, cloud: 4, application: 5 } satisfies Numbers<SourceDomain>,
  EntityType: {
    address: 1,
    network: 2,
    host: 3,
    user: 4,
    domain: 5,
    process: 6,
    file: 7,
    key: 8,
  } satisfies Numbers<EntityType>,
  EntityRole: {
    source: 1,
    destination: 2,
    attacker: 3,
    victim: 4,
    actor: 5,
    target: 6,
    observer: 7,
  } satisfies Numbers<EntityRole>,
  ActionName: {
    block_ip: 1,
    allow_ip: 2,
    block_range: 3,
    block_domain: 4,
    isolate_host: 5,
    release_host: 6,
    quarantine_file: 7,
    suspend_process: 8,
    disable_user: 9,
    suspend_account: 10,
    disable_key: 11,
    notify: 12,
  } satisfies Numbers<ActionName>,
  FeedbackOutcome: { success: 1, failure: 2, overridden: 3 } satisfies Numbers<Feedback["outcome"]>,
  FeedbackVerdict: {
    true_positive: 1,
    benign_positive: 2,
    false_positive: 3,
    undetermined: 4,
  } satisfies Numbers<Feedback["verdict"]>,
  VerdictSource: { explicit: 1, override: 2, implicit: 3, imported: 4 } satisfies Numbers<Feedback["verdict_source"]>,
} as const;
export type EnumName = keyof typeof enumNumbers;

/** What JSON Schema leaves without a name: which message or enum a field holds, by `<message>.<field>`. */
export const typeNames: Readonly<Record<string, MessageName | EnumName>> = {
  "Detection.confidence_origin": "ConfidenceOrigin",
  "Detection.severity": "Severity",
  "Detection.entities": "Entity",
  "Detection.rule": "Rule",
  "Detection.source": "DetectionSource",
  "Entity.type": "EntityType",
  "Entity.role": "EntityRole",
  "DetectionSource.domain": "SourceDomain",
  "Command.action": "ActionName",
  "Command.target": "Entity",
  "Feedback.outcome": "FeedbackOutcome",
  "Feedback.verdict": "FeedbackVerdict",
  "Feedback.verdict_source": "VerdictSource",
};
