import Type, { type Static } from "typebox";
import { criticalities, exposures, NeverTouch, Route } from "./bundle.ts";
import { ActionName, ConnectorName } from "./command.ts";
import { Decision } from "./decision.ts";
import { Detection, sourceDomains, UtcTimestamp } from "./detection.ts";
import { entityTypes } from "./entity.ts";
import { segmentPattern, sha256Pattern } from "./ids.ts";
import { Policy } from "./policy.ts";
import { RecordOf } from "./record.ts";
import { Weights } from "./weights.ts";

const Hash = Type.String({ pattern: sha256Pattern });
const Count = Type.Number({ minimum: 0 });

/** What inventory says about one entity of the detection. Absent = unknown. */
export const AssetFacts = Type.Object(
  {
    /** entityKey of the entity the facts are about. */
    entity: Type.String(),
    /** How many inventory entries match; only 1 is "exactly one thing". 0 = unknown to the inventory. */
    matches: Type.Integer({ minimum: 0 }),
    name: Type.Optional(Type.String()),
    class: Type.Optional(Type.String()),
    /** Assets of the same class: the population of a percent limit per asset class. */
    class_members: Type.Optional(Type.Integer({ minimum: 0 })),
    criticality: Type.Optional(Type.Enum(criticalities)),
    owner: Type.Optional(Type.String()),
    groups: Type.Optional(Type.Array(Type.String())),
    exposure: Type.Optional(Type.Enum(exposures)),
    subnet: Type.Optional(Type.String()),
    subnet_hosts: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Other names and addresses of the same thing: the never-touch list is checked against these too. */
    also: Type.Optional(
      Type.Array(Type.Object({ type: Type.Enum(entityTypes), value: Type.String() }, { additionalProperties: false })),
    ),
  },
  { additionalProperties: false },
);
export type AssetFacts = Static<typeof AssetFacts>;

/** Everything around a detection that a decision may look at, gathered before and stored in the token. */
export const Context = Type.Object(
  {
    received_at: UtcTimestamp,
    mode: Type.Enum(["enforce", "approve", "observe"]),
    killed: Type.Boolean(),
    /** Dead-man lease still valid. */
    lease_valid: Type.Boolean(),
    /** Containment circuit closed (automation allowed). */
    circuit_closed: Type.Boolean(),
    /** Connectors this agent has; a route to another one cannot be carried out here. Absent = not looked at. */
    connectors: Type.Optional(Type.Array(ConnectorName, { maxItems: 64 })),
    assets: Type.Array(AssetFacts),
    /** Recent detections about the same entities, decayed to now; rounded to 1e-6. */
    history: Type.Object({ detections: Count, distinct_rules: Count, actions: Count }, { additionalProperties: false }),
    /** Independent domains (this one included) that saw one of the entities within the window. */
    agreement: Type.Array(Type.Enum(sourceDomains)),
    /** Prior outcomes of acting on this rule here. */
    prior: Type.Object({ confirmed: Count, failed: Count, overridden: Count }, { additionalProperties: false }),
    /** Use of limit groups at decision time, `<policy>|<group>` -> count. Only groups that were read. */
    limits: RecordOf("^.{1,256}$", Type.Integer({ minimum: 0 })),
    /** Leases in force on targets of this detection. */
    leases: Type.Array(
      Type.Object({ action: ActionName, target: Type.String(), until: UtcTimestamp }, { additionalProperties: false }),
    ),
  },
  { additionalProperties: false },
);
export type Context = Static<typeof Context>;

/**
 * The part of the bundle that determined this decision, so that a token replays by itself, years later:
 * every policy that matched, lists cut to the entries the facts touch, matching never-touch entries, routes, cells.
 * A policy that did not match cannot change a decision; the bundle hash proves which set the slice was cut from.
 */
export const Slice = Type.Object(
  {
    policies: Type.Array(Policy),
    lists: RecordOf("^.{1,64}$", Type.Array(Type.String())),
    never_touch: Type.Array(NeverTouch),
    routing: Type.Array(Route),
    weights: Type.Pick(Weights, ["version", "prior_strength", "cells"], { additionalProperties: false }),
  },
  { additionalProperties: false },
);
export type Slice = Static<typeof Slice>;

/** One digest per section: an altered byte is named by the section it is in. */
export const TokenDigests = Type.Object(
  { header: Hash, detection: Hash, context: Hash, slice: Hash, decision: Hash },
  { additionalProperties: false },
);
export type TokenDigests = Static<typeof TokenDigests>;

export const TokenHeader = Type.Object(
  {
    v: Type.Literal(1),
    org: Type.String({ pattern: segmentPattern }),
    site: Type.String({ pattern: segmentPattern }),
    agent: Type.String({ pattern: segmentPattern }),
    /** Gap-free position in the agent's own chain, from 1. */
    sequence: Type.Integer({ minimum: 1 }),
    /** `<engine name>/<semantics version>`; a change of result for any input is a new version. */
    engine: Type.String({ maxLength: 64 }),
    decided_at: UtcTimestamp,
    bundle: Type.Object({ version: Type.Integer({ minimum: 0 }), hash: Hash }, { additionalProperties: false }),
    weights: Type.Object({ version: Type.Integer({ minimum: 0 }), hash: Hash }, { additionalProperties: false }),
  },
  { additionalProperties: false },
);
export type TokenHeader = Static<typeof TokenHeader>;

/** The immutable, hash-chained record of a decision. */
export const Token = Type.Object(
  {
    header: TokenHeader,
    detection: Detection,
    context: Context,
    slice: Slice,
    decision: Decision,
    digests: TokenDigests,
    /** Hash of the token before it in this agent's chain; 64 zeros for the first. */
    previous: Hash,
    /** SHA-256 over `previous` and the digests, in the order written, joined by newlines. */
    hash: Hash,
  },
  { additionalProperties: false },
);
export type Token = Static<typeof Token>;
export const firstPrevious = "0".repeat(64);
