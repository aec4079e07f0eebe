import Type, { type Static } from "typebox";
import { ActionName, ConnectorName } from "./command.ts";
import { Detection, sourceDomains, UtcTimestamp } from "./detection.ts";
import { policyIdPattern, segmentPattern, sha256Pattern } from "./ids.ts";
import {
  entityValueLengthMax,
  inventoryEntriesMax,
  listEntriesMax,
  neverTouchMax,
  policiesMax,
  reasonLengthMax,
  textLengthMax,
} from "./limits.ts";
import { Policy } from "./policy.ts";
import { RecordOf } from "./record.ts";

const Name = Type.String({ minLength: 1, maxLength: entityValueLengthMax });

export const criticalities = ["low", "medium", "high", "critical"] as const;
export const exposures = ["internal", "dmz", "external"] as const;

/** One thing we own. Unknown stays unknown: an absent field is never a default. */
export const InventoryAsset = Type.Object(
  {
    name: Name,
    hosts: Type.Array(Name, { maxItems: 16 }),
    addresses: Type.Array(Name, { maxItems: 64 }),
    class: Type.Optional(Name),
    criticality: Type.Optional(Type.Enum(criticalities)),
    owner: Type.Optional(Name),
    groups: Type.Optional(Type.Array(Name, { maxItems: 64 })),
    exposure: Type.Optional(Type.Enum(exposures)),
  },
  { additionalProperties: false },
);
export type InventoryAsset = Static<typeof InventoryAsset>;

export const InventoryUser = Type.Object(
  {
    name: Name,
    class: Type.Optional(Name),
    criticality: Type.Optional(Type.Enum(criticalities)),
    groups: Type.Optional(Type.Array(Name, { maxItems: 64 })),
  },
  { additionalProperties: false },
);
export type InventoryUser = Static<typeof InventoryUser>;

export const InventorySubnet = Type.Object(
  {
    name: Name,
    cidr: Name,
    /** Population for percent limits; absent = unknown = a percent limit fires. */
    hosts: Type.Optional(Type.Integer({ minimum: 0 })),
    exposure: Type.Optional(Type.Enum(exposures)),
  },
  { additionalProperties: false },
);
export type InventorySubnet = Static<typeof InventorySubnet>;

/** Typed, checked against the entity named by the detection *and* everything it resolves to. */
export const NeverTouch = Type.Object(
  {
    type: Type.Enum(["address", "network", "host", "user", "domain", "class", "group"]),
    value: Name,
    why: Type.String({ minLength: 1, maxLength: reasonLengthMax }),
  },
  { additionalProperties: false },
);
export type NeverTouch = Static<typeof NeverTouch>;

export const Route = Type.Object(
  {
    action: ActionName,
    connector: ConnectorName,
    /** Sites this route is for; absent = all of the audience. The first matching route wins. */
    sites: Type.Optional(Type.Array(Type.String({ pattern: segmentPattern }), { minItems: 1 })),
  },
  { additionalProperties: false },
);
export type Route = Static<typeof Route>;

export const BundleSettings = Type.Object(
  {
    /** Older detections go to the dead letters; the default suits a SIEM that correlates within minutes. */
    freshness_seconds: Type.Integer({ minimum: 10, maximum: 7 * 24 * 3600 }),
    /** Right to act without hearing the controller (dead-man lease). */
    lease_seconds: Type.Integer({ minimum: 60, maximum: 30 * 24 * 3600 }),
    /** Containment circuit: more actions than this in a minute pause automation and call a human. */
    actions_per_minute_max: Type.Integer({ minimum: 0, maximum: 10_000 }),
    /** Window in which the same entities count as recent history and independent sources as agreeing. */
    history_seconds: Type.Integer({ minimum: 60, maximum: 7 * 24 * 3600 }),
    /** Bound that the release keys put on the weights key: most that one step may raise a calibrated confidence, in log-odds; absent = 3. */
    weights_step_up_max: Type.Optional(Type.Number({ minimum: 0, maximum: 20 })),
    /** observe = decide and record only, whatever the policies say. */
    mode: Type.Enum(["enforce", "approve", "observe"]),
    /** A lease whose entry is gone from the target system: repair = applied again under the brakes, report = said once; absent = repair. */
    drift: Type.Optional(Type.Enum(["repair", "report"])),
  },
  { additionalProperties: false },
);
export type BundleSettings = Static<typeof BundleSettings>;

const Count = Type.Number({ minimum: 0 });

/** What a case assumes around its detection. What is absent is quiet: enforcing, link and circuits sound, nothing seen before. */
export const CaseContext = Type.Object(
  {
    site: Type.Optional(Type.String({ pattern: segmentPattern })),
    mode: Type.Optional(Type.Enum(["enforce", "approve", "observe"])),
    killed: Type.Optional(Type.Boolean()),
    lease_valid: Type.Optional(Type.Boolean()),
    circuit_closed: Type.Optional(Type.Boolean()),
    /** Other domains that saw one of the entities; the detection's own always counts. */
    agreement: Type.Optional(Type.Array(Type.Enum(sourceDomains), { maxItems: sourceDomains.length })),
    history: Type.Optional(
      Type.Object({ detections: Count, distinct_rules: Count, actions: Count }, { additionalProperties: false }),
    ),
    prior: Type.Optional(
      Type.Object({ confirmed: Count, failed: Count, overridden: Count }, { additionalProperties: false }),
    ),
  },
  { additionalProperties: false },
);
export type CaseContext = Static<typeof CaseContext>;

/** Cases travel with the bundle: the agent's own engine must pass them before it switches (same-engine self-test). */
export const BundleCase = Type.Object(
  {
    policy: Type.String({ pattern: policyIdPattern }),
    name: Type.String({ minLength: 1, maxLength: textLengthMax }),
    detection: Detection,
    expect: Type.Object(
      {
        verdict: Type.Enum(["act", "ask", "hold", "refuse", "observe"]),
        /** `<action> <type> <value>` of exactly the candidates that have this verdict, in any order. */
        actions: Type.Optional(Type.Array(Type.String({ maxLength: textLengthMax }))),
        /** Permits and guards that must be among those that determined the decision. */
        policies: Type.Optional(Type.Array(Type.String({ maxLength: 128 }))),
      },
      { additionalProperties: false },
    ),
    /** Counters the case assumes, by `<policy>|<group>`. */
    limits: Type.Optional(RecordOf("^.{1,256}$", Type.Integer({ minimum: 0 }))),
    context: Type.Optional(CaseContext),
  },
  { additionalProperties: false },
);
export type BundleCase = Static<typeof BundleCase>;

export const Audience = Type.Object(
  {
    org: Type.String({ pattern: segmentPattern }),
    /** Never empty: an empty selector must not mean "everything". `*` is written out. */
    sites: Type.Array(Type.String({ pattern: "^([a-z0-9_-]{1,48}|\\*)$" }), { minItems: 1, maxItems: 1_000 }),
  },
  { additionalProperties: false },
);
export type Audience = Static<typeof Audience>;

/** One signed, versioned set. The bytes that were signed are the bytes that are hashed, stored and published. */
export const Bundle = Type.Object(
  {
    v: Type.Literal(1),
    kind: Type.Literal("bundle"),
    aud: Audience,
    version: Type.Integer({ minimum: 1 }),
    parent: Type.Optional(Type.String({ pattern: sha256Pattern })),
    issued_at: UtcTimestamp,
    /** Engine the publisher checked it with; an agent with another engine refuses. */
    engine: Type.String({ minLength: 1, maxLength: 64 }),
    changelog: Type.String({ maxLength: 8_192 }),
    policies: Type.Array(Policy, { maxItems: policiesMax }),
    cases: Type.Array(BundleCase, { maxItems: 50_000 }),
    lists: RecordOf("^[a-z][a-z0-9_]{0,63}$", Type.Array(Name, { maxItems: listEntriesMax })),
    inventory: Type.Object(
      {
        assets: Type.Array(InventoryAsset, { maxItems: inventoryEntriesMax }),
        users: Type.Array(InventoryUser, { maxItems: inventoryEntriesMax }),
        subnets: Type.Array(InventorySubnet, { maxItems: inventoryEntriesMax }),
      },
      { additionalProperties: false },
    ),
    never_touch: Type.Array(NeverTouch, { maxItems: neverTouchMax }),
    routing: Type.Array(Route, { maxItems: 1_000 }),
    settings: BundleSettings,
  },
  { additionalProperties: false },
);
export type Bundle = Static<typeof Bundle>;

export const defaultSettings: BundleSettings = {
  freshness_seconds: 3_600,
  lease_seconds: 24 * 3_600,
  actions_per_minute_max: 60,
  history_seconds: 3_600,
  mode: "enforce",
};
