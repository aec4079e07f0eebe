import type { DatabaseSync } from "node:sqlite";
import { isTerminal } from "@reflex/protocol/command-life";
import type { JournalWrite } from "../ports.ts";
import { type JournalBounds, pruneStepRows } from "./bounds.ts";
import type { Counters } from "./counters.ts";
import type { Spool } from "./spool.ts";

/** Puts writes into the tables, inside the commit that is being prepared. */
export type Tables = {
  readonly put: (write: JournalWrite) => void;
  /** Removes a bounded number of rows that are past their keeping. */
  readonly prune: (nowMs: number, rowsAdded: number) => void;
};

type Put<Kind extends JournalWrite["kind"]> = (write: Extract<JournalWrite, { kind: Kind }>) => void;

export const createTables = (
  database: DatabaseSync,
  counters: Counters,
  spool: Spool,
  bounds: JournalBounds,
): Tables => {
  const insertDecided = database.prepare(
    "INSERT INTO decided (event_id, content_hash, at_ms, rule_key, domain, entity_keys, verdict) VALUES (?, ?, ?, ?, ?, ?, ?)",
  );
  const insertToken = database.prepare(
    "INSERT INTO tokens (sequence, decision_id, hash, at_ms, json) VALUES (?, ?, ?, ?, ?)",
  );
  const putCommand = database.prepare(
    `INSERT INTO commands (command_id, state, is_open, at_ms, json) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (command_id) DO UPDATE SET state = excluded.state, is_open = excluded.is_open, at_ms = excluded.at_ms, json = excluded.json`,
  );
  const insertDeadLetter = database.prepare(
    "INSERT INTO dead_letters (source, code, detail, at_ms, bytes, sha256, raw) VALUES (?, ?, ?, ?, ?, ?, ?)",
  );
  const putMark = database.prepare(
    "INSERT INTO marks (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
  );

  const decided: Put<"decided"> = ({ row, sequence, decisionId, tokenHash, tokenJson }) => {
    const { eventId, contentHash, atMs, ruleKey, domain, entityKeys, verdict } = row;
    insertDecided.run(eventId, contentHash, atMs, ruleKey, domain, JSON.stringify(entityKeys), verdict);
    insertToken.run(sequence, decisionId, tokenHash, atMs, tokenJson);
    counters.add("decided", 1);
    counters.add("decided_rows", 1);
    counters.add("tokens", 1);
    counters.add("token_bytes", Buffer.byteLength(tokenJson));
    counters.set("latest_ms", Math.max(counters.get("latest_ms"), atMs));
  };

  const deadLetter: Put<"dead_letter"> = ({ source, refusal, atMs, raw, bytes, sha256 }) => {
    const kept = raw.subarray(0, bounds.deadLetterRawBytesMax);
    insertDeadLetter.run(source, refusal.code, refusal.detail, atMs, bytes, sha256, kept);
    counters.add("dead_letters", 1);
    counters.add("dead_letter_rows", 1);
    counters.add("dead_letter_bytes", kept.length);
  };

  const pruneDecided = pruneDecidedRows(database, counters, bounds);
  const pruneTokens = pruneTokenRows(database, counters, bounds);
  const pruneDeadLetters = sumUpDeadLetters(database, counters, bounds);
  const pruneCommands = database.prepare(
    "DELETE FROM commands WHERE command_id IN (SELECT command_id FROM commands WHERE at_ms < ? AND is_open = 0 ORDER BY at_ms LIMIT ?)",
  );

  return {
    put: (write) => {
      switch (write.kind) {
        case "decided":
          return decided(write);
        case "dead_letter":
          return deadLetter(write);
        case "command": {
          const { row } = write;
          return void putCommand.run(
            row.command.command_id,
            row.state,
            isTerminal(row.state) ? 0 : 1,
            row.atMs,
            JSON.stringify(row),
          );
        }
        case "report":
          return spool.add(write.reportKind, write.bodyJson);
        case "acknowledged":
          return spool.acknowledge(write.upTo);
        case "mark":
          return void putMark.run(write.key, write.value);
      }
    },
    prune: (nowMs, rowsAdded) => {
      const rowsMax = pruneStepRows + 2 * rowsAdded;
      pruneDecided(nowMs, rowsMax);
      pruneTokens(rowsMax);
      pruneDeadLetters(rowsMax);
      pruneCommands.run(nowMs - bounds.commandWindowMs, rowsMax);
      spool.makeRoom(nowMs);
    },
  };
};

const pruneDecidedRows = (database: DatabaseSync, counters: Counters, bounds: JournalBounds) => {
  const oldest = database.prepare("SELECT id, at_ms FROM decided ORDER BY id LIMIT ?");
  const removeTo = database.prepare("DELETE FROM decided WHERE id <= ?");
  return (nowMs: number, rowsMax: number): void => {
    const rows = counters.get("decided_rows");
    const spare = Math.min(rowsMax, rows - bounds.decidedRowsMin);
    if (spare <= 0) return;
    const candidates = oldest.all(spare) as { id: number; at_ms: number }[];
    const cutoffMs = nowMs - bounds.dedupeWindowMs;
    const kept = candidates.findIndex((row, index) => row.at_ms >= cutoffMs && rows - index <= bounds.decidedRowsMax);
    const removed = candidates.slice(0, kept < 0 ? candidates.length : kept);
    const last = removed.at(-1);
    if (last === undefined) return;
    removeTo.run(last.id);
    counters.add("decided_rows", -removed.length);
  };
};

const pruneTokenRows = (database: DatabaseSync, counters: Counters, bounds: JournalBounds) => {
  const oldest = database.prepare("SELECT sequence, octet_length(json) AS bytes FROM tokens ORDER BY sequence LIMIT ?");
  const removeTo = database.prepare("DELETE FROM tokens WHERE sequence <= ?");
  return (rowsMax: number): void => {
    let rows = counters.get("tokens");
    let bytes = counters.get("token_bytes");
    const isOver = (): boolean => rows > bounds.tokensMax || bytes > bounds.tokenBytesMax;
    if (!isOver()) return;
    let last: number | undefined;
    for (const row of oldest.all(rowsMax) as { sequence: number; bytes: number }[]) {
      // The newest stays whatever the bound: the next token is chained to it.
      if (!isOver() || rows === 1) break;
      last = row.sequence;
      rows -= 1;
      bytes -= row.bytes;
    }
    if (last === undefined) return;
    removeTo.run(last);
    counters.set("tokens", rows);
    counters.set("token_bytes", bytes);
  };
};

/** The oldest dead letters give up their bytes, never their count. */
const sumUpDeadLetters = (database: DatabaseSync, counters: Counters, bounds: JournalBounds) => {
  const oldest = database.prepare(
    "SELECT id, source, code, at_ms, bytes, length(raw) AS kept FROM dead_letters ORDER BY id LIMIT ?",
  );
  const remove = database.prepare("DELETE FROM dead_letters WHERE id = ?");
  const sum = database.prepare(
    `INSERT INTO dead_letter_sums (source, code, count, bytes, first_ms, last_ms) VALUES (?, ?, 1, ?, ?, ?)
     ON CONFLICT (source, code) DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes,
       first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms)`,
  );
  const isOver = (): boolean =>
    counters.get("dead_letter_rows") > bounds.deadLettersMax ||
    counters.get("dead_letter_bytes") > bounds.deadLetterBytesMax;
  type Row = { id: number; source: string; code: string; at_ms: number; bytes: number; kept: number };
  return (rowsMax: number): void => {
    if (!isOver()) return;
    for (const row of oldest.all(rowsMax) as Row[]) {
      if (!isOver()) return;
      sum.run(row.source, row.code, row.bytes, row.at_ms, row.at_ms);
      remove.run(row.id);
      counters.add("dead_letter_rows", -1);
      counters.add("dead_letter_bytes", -row.kept);
    }
  };
};
