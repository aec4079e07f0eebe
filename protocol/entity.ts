import Type, { type Static } from "typebox";
import { entityValueLengthMax } from "./limits.ts";

/** What a detection or action is about. `key` is an access key or API key id, `file` a SHA-256. */
export const entityTypes = ["address", "network", "host", "user", "domain", "process", "file", "key"] as const;
export type EntityType = (typeof entityTypes)[number];

/**
 * Part the entity plays in the detection. `attacker` and `victim` only when the source says so;
 * `source` and `destination` are directions of traffic; `observer` is the sensor and never a target.
 */
export const entityRoles = ["source", "destination", "attacker", "victim", "actor", "target", "observer"] as const;
export type EntityRole = (typeof entityRoles)[number];

export const EntityType = Type.Enum(entityTypes);
export const EntityRole = Type.Enum(entityRoles);

export const Entity = Type.Object(
  {
    type: EntityType,
    value: Type.String({ minLength: 1, maxLength: entityValueLengthMax }),
    role: Type.Optional(EntityRole),
  },
  { additionalProperties: false },
);
export type Entity = Static<typeof Entity>;

/** `address 203.0.113.9`: how an entity is written in reasons and on screens. */
export const entityText = (entity: Pick<Entity, "type" | "value">): string => `${entity.type} ${entity.value}`;
/** Key for maps and per-entity order; `|` cannot be part of a type. */
export const entityKey = (entity: Pick<Entity, "type" | "value">): string => `${entity.type}|${entity.value}`;
