import type { CommandState } from "@reflex/protocol/command-life";
import { type Refusal, type RefusalCode, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Clock, CommandRow, DecidedRow, Journal, JournalWrite, Log, Timers } from "../ports.ts";
import { type JournalBounds, journalBounds } from "./bounds.ts";
import { createCounters } from "./counters.ts";
import { openDatabase } from "./database.ts";
import { createSpool } from "./spool.ts";
import { lockStateFolder, messageOf } from "./state-lock.ts";
import { createTables } from "./tables.ts";

export type JournalOptions = {
  /** State folder; made if missing, locked while open. */
  readonly folder: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly bounds?: Partial<JournalBounds>;
  /** For fault injection. A throw before the commit is a full disk; throwing `simulatedCrash` in either ends the journal on the spot. */
  readonly faults?: { readonly beforeCommit?: () => void; readonly afterCommit?: () => void };
};

/** Thrown by a fault hook: the process is gone, nobody hears back, what is on the disk is what there is. */
export const simulatedCrash: unique symbol = Symbol("simulated crash");

type Waiting = { readonly writes: readonly JournalWrite[]; readonly settle: (result: Result<void, Refusal>) => void };
type StoredDeadLetter = ReturnType<Journal["deadLetters"]>[number];

/** The agent's memory that survives everything. Reads see what is committed; only `seen` looks further. */
export const openJournal = (options: JournalOptions): Result<Journal, Refusal> => {
  const lock = lockStateFolder(options.folder);
  if (!lock.ok) return lock;
  const opened = openDatabase(options.folder);
  if (!opened.ok) {
    lock.value.release();
    return opened;
  }
  const database = opened.value;
  const bounds = { ...journalBounds, ...options.bounds };
  const counters = createCounters(database);
  const spool = createSpool(database, counters, bounds);
  const tables = createTables(database, counters, spool, bounds);
  const { clock, timers, log, faults } = options;

  let waiting: Waiting[] = [];
  let waitingWrites = 0;
  let isScheduled = false;
  let isClosed = false;
  /** Content hashes of queued decisions; a second copy of a detection in the same turn is a duplicate already. */
  const queuedHashes = new Map<string, string>();

  const write: Journal["write"] = (writes) => {
    if (isClosed) return Promise.resolve(err(refusal("disk-full", "the journal is closed")));
    if (waitingWrites + writes.length > bounds.queuedWritesMax && waitingWrites > 0) {
      return Promise.resolve(err(refusal("queue-full", `${waitingWrites} writes are waiting for the disk`)));
    }
    for (const one of writes) if (one.kind === "decided") queuedHashes.set(one.row.eventId, one.row.contentHash);
    waitingWrites += writes.length;
    return new Promise((settle) => {
      waiting.push({ writes, settle });
      if (isScheduled) return;
      isScheduled = true;
      timers.soon(commitWaiting);
    });
  };

  const commitWaiting = (): void => {
    isScheduled = false;
    const group = waiting;
    waiting = [];
    waitingWrites = 0;
    if (isClosed || group.length === 0) return;
    const outcome = commitTogether(group);
    queuedHashes.clear();
    if (outcome === "crashed") return;
    if (outcome === "one of them is impossible") for (const one of group) one.settle(commitAlone(one));
    else for (const one of group) one.settle(outcome);
  };

  const commitTogether = (
    group: readonly Waiting[],
  ): Result<void, Refusal> | "crashed" | "one of them is impossible" => {
    try {
      database.exec("BEGIN IMMEDIATE");
      let rows = 0;
      for (const { writes } of group) {
        for (const one of writes) tables.put(one);
        rows += writes.length;
      }
      tables.prune(clock.nowMs(), rows);
      counters.store();
      faults?.beforeCommit?.();
      database.exec("COMMIT");
      counters.keep();
    } catch (cause) {
      if (cause === simulatedCrash) return crash();
      rollBack();
      if (group.length > 1 && isImpossible(cause)) return "one of them is impossible";
      if (isImpossible(cause)) return err(refusal("conflict", messageOf(cause)));
      log.error({ cause: messageOf(cause), writers: group.length }, "journal cannot commit");
      return err(refusal("disk-full", messageOf(cause)));
    }
    try {
      faults?.afterCommit?.();
    } catch {
      return crash();
    }
    return ok(undefined);
  };

  // A broken writer must not take the others of its turn with it.
  const commitAlone = (one: Waiting): Result<void, Refusal> => {
    const outcome = commitTogether([one]);
    return typeof outcome === "string" ? err(refusal("disk-full", outcome)) : outcome;
  };

  const rollBack = (): void => {
    counters.takeBack();
    // SQLite has rolled back by itself after some disk errors.
    if (database.isTransaction) database.exec("ROLLBACK");
  };

  const release = (): void => {
    isClosed = true;
    database.close();
    lock.value.release();
  };
  const crash = (): "crashed" => {
    if (database.isTransaction) database.exec("ROLLBACK");
    release();
    return "crashed";
  };

  const hashOf = database.prepare("SELECT content_hash FROM decided WHERE event_id = ?");
  const lastToken = database.prepare("SELECT sequence, hash FROM tokens ORDER BY sequence DESC LIMIT 1");
  const tokenOf = database.prepare("SELECT json FROM tokens WHERE decision_id = ? ORDER BY sequence DESC LIMIT 1");
  const decidedSince = database.prepare("SELECT * FROM decided WHERE at_ms >= ? ORDER BY id");
  const open = database.prepare("SELECT json FROM commands WHERE is_open = 1 ORDER BY command_id");
  const commandsSince = database.prepare("SELECT json FROM commands WHERE at_ms >= ? ORDER BY at_ms, command_id");
  const byState = database.prepare("SELECT state, count(*) AS count FROM commands GROUP BY state");
  const markOf = database.prepare("SELECT value FROM marks WHERE key = ?");
  const deadLetters = database.prepare(
    "SELECT id, source, code, detail, at_ms, bytes, raw FROM dead_letters ORDER BY id DESC LIMIT ?",
  );

  return ok({
    write,
    seen: (eventId) =>
      queuedHashes.get(eventId) ?? (hashOf.get(eventId) as { content_hash: string } | undefined)?.content_hash,
    lastToken: () => lastToken.get() as { sequence: number; hash: string } | undefined,
    tokenJson: (decisionId) => (tokenOf.get(decisionId) as { json: string } | undefined)?.json,
    decidedSince: (sinceMs) => (decidedSince.all(sinceMs) as StoredDecided[]).map(decidedRowOf),
    openCommands: () => commandRowsOf(open.all()),
    commandsSince: (sinceMs) => commandRowsOf(commandsSince.all(sinceMs)),
    mark: (key) => (markOf.get(key) as { value: string } | undefined)?.value,
    reports: spool.read,
    spool: spool.extent,
    counts: () => ({
      decided: counters.get("decided"),
      deadLetters: counters.get("dead_letters"),
      commandsByState: Object.fromEntries(
        (byState.all() as { state: CommandState; count: number }[]).map(({ state, count }) => [state, count]),
      ),
    }),
    deadLetters: (limit) =>
      (
        deadLetters.all(limit) as (Omit<StoredDeadLetter, "atMs" | "code"> & { at_ms: number; code: RefusalCode })[]
      ).map(({ at_ms: atMs, ...rest }) => ({ ...rest, atMs })),
    close: async () => {
      if (isClosed) return;
      commitWaiting();
      release();
    },
  });
};

type StoredDecided = {
  readonly event_id: string;
  readonly content_hash: string;
  readonly at_ms: number;
  readonly rule_key: string;
  readonly domain: string;
  readonly entity_keys: string;
  readonly verdict: string;
};
const decidedRowOf = (row: StoredDecided): DecidedRow => ({
  eventId: row.event_id,
  contentHash: row.content_hash,
  atMs: row.at_ms,
  ruleKey: row.rule_key,
  domain: row.domain,
  entityKeys: JSON.parse(row.entity_keys) as string[],
  verdict: row.verdict,
});

const commandRowsOf = (rows: unknown[]): CommandRow[] =>
  (rows as { json: string }[]).map(({ json }) => JSON.parse(json) as CommandRow);

/** A broken constraint (SQLite 19) or a value of the wrong kind: no disk space will make it fit. */
const sqliteConstraint = 19;
const isImpossible = (cause: unknown): boolean =>
  cause instanceof TypeError ||
  (typeof cause === "object" &&
    cause !== null &&
    "errcode" in cause &&
    (Number(cause.errcode) & 0xff) === sqliteConstraint);
