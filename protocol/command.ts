import Type, { type Static } from "typebox";
import { actionNames } from "./action.ts";
import { UtcTimestamp } from "./detection.ts";
import { Entity } from "./entity.ts";
import { CommandId, DecisionId, sha256Pattern } from "./ids.ts";
import { reasonLengthMax, ttlSecondsMax, ttlSecondsMin } from "./limits.ts";

export const ActionName = Type.Enum(actionNames as unknown as ["block_ip", ...(typeof actionNames)[number][]]);

/** Connector instance name, as configured on the agent and routed by the bundle: `edl`, `nftables`, `fw-dmz`. */
export const ConnectorName = Type.String({ pattern: "^[a-z0-9][a-z0-9_-]{0,47}$" });

/** One instance of an action sent to a connector. */
export const Command = Type.Object(
  {
    command_id: CommandId,
    decision_id: DecisionId,
    action: ActionName,
    target: Entity,
    reason: Type.String({ maxLength: reasonLengthMax }),
    /** Seconds the command may stay in force, counted from when it was confirmed. */
    ttl: Type.Integer({ minimum: ttlSecondsMin, maximum: ttlSecondsMax }),
    /** Same decision, action and target -> same key -> one effect at the far end, however often it is sent. */
    idempotency_key: Type.String({ pattern: sha256Pattern }),
    connector: ConnectorName,
    issued_at: UtcTimestamp,
  },
  { additionalProperties: false },
);
export type Command = Static<typeof Command>;
