import Type, { type Static } from "typebox";
import { UtcTimestamp } from "./detection.ts";
import { Envelope } from "./envelope.ts";
import { segmentPattern, sha256Pattern } from "./ids.ts";
import { RecordOf } from "./record.ts";
import { RefusalCodeSchema } from "./refusal.ts";

const Hash = Type.String({ pattern: sha256Pattern });
const Segment = Type.String({ pattern: segmentPattern });

/**
 * What is released for a site: pointer to a blob, fetched by hash. `hash` and `bytes` are of the blob as published, which is
 * the JSON text of the DSSE envelope; tokens name the hash of the signed payload inside it.
 */
export const BlobPointer = Type.Object(
  { version: Type.Integer({ minimum: 0 }), hash: Hash, bytes: Type.Integer({ minimum: 1 }) },
  { additionalProperties: false },
);
export type BlobPointer = Static<typeof BlobPointer>;

/**
 * The controller's signed view for one site: what should be active, every kill state, and the time.
 * Hearing a fresh head renews the agent's right to act. Retained copies are a cache; sync is the truth.
 */
export const Head = Type.Object(
  {
    v: Type.Literal(1),
    kind: Type.Literal("head"),
    aud: Type.Object({ org: Segment, site: Segment }, { additionalProperties: false }),
    /** Grows with every head of the site; an older one is refused. */
    sequence: Type.Integer({ minimum: 1 }),
    issued_at: UtcTimestamp,
    bundle: Type.Optional(BlobPointer),
    weights: Type.Optional(BlobPointer),
    trust_version: Type.Integer({ minimum: 1 }),
    kill_epochs: RecordOf("^.{1,160}$", Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
);
export type Head = Static<typeof Head>;

/** How far an agent has come with what it was told. */
export const ObservedPart = Type.Object(
  {
    version: Type.Integer({ minimum: 0 }),
    /** Of the blob, as in BlobPointer, so that the two can be compared. */
    hash: Type.Optional(Hash),
    phase: Type.Enum(["none", "fetching", "active", "refused"]),
    /** Set when something newer was refused; last good stays active. */
    refused: Type.Optional(
      Type.Object(
        {
          version: Type.Integer({ minimum: 0 }),
          hash: Type.Optional(Hash),
          code: RefusalCodeSchema,
          detail: Type.String({ maxLength: 512 }),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);
export type ObservedPart = Static<typeof ObservedPart>;

/** Full report of an agent, sent on every connect; the reply is the difference. */
export const SyncRequest = Type.Object(
  {
    v: Type.Literal(1),
    org: Segment,
    site: Segment,
    agent: Segment,
    boot_id: Type.String({ minLength: 8, maxLength: 64 }),
    engine: Type.String({ maxLength: 64 }),
    bundle: ObservedPart,
    weights: ObservedPart,
    head_sequence: Type.Integer({ minimum: 0 }),
    kill_epochs: RecordOf("^.{1,160}$", Type.Integer({ minimum: 0 })),
    /** Reports waiting, so the controller can say from where to continue. */
    spool: Type.Object(
      { first: Type.Integer({ minimum: 0 }), last: Type.Integer({ minimum: 0 }) },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
);
export type SyncRequest = Static<typeof SyncRequest>;

export const SyncResponse = Type.Object(
  {
    v: Type.Literal(1),
    boot_id: Type.String({ minLength: 8, maxLength: 64 }),
    /** DSSE envelope of a Head. */
    head: Envelope,
    /** DSSE envelopes of every KillState that reaches the agent. */
    kills: Type.Array(Envelope, { maxItems: 64 }),
    /** Highest contiguous report sequence that is committed. */
    acknowledged: Type.Integer({ minimum: 0 }),
  },
  { additionalProperties: false },
);
export type SyncResponse = Static<typeof SyncResponse>;

/** The agent's state, last value kept. Sent every heartbeat and whenever something in it changes. */
export const Heartbeat = Type.Object(
  {
    v: Type.Literal(1),
    org: Segment,
    site: Segment,
    agent: Segment,
    boot_id: Type.String({ minLength: 8, maxLength: 64 }),
    at: UtcTimestamp,
    engine: Type.String({ maxLength: 64 }),
    mode: Type.Enum(["enforce", "approve", "observe"]),
    killed: Type.Boolean(),
    bundle: ObservedPart,
    weights: ObservedPart,
    kill_epochs: RecordOf("^.{1,160}$", Type.Integer({ minimum: 0 })),
    counts: Type.Object(
      {
        detections: Type.Integer({ minimum: 0 }),
        dead_letters: Type.Integer({ minimum: 0 }),
        in_force: Type.Integer({ minimum: 0 }),
        stuck: Type.Integer({ minimum: 0 }),
        spool: Type.Integer({ minimum: 0 }),
      },
      { additionalProperties: false },
    ),
    connectors: RecordOf("^.{1,48}$", Type.Enum(["ok", "failing", "open", "unknown"])),
    host: Type.Optional(
      Type.Object(
        {
          platform: Type.String({ maxLength: 64 }),
          cpu_percent: Type.Number(),
          memory_bytes: Type.Number(),
          disk_free_bytes: Type.Number(),
          uptime_seconds: Type.Number(),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);
export type Heartbeat = Static<typeof Heartbeat>;
