import Type, { type Static } from "typebox";
import { ConnectorName } from "./command.ts";
import { UtcTimestamp } from "./detection.ts";
import { CommandId, segmentPattern, uuidV7Pattern } from "./ids.ts";
import { reasonLengthMax, ttlSecondsMax, ttlSecondsMin } from "./limits.ts";

const Segment = Type.String({ pattern: segmentPattern });
const aboutCommand = { command_id: CommandId };

/**
 * What a person may ask of an agent about what it has in force. Nothing here applies anything new: `undo` ends a lease early,
 * `extend` counts its ttl anew, `hand_over` makes a person its owner (the agent forgets its undo), `mark_undone` closes a
 * stuck one that was undone by hand, `reconcile` compares a connector with its target now.
 */
export const OrderDo = Type.Union([
  Type.Object({ kind: Type.Literal("undo"), ...aboutCommand }, { additionalProperties: false }),
  Type.Object(
    {
      kind: Type.Literal("extend"),
      ...aboutCommand,
      /** From `issued_at`, so that hearing the order twice ends the lease at the same moment. */
      ttl_seconds: Type.Integer({ minimum: ttlSecondsMin, maximum: ttlSecondsMax }),
    },
    { additionalProperties: false },
  ),
  Type.Object({ kind: Type.Literal("hand_over"), ...aboutCommand }, { additionalProperties: false }),
  Type.Object({ kind: Type.Literal("mark_undone"), ...aboutCommand }, { additionalProperties: false }),
  Type.Object({ kind: Type.Literal("reconcile"), connector: ConnectorName }, { additionalProperties: false }),
]);
export type OrderDo = Static<typeof OrderDo>;

/** For exactly one agent, signed by the head role, good for minutes: one that comes late is refused, never carried out. */
export const Order = Type.Object(
  {
    v: Type.Literal(1),
    kind: Type.Literal("order"),
    aud: Type.Object({ org: Segment, site: Segment, agent: Segment }, { additionalProperties: false }),
    order_id: Type.String({ pattern: uuidV7Pattern }),
    issued_at: UtcTimestamp,
    expires_at: UtcTimestamp,
    do: OrderDo,
    by: Type.String({ minLength: 1, maxLength: 128 }),
    reason: Type.String({ minLength: 1, maxLength: reasonLengthMax }),
  },
  { additionalProperties: false },
);
export type Order = Static<typeof Order>;
