import Type, { type Static } from "typebox";
import { ActionName } from "./command.ts";
import { policyIdPattern } from "./ids.ts";
import { listEntriesMax, reasonLengthMax, ttlSecondsMax, ttlSecondsMin } from "./limits.ts";

/**
 * Canonical form of one policy, as compiled from its YAML file and signed inside a bundle.
 * Closed on purpose: fields x operators, no expressions, so that analysis stays exact (see policies/language).
 */
export const layers = ["global", "domain", "contextual", "action"] as const;
export type Layer = (typeof layers)[number];

/** Operators of a condition; the meaning of each is in one table, policies/language/operators.ts. */
export const operators = [
  "in",
  "not_in",
  "gt",
  "gte",
  "lt",
  "lte",
  "has_any",
  "has_all",
  "in_cidr",
  "outside",
  "overlaps",
  "present",
] as const;
export type Operator = (typeof operators)[number];

const Scalar = Type.Union([Type.String({ maxLength: 512 }), Type.Number(), Type.Boolean()]);

export const Condition = Type.Object(
  {
    field: Type.String({ minLength: 1, maxLength: 64 }),
    op: Type.Enum(operators),
    /** One value or several (OR). `$name` refers to a list of the bundle. */
    value: Type.Union([Scalar, Type.Array(Scalar, { maxItems: listEntriesMax })]),
  },
  { additionalProperties: false },
);
export type Condition = Static<typeof Condition>;

/** A cap: how many, of what, per what, over which window. Reserved before acting, released when provably not done. */
export const Limit = Type.Object(
  {
    count: Type.Enum(["actions", "targets"]),
    per: Type.Enum(["agent", "site", "fleet", "subnet", "asset_class", "connector", "target"]),
    max: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Percent of the population of the same group (hosts of the subnet, …); rounds down. */
    max_percent: Type.Optional(Type.Number({ minimum: 0, maximum: 100 })),
    window_seconds: Type.Integer({ minimum: 1, maximum: 7 * 24 * 3600 }),
  },
  { additionalProperties: false },
);
export type Limit = Static<typeof Limit>;

export const Approval = Type.Object(
  {
    from: Type.String({ minLength: 1, maxLength: 64 }),
    quorum: Type.Integer({ minimum: 1, maximum: 5 }),
    expires_seconds: Type.Integer({ minimum: 60, maximum: 7 * 24 * 3600 }),
    on_timeout: Type.Enum(["deny"]),
  },
  { additionalProperties: false },
);
export type Approval = Static<typeof Approval>;

const common = {
  id: Type.String({ pattern: policyIdPattern }),
  layer: Type.Enum(layers),
  why: Type.String({ minLength: 1, maxLength: reasonLengthMax }),
  match: Type.Array(Condition, { maxItems: 32 }),
  /** Blocks of conditions; the policy does not match where any block matches. */
  unless: Type.Array(Type.Array(Condition, { minItems: 1, maxItems: 32 }), { maxItems: 16 }),
  /** Decided and recorded, never acted on. */
  shadow: Type.Boolean(),
};

/** May do X when … : only the action layer can hold one. */
export const Permit = Type.Object(
  {
    ...common,
    kind: Type.Literal("permit"),
    do: Type.Object(
      {
        action: ActionName,
        /** `<role>.<type>` or `<type>`: which entity of the detection, e.g. `attacker.address`, `user`. */
        target: Type.String({ pattern: "^([a-z]+\\.)?[a-z]+$" }),
        ttl_seconds: Type.Integer({ minimum: ttlSecondsMin, maximum: ttlSecondsMax }),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
);
export type Permit = Static<typeof Permit>;

/** Never / only if / at most / ask first. With `limit`, the effect applies when the cap would be exceeded or is unknown. */
export const Guard = Type.Object(
  {
    ...common,
    kind: Type.Literal("guard"),
    then: Type.Enum(["deny", "require_approval", "restrict"]),
    limit: Type.Optional(Limit),
    approval: Type.Optional(Approval),
    /** Obligation joined to the strictest: no lease of a matching candidate may be longer. */
    ttl_max_seconds: Type.Optional(Type.Integer({ minimum: ttlSecondsMin, maximum: ttlSecondsMax })),
  },
  { additionalProperties: false },
);
export type Guard = Static<typeof Guard>;

export const Policy = Type.Union([Permit, Guard]);
export type Policy = Static<typeof Policy>;
