import type { CommandEvent } from "@reflex/protocol/command-life";
import { entityText } from "@reflex/protocol/entity";
import type { RefusalCode } from "@reflex/protocol/refusal";
import type { CommandRow, JournalWrite } from "../ports.ts";
import { eventWrite } from "../report/records.ts";
import { type CommandChanges, changeCommand, commandStepWrites, moveCommand } from "./command-step.ts";
import { type Entry, endWait, fieldsOf, waitBeforeNext } from "./entry.ts";
import type { LaneDeps, Outcome } from "./lane.ts";

/** Moves commands and makes each move durable with its report, in the order in which it happened. */
export type Recorder = {
  /** For what has happened: true at once, written as soon as the disk allows. A crash in between is settled by verifying. */
  readonly advance: (
    entry: Entry,
    events: readonly CommandEvent[],
    changes: CommandChanges,
    beside?: readonly JournalWrite[],
  ) => void;
  readonly succeed: (entry: Entry, events: readonly CommandEvent[], changes: CommandChanges) => void;
  readonly fail: (entry: Entry, event: CommandEvent, code: RefusalCode, detail: string) => void;
  /** Logs it; what it returns goes into the very write of the step it is about, or a crash between the two would swallow it. */
  readonly alarm: (
    entry: Entry,
    level: "warning" | "alarm",
    name: string,
    detail: string,
    code?: RefusalCode,
  ) => readonly JournalWrite[];
  /** The same state, with something else to say about it. */
  readonly amend: (entry: Entry, changes: CommandChanges) => void;
  /** The clock was set back: the end that this process counts is written down, or each restart would count anew. */
  readonly shorten: (entry: Entry) => void;
  readonly note: (entry: Entry, writes: readonly JournalWrite[]) => void;
  /** For what must be on the disk before the next call: false when it is not, and then nothing has happened. */
  readonly commitFirst: (entry: Entry, next: CommandRow, beside?: readonly JournalWrite[]) => Promise<boolean>;
  readonly flush: (entry: Entry) => Promise<boolean>;
  readonly outcomeWrites: (row: CommandRow, outcome: Outcome["outcome"]) => readonly JournalWrite[];
  readonly wait: (entry: Entry, delayMs: number) => void;
};

export type RecorderHooks = {
  readonly poke: () => void;
  readonly onDeadline: (atMs: number) => void;
  /** A write went through with nothing else under way. */
  readonly onWritten: () => void;
};

export const createRecorder = (deps: LaneDeps, hooks: RecorderHooks): Recorder => {
  const { clock, timers, journal, limits, log } = deps;

  const advance = (
    entry: Entry,
    events: readonly CommandEvent[],
    changes: CommandChanges,
    beside: readonly JournalWrite[] = [],
  ): void => {
    become(entry, moveCommand(entry.row, events, clock.nowMs(), changes));
    note(entry, [...commandStepWrites(entry.row), ...beside]);
  };

  const amend: Recorder["amend"] = (entry, changes) => {
    const { row } = entry;
    become(entry, changeCommand(row, { state: row.state, atMs: row.atMs }, changes));
    note(entry, commandStepWrites(entry.row));
  };

  const shorten = (entry: Entry): void => {
    const { row, deadlineMs } = entry;
    entry.row = changeCommand(row, { state: row.state, atMs: row.atMs }, { undoAtMs: deadlineMs });
    note(entry, commandStepWrites(entry.row));
  };

  const succeed = (entry: Entry, events: readonly CommandEvent[], changes: CommandChanges): void =>
    advance(entry, events, changes, outcomeWrites(entry.row, "success"));

  const fail = (entry: Entry, event: CommandEvent, code: RefusalCode, detail: string): void => {
    log.warn({ ...fieldsOf(entry), code, detail }, "command failed");
    advance(entry, [event], { code, detail }, outcomeWrites(entry.row, "failure"));
  };

  const outcomeWrites = (row: CommandRow, outcome: Outcome["outcome"]): readonly JournalWrite[] =>
    deps.onOutcome(row, { outcome, latencyMs: Math.max(0, clock.nowMs() - Date.parse(row.command.issued_at)) });

  const alarm: Recorder["alarm"] = (entry, level, name, detail, code) => {
    const { command_id, action, target } = entry.row.command;
    log[level === "alarm" ? "error" : "warn"]({ ...fieldsOf(entry), detail }, name);
    return [eventWrite(clock, level, name, `${action} ${entityText(target)} (command ${command_id}): ${detail}`, code)];
  };

  const note: Recorder["note"] = (entry, writes) => {
    entry.unwritten.push(...writes);
    void flush(entry);
  };

  const commitFirst = async (
    entry: Entry,
    next: CommandRow,
    beside: readonly JournalWrite[] = [],
  ): Promise<boolean> => {
    if (await flush(entry)) {
      const stored = await journal.write([...commandStepWrites(next), ...beside]);
      if (stored.ok) {
        become(entry, next);
        return true;
      }
    }
    wait(entry, limits.diskRetryMs);
    return false;
  };

  const flush = (entry: Entry): Promise<boolean> => {
    if (entry.writing !== undefined) return entry.writing;
    if (entry.unwritten.length === 0) return Promise.resolve(true);
    entry.writing = writeAll(entry);
    return entry.writing;
  };

  const writeAll = async (entry: Entry): Promise<boolean> => {
    while (entry.unwritten.length > 0) {
      const writes = [...entry.unwritten];
      const stored = await journal.write(writes);
      if (!stored.ok) {
        entry.writing = undefined;
        timers.after(limits.diskRetryMs, () => {
          if (!deps.isStopping()) void flush(entry);
        });
        return false;
      }
      entry.unwritten.splice(0, writes.length);
    }
    entry.writing = undefined;
    hooks.onWritten();
    return true;
  };

  const wait = (entry: Entry, delayMs: number): void => waitBeforeNext(entry, timers, delayMs, hooks.poke);

  const become = (entry: Entry, row: CommandRow): void => {
    const hadDeadline = entry.row.undoAtMs;
    const hasMoved = entry.row.state !== row.state;
    entry.row = row;
    entry.isProvenAbsent = false;
    entry.hasDoubt ||= row.state === "pending_verification";
    if (hasMoved) {
      entry.triesInState = 0;
      entry.absentReads = 0;
      endWait(entry);
    }
    if (row.undoAtMs !== hadDeadline && row.undoAtMs !== undefined) {
      entry.deadlineMs = row.undoAtMs;
      hooks.onDeadline(row.undoAtMs);
    }
    deps.onChange(row);
  };

  return { advance, amend, shorten, succeed, fail, alarm, note, commitFirst, flush, outcomeWrites, wait };
};
