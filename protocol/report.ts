import Type, { type Static } from "typebox";
import { Command } from "./command.ts";
import { commandStates } from "./command-life.ts";
import { UtcTimestamp } from "./detection.ts";
import { Feedback } from "./feedback.ts";
import { segmentPattern, sha256Pattern, uuidV7Pattern } from "./ids.ts";
import { batchRecordsMax } from "./limits.ts";
import { RefusalCodeSchema } from "./refusal.ts";
import { Token } from "./token.ts";

/** A step in a command's life as reported; the newest per command is its state. */
export const CommandReport = Type.Object(
  {
    command: Command,
    state: Type.Enum(commandStates),
    at: UtcTimestamp,
    /** When the undo is due; set once something may be in force. */
    undo_at: Type.Optional(UtcTimestamp),
    attempts: Type.Integer({ minimum: 0 }),
    code: Type.Optional(RefusalCodeSchema),
    detail: Type.Optional(Type.String({ maxLength: 512 })),
    /** False: the connector cannot verify, so the command is at most once and unproven. */
    verified: Type.Boolean(),
  },
  { additionalProperties: false },
);
export type CommandReport = Static<typeof CommandReport>;

export const DeadLetterReport = Type.Object(
  {
    at: UtcTimestamp,
    source: Type.String({ maxLength: 128 }),
    code: RefusalCodeSchema,
    detail: Type.String({ maxLength: 512 }),
    bytes: Type.Integer({ minimum: 0 }),
    sha256: Type.String({ pattern: sha256Pattern }),
  },
  { additionalProperties: false },
);
export type DeadLetterReport = Static<typeof DeadLetterReport>;

/** Something a person should know: kill heard, bundle refused, circuit opened, undo stuck. */
export const AgentEvent = Type.Object(
  {
    at: UtcTimestamp,
    level: Type.Enum(["info", "warning", "alarm"]),
    name: Type.String({ maxLength: 64 }),
    code: Type.Optional(RefusalCodeSchema),
    detail: Type.String({ maxLength: 1_024 }),
    /** `order-done` and `order-refused` name the order they answer. */
    order_id: Type.Optional(Type.String({ pattern: uuidV7Pattern })),
  },
  { additionalProperties: false },
);
export type AgentEvent = Static<typeof AgentEvent>;

/** Says what is missing, signed with the batch it travels in: nothing is dropped silently. */
export const Gap = Type.Object(
  {
    at: UtcTimestamp,
    first: Type.Integer({ minimum: 1 }),
    last: Type.Integer({ minimum: 1 }),
    code: RefusalCodeSchema,
  },
  { additionalProperties: false },
);
export type Gap = Static<typeof Gap>;

const sequence = Type.Integer({ minimum: 1 });
/** One report; `sequence` is gap-free per agent. */
export const ReportRecord = Type.Union([
  Type.Object({ sequence, kind: Type.Literal("token"), body: Token }, { additionalProperties: false }),
  Type.Object({ sequence, kind: Type.Literal("command"), body: CommandReport }, { additionalProperties: false }),
  Type.Object({ sequence, kind: Type.Literal("feedback"), body: Feedback }, { additionalProperties: false }),
  Type.Object({ sequence, kind: Type.Literal("dead_letter"), body: DeadLetterReport }, { additionalProperties: false }),
  Type.Object({ sequence, kind: Type.Literal("event"), body: AgentEvent }, { additionalProperties: false }),
  Type.Object({ sequence, kind: Type.Literal("gap"), body: Gap }, { additionalProperties: false }),
]);
export type ReportRecord = Static<typeof ReportRecord>;
export type ReportKind = ReportRecord["kind"];

/** Payload of a batch envelope, signed once by the agent's report key. Records are consecutive. */
export const Batch = Type.Object(
  {
    v: Type.Literal(1),
    org: Type.String({ pattern: segmentPattern }),
    site: Type.String({ pattern: segmentPattern }),
    agent: Type.String({ pattern: segmentPattern }),
    boot_id: Type.String({ minLength: 8, maxLength: 64 }),
    first: Type.Integer({ minimum: 1 }),
    last: Type.Integer({ minimum: 1 }),
    records: Type.Array(ReportRecord, { minItems: 1, maxItems: batchRecordsMax }),
  },
  { additionalProperties: false },
);
export type Batch = Static<typeof Batch>;

/** After the controller's commit: everything up to and including this sequence is stored. */
export const Acknowledgement = Type.Object(
  { v: Type.Literal(1), agent: Type.String({ pattern: segmentPattern }), acknowledged: Type.Integer({ minimum: 0 }) },
  { additionalProperties: false },
);
export type Acknowledgement = Static<typeof Acknowledgement>;
