import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { newCommandId, newDecisionId, uuidV7 } from "@reflex/protocol/ids";
import { refusal } from "@reflex/protocol/refusal";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import type { CommandRow, DecidedRow, Journal, JournalWrite, Log, Timers } from "../ports.ts";
import type { JournalBounds } from "./bounds.ts";
import { type JournalOptions, openJournal, simulatedCrash } from "./journal.ts";

const quiet: Log = { info: () => {}, warn: () => {}, error: () => {} };
const timers: Timers = {
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  soon: (run) => void setImmediate(run),
};

const folders: string[] = [];
const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "reflex-journal-"));
  folders.push(folder);
  return folder;
};
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const open = (folder: string, extra: Partial<JournalOptions> & { bounds?: Partial<JournalBounds> } = {}): Journal => {
  const opened = openJournal({ folder, clock: { nowMs: () => 1_000_000 }, timers, log: quiet, ...extra });
  if (!opened.ok) throw new Error(`${opened.error.code}: ${opened.error.detail}`);
  return opened.value;
};

const hash = (number: number): string => number.toString(16).padStart(64, "0");
const decidedRow = (number: number, atMs = 1_000_000): DecidedRow => ({
  eventId: `event-${number}`,
  contentHash: hash(number),
  atMs,
  ruleKey: "wazuh|5712",
  domain: "network",
  entityKeys: ["address|203.0.113.9"],
  verdict: "act",
});
const decided = (number: number, sequence: number, atMs?: number): JournalWrite => ({
  kind: "decided",
  row: decidedRow(number, atMs),
  sequence,
  decisionId: uuidV7(number, new Uint8Array(10)),
  tokenHash: hash(sequence),
  tokenJson: JSON.stringify({ sequence }),
});
const report = (body: unknown): JournalWrite => ({
  kind: "report",
  reportKind: "event",
  bodyJson: JSON.stringify(body),
});
const commandRow = (number: number, state: CommandRow["state"]): CommandRow => ({
  command: {
    command_id: newCommandId(number, new Uint8Array(10)),
    decision_id: newDecisionId(number, new Uint8Array(10)),
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    reason: "test",
    ttl: 60,
    idempotency_key: hash(number),
    connector: "edl",
    issued_at: "2026-01-01T00:00:00.000Z",
  },
  state,
  atMs: 1_000_000 + number,
  attempts: 0,
  undoAttempts: 0,
  verified: false,
  limits: [],
});
const deadLetter = (raw: Uint8Array): JournalWrite => ({
  kind: "dead_letter",
  source: "webhook",
  refusal: refusal("json-malformed", "line 1"),
  atMs: 5,
  raw,
  bytes: raw.length,
  sha256: hash(1),
});

/** What a journal must say, kept in plain arrays. */
type Model = {
  decided: Map<string, string>;
  last: number;
  reports: { sequence: number; bodyJson: string }[];
  reportSequence: number;
  acknowledged: number;
  commands: Map<string, CommandRow>;
  marks: Map<string, string>;
  deadLetters: number;
};

type Ending = "ok" | "disk full" | "crash before the commit" | "crash after the commit";

describe("the journal", () => {
  test("holds exactly what it confirmed, through full disks, crashes at both sides of a commit, and reopening", async () => {
    const step = fc.record({
      kinds: fc.array(fc.constantFrom("decided", "report", "command", "mark", "dead letter", "acknowledge"), {
        minLength: 1,
        maxLength: 6,
      }),
      ending: fc.constantFrom<Ending>(
        "ok",
        "ok",
        "ok",
        "disk full",
        "crash before the commit",
        "crash after the commit",
      ),
      calls: fc.integer({ min: 1, max: 3 }),
      reopen: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 10 }), async (steps) => {
        const folder = newFolder();
        let fault: Ending = "ok";
        const faults = {
          beforeCommit: () => {
            if (fault === "disk full") throw new Error("database or disk is full");
            if (fault === "crash before the commit") throw simulatedCrash;
          },
          afterCommit: () => {
            if (fault === "crash after the commit") throw simulatedCrash;
          },
        };
        let journal = open(folder, { faults });
        let model: Model = emptyModel();
        let serial = 0;
        for (const { kinds, ending, calls, reopen } of steps) {
          const next = structuredClone(model);
          const writes = kinds.map((kind) => writeOf(kind, ++serial, next));
          fault = ending;
          // Several callers in one turn share one commit and one fate.
          const parts = Array.from({ length: calls }, (_, index) => writes.filter((_, at) => at % calls === index));
          inOrder(parts.flat(), writes, next, model);
          const settled = parts.map((part) => journal.write(part));
          for (const one of parts.flat())
            if (one.kind === "decided") expect(journal.seen(one.row.eventId)).toBe(one.row.contentHash);
          if (ending === "ok" || ending === "disk full") {
            const results = await Promise.all(settled);
            expect(results.map((result) => (result.ok ? "ok" : result.error.code))).toEqual(
              results.map(() => (ending === "ok" ? "ok" : "disk-full")),
            );
          } else {
            await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
          }
          if (ending === "ok" || ending === "crash after the commit") model = next;
          fault = "ok";
          if (reopen || ending.startsWith("crash")) {
            await journal.close();
            journal = open(folder, { faults });
          }
          expectSame(journal, model);
        }
        await journal.close();
        rmSync(folder, { recursive: true, force: true });
      }),
      { numRuns: 60 },
    );
  });

  const emptyModel = (): Model => ({
    decided: new Map(),
    last: 0,
    reports: [],
    reportSequence: 0,
    acknowledged: 0,
    commands: new Map(),
    marks: new Map(),
    deadLetters: 0,
  });

  const writeOf = (kind: string, serial: number, model: Model): JournalWrite => {
    switch (kind) {
      case "decided":
        model.last += 1;
        return decided(serial, model.last);
      case "command":
        return { kind: "command", row: commandRow(serial % 4, serial % 3 === 0 ? "undone" : "in_force") };
      case "mark":
        return { kind: "mark", key: `mark-${serial % 2}`, value: String(serial) };
      case "dead letter":
        return deadLetter(Buffer.from("x"));
      case "acknowledge":
        return { kind: "acknowledged", upTo: Math.max(0, model.reportSequence - 1) };
      default:
        return report({ serial });
    }
  };

  /** Replays the writes on the model in the order in which they are committed. */
  const inOrder = (
    ordered: readonly JournalWrite[],
    _drawn: readonly JournalWrite[],
    next: Model,
    before: Model,
  ): void => {
    Object.assign(next, structuredClone(before), { last: next.last });
    for (const one of ordered) {
      if (one.kind === "decided") next.decided.set(one.row.eventId, one.row.contentHash);
      if (one.kind === "command") next.commands.set(one.row.command.command_id, one.row);
      if (one.kind === "mark") next.marks.set(one.key, one.value);
      if (one.kind === "dead_letter") next.deadLetters += 1;
      if (one.kind === "report") {
        next.reportSequence += 1;
        next.reports.push({ sequence: next.reportSequence, bodyJson: one.bodyJson });
      }
      if (one.kind === "acknowledged") {
        next.acknowledged = Math.max(next.acknowledged, Math.min(one.upTo, next.reportSequence));
        next.reports = next.reports.filter(({ sequence }) => sequence > one.upTo);
      }
    }
  };

  const expectSame = (journal: Journal, model: Model): void => {
    for (const [eventId, contentHash] of model.decided) expect(journal.seen(eventId)).toBe(contentHash);
    expect(
      journal
        .decidedSince(0)
        .map(({ eventId }) => eventId)
        .sort(),
    ).toEqual([...model.decided.keys()].sort());
    expect(journal.counts().decided).toBe(model.decided.size);
    expect(journal.counts().deadLetters).toBe(model.deadLetters);
    expect(journal.reports(0, 1_000, 1e9).map(({ sequence, bodyJson }) => ({ sequence, bodyJson }))).toEqual(
      model.reports,
    );
    expect(journal.spool()).toMatchObject({ first: model.acknowledged + 1, last: model.reportSequence });
    const commands = [...model.commands.values()];
    expect(journal.openCommands()).toEqual(
      commands
        .filter(({ state }) => state === "in_force")
        .sort((a, b) => (a.command.command_id < b.command.command_id ? -1 : 1)),
    );
    expect(journal.commandsSince(0)).toHaveLength(commands.length);
    for (const [key, value] of model.marks) expect(journal.mark(key)).toBe(value);
  };

  test("a report sequence is never given twice, even after every report was acknowledged and the agent restarted", async () => {
    const folder = newFolder();
    let journal = open(folder);
    await journal.write([report(1), report(2), report(3)]);
    await journal.write([{ kind: "acknowledged", upTo: 3 }]);
    await journal.close();
    journal = open(folder);
    expect(journal.reports(0, 10, 1e6)).toEqual([]);
    await journal.write([report(4)]);
    expect(journal.reports(0, 10, 1e6).map(({ sequence }) => sequence)).toEqual([4]);
    await journal.close();
  });

  test("an acknowledgement beyond what was ever sent forgets nothing that comes later", async () => {
    const journal = open(newFolder());
    await journal.write([report(1), { kind: "acknowledged", upTo: 500 }]);
    await journal.write([report(2)]);
    expect(journal.reports(0, 10, 1e6).map(({ sequence }) => sequence)).toEqual([2]);
    await journal.close();
  });

  test("a full spool says which reports are missing, and everything after them is still consecutive", async () => {
    const journal = open(newFolder(), { bounds: { spoolBytesMax: 2_000 } });
    for (let number = 1; number <= 200; number += 1) await journal.write([report({ number, filling: "x".repeat(40) })]);
    const kept = journal.reports(0, 1_000, 1e9);
    const [gap] = kept;
    expect(gap?.kind).toBe("gap");
    const body = JSON.parse(gap?.bodyJson ?? "") as { first: number; last: number; code: string };
    expect(body).toMatchObject({ first: 1, last: gap?.sequence, code: "spool-full" });
    expect(kept.map(({ sequence }) => sequence)).toEqual(kept.map((_, index) => body.last + index));
    expect(kept.at(-1)?.sequence).toBe(200);
    expect(journal.spool().bytes).toBeLessThanOrEqual(2_000);
    expect(journal.spool().bytes).toBe(kept.reduce((sum, { bodyJson }) => sum + Buffer.byteLength(bodyJson), 0));
    await journal.close();
  });

  test("one writer's impossible write fails alone; the others of its turn are stored", async () => {
    const journal = open(newFolder());
    const results = await Promise.all([
      journal.write([decided(1, 1)]),
      journal.write([decided(2, 1)]),
      journal.write([report(1)]),
    ]);
    expect(results.map((result) => (result.ok ? "ok" : result.error.code))).toEqual(["ok", "conflict", "ok"]);
    expect(journal.seen("event-2")).toBeUndefined();
    await journal.close();
  });

  test("ids older than the window or beyond the count are forgotten, in small steps, and never the newest ones", async () => {
    const bounds = { dedupeWindowMs: 1_000, decidedRowsMax: 50, decidedRowsMin: 10 };
    let nowMs = 0;
    const journal = open(newFolder(), { clock: { nowMs: () => nowMs }, bounds });
    for (let number = 1; number <= 100; number += 1) await journal.write([decided(number, number, nowMs)]);
    expect(journal.seen("event-50")).toBeUndefined();
    expect(journal.seen("event-51")).toBe(hash(51));
    nowMs = 10_000_000;
    await journal.write([report("time has passed")]);
    expect(journal.seen("event-90")).toBeUndefined();
    expect(journal.seen("event-91"), "a clock that jumps ahead must not let the newest act again").toBe(hash(91));
    await journal.close();
  });

  test("tokens make room within their bound, but the newest stays: the next is chained to it", async () => {
    const folder = newFolder();
    let journal = open(folder, { bounds: { tokensMax: 3 } });
    for (let number = 1; number <= 9; number += 1) await journal.write([decided(number, number)]);
    expect(journal.tokenJson(uuidV7(1, new Uint8Array(10)))).toBeUndefined();
    expect(journal.tokenJson(uuidV7(9, new Uint8Array(10)))).toBe('{"sequence":9}');
    await journal.close();
    journal = open(folder, { bounds: { tokenBytesMax: 1 } });
    await journal.write([report(1)]);
    expect(journal.lastToken()).toEqual({ sequence: 9, hash: hash(9) });
    await journal.close();
  });

  test("dead letters keep a bounded part of their bytes; the oldest are summed up, never uncounted", async () => {
    const folder = newFolder();
    const journal = open(folder, { bounds: { deadLettersMax: 5, deadLetterRawBytesMax: 8 } });
    for (let number = 0; number < 12; number += 1) await journal.write([deadLetter(Buffer.alloc(100, number))]);
    const kept = journal.deadLetters(100);
    expect(kept).toHaveLength(5);
    expect(kept[0]).toMatchObject({ source: "webhook", code: "json-malformed", bytes: 100 });
    expect(kept[0]?.raw).toHaveLength(8);
    expect(journal.counts().deadLetters).toBe(12);
    await journal.close();
    const database = new DatabaseSync(join(folder, "journal.db"));
    expect(database.prepare("SELECT source, code, count, bytes FROM dead_letter_sums").all()).toEqual([
      { source: "webhook", code: "json-malformed", count: 7, bytes: 700 },
    ]);
    database.close();
  });

  test("a second agent on the same state folder is refused, and may start once the first has ended", async () => {
    const folder = newFolder();
    const first = open(folder);
    const second = openJournal({ folder, clock: { nowMs: () => 0 }, timers, log: quiet });
    expect(second).toMatchObject({ ok: false, error: { code: "state-locked" } });
    await first.close();
    await open(folder).close();
  });

  test("a journal of a newer agent is refused, not guessed at", async () => {
    const folder = newFolder();
    await open(folder).close();
    const database = new DatabaseSync(join(folder, "journal.db"));
    database.exec("PRAGMA user_version = 99");
    database.close();
    expect(openJournal({ folder, clock: { nowMs: () => 0 }, timers, log: quiet })).toMatchObject({
      ok: false,
      error: { code: "conflict" },
    });
  });

  test("a closed journal confirms nothing, and closing stores what is still queued", async () => {
    const folder = newFolder();
    const journal = open(folder);
    const queued = journal.write([report(1)]);
    await journal.close();
    expect(await queued).toEqual({ ok: true, value: undefined });
    expect(await journal.write([report(2)])).toMatchObject({ ok: false });
    const again = open(folder);
    expect(again.spool().last).toBe(1);
    await again.close();
  });
});
