import { type DecodeBase64, openEnvelope, type VerifySignature } from "@reflex/protocol/envelope";
import { parseJson } from "@reflex/protocol/json";
import { batchRecordsMax, mqttPacketBytesMax } from "@reflex/protocol/limits";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { Batch, ReportRecord } from "@reflex/protocol/report";
import { err, ok, type Result } from "@reflex/protocol/result";
import { checkEnvelope, checkOf } from "@reflex/protocol/validate";
import Type from "typebox";
import { recordTexts } from "./record-texts.ts";

/**
 * Takes the signed report batches of agents: verify, read, check that they continue what is stored, store, and only then say
 * up to where. Everything outside comes in as an argument, so a simulator runs this very code over its own store.
 */
export type IngestStore = {
  /** undefined = nobody of this name is enrolled. */
  readonly agent: (agent: string) => Promise<IngestAgent | undefined>;
  /**
   * Durable when it resolves: each unit whole or not at all, at most one unit per agent. Records at or below what the agent
   * had acknowledged are left out; a unit that does not continue it changes nothing. Rejects when nothing was stored.
   */
  readonly commit: (units: readonly IngestUnit[]) => Promise<readonly IngestCommitted[]>;
  /** Keeps what cannot be read; called again with the same content, it counts. */
  readonly quarantine: (content: QuarantinedContent) => Promise<void>;
};

export type IngestAgent = {
  readonly agent: string;
  readonly site: string;
  /** Raw Ed25519, base64. */
  readonly reportKey: string;
  readonly incarnation: number;
  readonly acknowledged: number;
  readonly revoked: boolean;
};

/** A report as it is stored: read, or as the text that could not be read. `json` is the exact text the agent signed. */
export type IngestRecord =
  | { readonly sequence: number; readonly kind: "read"; readonly record: ReportRecord; readonly json: string }
  | { readonly sequence: number; readonly kind: "unread"; readonly refusal: Refusal; readonly json: string };

export type IngestUnit = {
  readonly agent: string;
  readonly site: string;
  readonly incarnation: number;
  readonly first: number;
  readonly last: number;
  readonly records: readonly IngestRecord[];
};
export type IngestCommitted = {
  readonly agent: string;
  readonly acknowledged: number;
  /** False: it did not continue what is stored, or the agent has enrolled anew meanwhile. */
  readonly isStored: boolean;
  /** Records that were new. */
  readonly stored: readonly IngestRecord[];
};

export type QuarantinedContent = {
  readonly agent: string;
  readonly refusal: Refusal;
  readonly sha256: string;
  readonly content: Uint8Array;
};

export type IngestOutcome =
  /** Everything up to `acknowledged` is stored; tell the agent. */
  | {
      readonly kind: "stored";
      readonly acknowledged: number;
      readonly unit: IngestUnit;
      readonly stored: readonly IngestRecord[];
    }
  /** Nothing new, or not the next one; tell the agent from where to go on. */
  | { readonly kind: "ignored"; readonly acknowledged: number; readonly refusal: Refusal }
  /** Cannot be believed or read as a whole. Nothing is acknowledged: its sender may not be who it says. */
  | { readonly kind: "quarantined"; readonly refusal: Refusal }
  /** The store did not take it; the agent sends it again. */
  | { readonly kind: "failed"; readonly refusal: Refusal };

export type IngestDeps = {
  readonly org: string;
  readonly store: IngestStore;
  readonly verify: VerifySignature;
  readonly decodeBase64: DecodeBase64;
  readonly sha256Hex: (bytes: Uint8Array) => string;
  /** Strict: undefined for anything that is not valid UTF-8. */
  readonly textOf: (bytes: Uint8Array) => string | undefined;
};
export type Ingest = (agent: string, bytes: Uint8Array) => Promise<IngestOutcome>;

/** The frame first, each record on its own after: one unreadable record must not hold back the others. */
const BatchFrame = Type.Object(
  {
    ...Batch.properties,
    records: Type.Array(Type.Object({ sequence: Type.Integer({ minimum: 1 }) }), {
      minItems: 1,
      maxItems: batchRecordsMax,
    }),
  },
  { additionalProperties: false },
);
type BatchFrame = Type.Static<typeof BatchFrame>;
const checkFrame = checkOf(BatchFrame);
const checkRecord = checkOf(ReportRecord);

export const createIngest = (deps: IngestDeps): Ingest => {
  const group = createGroupCommit(deps.store);

  /** Up to where the batch stands in line to be stored; what it returns then waits for the commit. */
  const prepare = async (agentName: string, bytes: Uint8Array): Promise<() => Promise<IngestOutcome>> => {
    const outcome = (found: IngestOutcome) => async () => found;
    const quarantine = async (found: Refusal): Promise<() => Promise<IngestOutcome>> => {
      await deps.store.quarantine({ agent: agentName, refusal: found, sha256: deps.sha256Hex(bytes), content: bytes });
      return outcome({ kind: "quarantined", refusal: found });
    };
    const agent = await deps.store.agent(agentName);
    if (agent === undefined || agent.revoked) return quarantine(refusal("unauthorised", "no such agent is enrolled"));
    const opened = openBatch(deps, agent, bytes);
    if (!opened.ok) return quarantine(opened.error);
    const unit = opened.value;
    const { acknowledged } = agent;
    if (unit.last <= acknowledged)
      return outcome({ kind: "ignored", acknowledged, refusal: refusal("replayed", "every record is stored") });
    const committing = group(unit);
    return () => committing.then((committed) => outcomeOf(unit, committed));
  };

  // One agent's batches stand in line in the order they came; looking it up takes a different time each time.
  const lines = new Map<string, Promise<unknown>>();
  const inLine = (agentName: string, bytes: Uint8Array): Promise<() => Promise<IngestOutcome>> => {
    const prepared = (lines.get(agentName) ?? Promise.resolve()).then(() => prepare(agentName, bytes));
    const passed = prepared.then(
      () => undefined,
      () => undefined,
    );
    lines.set(agentName, passed);
    void passed.then(() => {
      if (lines.get(agentName) === passed) lines.delete(agentName);
    });
    return prepared;
  };

  return async (agentName, bytes) => {
    try {
      const commit = await inLine(agentName, bytes);
      return await commit();
    } catch (error) {
      return { kind: "failed", refusal: refusal("store-failed", causeOf(error)) };
    }
  };
};

const outcomeOf = (unit: IngestUnit, { acknowledged, isStored, stored }: IngestCommitted): IngestOutcome => {
  if (isStored) return { kind: "stored", acknowledged, unit, stored };
  const detail = `begins at ${unit.first}; stored up to ${acknowledged}`;
  return { kind: "ignored", acknowledged, refusal: refusal("conflict", detail) };
};

/** The database's own words: the message around them quotes the statement with its values. */
const causeOf = (error: unknown): string => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message.slice(0, 200) : "";
};

const openBatch = (deps: IngestDeps, agent: IngestAgent, bytes: Uint8Array): Result<IngestUnit, Refusal> => {
  if (bytes.length > mqttPacketBytesMax) return err(refusal("too-large", `${bytes.length} bytes`));
  const envelopeText = deps.textOf(bytes);
  if (envelopeText === undefined) return err(refusal("text-malformed"));
  const envelope = parseJson(envelopeText);
  if (!envelope.ok) return envelope;
  const checked = checkEnvelope(envelope.value);
  if (!checked.ok) return err(refusal("envelope-malformed", checked.error.detail));
  const key = { keyid: agent.agent, public: agent.reportKey };
  const payload = openEnvelope(deps, checked.value, "batch", { keys: [key], threshold: 1 });
  if (!payload.ok) return payload;
  const text = deps.textOf(payload.value);
  if (text === undefined) return err(refusal("text-malformed"));
  const parsed = parseJson(text);
  if (!parsed.ok) return parsed;
  const framed = checkFrame(parsed.value);
  if (!framed.ok) return framed;
  const batch = framed.value;
  if (batch.org !== deps.org || batch.site !== agent.site || batch.agent !== agent.agent)
    return err(refusal("audience-wrong", "the batch names another agent than its sender"));
  if (!isConsecutive(batch)) return err(refusal("schema-invalid", "records are not consecutive from first to last"));
  const texts = recordTexts(text, batch);
  return ok({
    agent: agent.agent,
    site: agent.site,
    incarnation: agent.incarnation,
    first: batch.first,
    last: batch.last,
    records: batch.records.map((record, index) => readRecord(deps, batch, record, texts[index] ?? "")),
  });
};

const isConsecutive = ({ first, last, records }: BatchFrame): boolean =>
  last - first + 1 === records.length && records.every((record, index) => record.sequence === first + index);

const readRecord = (
  deps: IngestDeps,
  batch: BatchFrame,
  found: BatchFrame["records"][number],
  json: string,
): IngestRecord => {
  const { sequence } = found;
  const checked = checkRecord(found);
  if (!checked.ok) return { sequence, kind: "unread", refusal: checked.error, json };
  const record = checked.value;
  if (record.kind === "token") {
    const { org, site, agent } = record.body.header;
    // An agent's signature speaks for its own decisions alone.
    if (org !== deps.org || site !== batch.site || agent !== batch.agent)
      return { sequence, kind: "unread", refusal: refusal("audience-wrong", "a token of another agent"), json };
  }
  return { sequence, kind: "read", record, json };
};

/** Rows of one commit: more only makes each agent wait longer, and PostgreSQL gains nothing. */
const groupRecordsMax = 2_000;

type Waiting = {
  readonly unit: IngestUnit;
  readonly done: (committed: IngestCommitted) => void;
  readonly fail: (error: unknown) => void;
};

/** One commit at a time; what arrives meanwhile shares the next. A disk sync per group instead of one per batch. */
const createGroupCommit = (store: IngestStore): ((unit: IngestUnit) => Promise<IngestCommitted>) => {
  let waiting: Waiting[] = [];
  let isRunning = false;

  const takeGroup = (): Waiting[] => {
    const agents = new Set<string>();
    const group: Waiting[] = [];
    const rest: Waiting[] = [];
    let records = 0;
    for (const item of waiting) {
      // One unit per agent, in order of arrival: the second builds on the first one's commit.
      const fits =
        !agents.has(item.unit.agent) && (group.length === 0 || records + item.unit.records.length <= groupRecordsMax);
      agents.add(item.unit.agent);
      if (fits) {
        group.push(item);
        records += item.unit.records.length;
      } else rest.push(item);
    }
    waiting = rest;
    return group;
  };

  const commit = async (group: readonly Waiting[]): Promise<void> => {
    try {
      const committed = await store.commit(group.map((item) => item.unit));
      group.forEach((item, index) => {
        const own = committed[index];
        if (own === undefined) item.fail(new Error("the store answered for fewer units than it was given"));
        else item.done(own);
      });
    } catch (error) {
      const [only] = group;
      if (group.length === 1) only?.fail(error);
      // Nobody waits for, or is refused because of, somebody else's batch.
      else for (const item of group) await commit([item]);
    }
  };

  const run = async (): Promise<void> => {
    isRunning = true;
    while (waiting.length > 0) await commit(takeGroup());
    isRunning = false;
  };

  return (unit) =>
    new Promise((done, fail) => {
      waiting.push({ unit, done, fail });
      if (!isRunning) void run();
    });
};
