import { isTerminal } from "@reflex/protocol/command-life";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Connector, ConnectorDescription } from "../connectors/contract.ts";
import type { Brakes, Clock, CommandRow, Journal, JournalWrite, Log, Random, Timers } from "../ports.ts";
import { createApplySteps } from "./apply-step.ts";
import { createEntry, type Entry, endWait, traitsOf } from "./entry.ts";
import type { Gate } from "./gate.ts";
import type { ExecutorLimits } from "./limits.ts";
import { holdersBeside, nextStep, type Step } from "./next-step.ts";
import { createRecorder, type Recorder } from "./record.ts";
import { createResolveStep } from "./resolve-step.ts";
import { createUndoStep } from "./undo-step.ts";
import { createVerifyStep } from "./verify-step.ts";

/** What came of a command: did the connector work. `latencyMs` is from the plan to the outcome. */
export type Outcome = { readonly outcome: "success" | "failure"; readonly latencyMs: number };

export type LaneDeps = {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly journal: Pick<Journal, "write">;
  readonly brakes: Brakes;
  readonly log: Log;
  readonly limits: ExecutorLimits;
  /** What else to make durable in the very write that holds the outcome, e.g. feedback. */
  readonly onOutcome: (row: CommandRow, outcome: Outcome) => readonly JournalWrite[];
  readonly onChange: (row: CommandRow) => void;
  /** What the target is at the far end has become known: the command goes on in the lane of that one thing. */
  readonly onResolved: (row: CommandRow) => void;
  readonly onDeadline: (atMs: number, lane: Lane) => void;
  readonly onBusy: (lane: Lane) => void;
  readonly onIdle: (lane: Lane) => void;
  readonly isStopping: () => boolean;
};

/** All commands on one target at one connector, one step at a time: nothing overtakes an undo, nothing is applied beside it. */
export type Lane = {
  readonly key: string;
  readonly add: (row: CommandRow, isRecovered: boolean) => void;
  readonly rows: () => readonly CommandRow[];
  readonly askUndo: (commandId: string, reason: string) => readonly string[];
  readonly mark: (commandId: string, by: string) => void;
  readonly doubt: (commandId: string, detail: string) => void;
  /** It is not as it should be, and policy says to leave it so: said once. */
  readonly noteDrift: (commandId: string, detail: string) => boolean;
  /** The lease ends at `untilMs` instead. */
  readonly extend: (commandId: string, untilMs: number, by: string) => Result<void, Refusal>;
  /** What is in force stays so, and no lease ends it any more: a person has it now. */
  readonly handOver: (commandId: string, by: string) => Result<readonly string[], Refusal>;
  /** Does whatever is due. */
  readonly poke: () => void;
  /** Nothing under way, nothing unwritten, nothing to retry soon. */
  readonly isQuiet: () => boolean;
  readonly isEmpty: () => boolean;
  /** No more delays; resolves when the call under way has ended and is recorded as far as the disk allows. */
  readonly stop: () => Promise<void>;
};

/** What the steps of one lane share. */
export type LaneParts = {
  readonly connector: Connector | undefined;
  readonly description: ConnectorDescription | undefined;
  readonly gate: Gate;
  readonly deps: LaneDeps;
  readonly record: Recorder;
  readonly entries: () => readonly Entry[];
  /**
   * Apply calls on this target that were given up on and may still have their effect. Of the lane, not of a command: a late
   * call of a lease that has ended would outlive the undo of the one that holds the target now.
   */
  readonly lateCalls: Set<symbol>;
  readonly poke: () => void;
};

export const createLane = (key: string, connector: Connector | undefined, gate: Gate, deps: LaneDeps): Lane => {
  const { clock, limits } = deps;
  const description = connector?.describe();
  let entries: Entry[] = [];
  let isRunning = false;
  const lateCalls = new Set<symbol>();
  let ended: Promise<void> = Promise.resolve();

  const poke = (): void => {
    if (isRunning) return;
    ended = run();
  };

  const run = async (): Promise<void> => {
    isRunning = true;
    deps.onBusy(lane);
    while (!deps.isStopping()) {
      const step = nextStep(entries, clock.nowMs());
      if (step === undefined) break;
      await take(step);
    }
    isRunning = false;
    entries = entries.filter((entry) => !isTerminal(entry.row.state) || entry.unwritten.length > 0);
    deps.onIdle(lane);
  };

  const take = ({ entry, kind }: Step<Entry>): Promise<void> | void => {
    switch (kind) {
      case "resolve":
        return resolve(entry);
      case "begin":
        return applySteps.begin(entry);
      case "withdraw":
        return record.advance(entry, ["withdraw"], { code: entry.withdrawCode, detail: entry.undoReason || undefined });
      case "doubt": {
        const detail = "the agent stopped while the call was under way";
        const beside = entry.canVerify ? [] : record.alarm(entry, "warning", "command-unproven", detail);
        return record.advance(entry, ["unknown"], { code: "connector-timeout", detail }, beside);
      }
      case "call":
        return applySteps.callAgain(entry);
      case "abandon":
        return record.fail(
          entry,
          "refused",
          entry.row.code ?? "connector-failed",
          "its time was up before a call got through",
        );
      case "renew":
        return applySteps.renew(entry);
      case "verify":
        return verify(entry);
      case "accept":
        return record.advance(entry, ["found"], { verified: false });
      case "leave":
        return record.advance(entry, isEnding(entry.row) ? ["taken_back"] : ["undo", "taken_back"], {
          code: undefined,
          detail: "another lease keeps the target enforced",
        });
      case "undo":
        return undoStep.undo(entry);
    }
  };

  const record = createRecorder(deps, {
    poke,
    onDeadline: (atMs) => deps.onDeadline(atMs, lane),
    onWritten: () => {
      if (!isRunning) poke();
    },
  });
  const parts: LaneParts = { connector, description, gate, deps, record, entries: () => entries, lateCalls, poke };
  const applySteps = createApplySteps(parts);
  const resolve = createResolveStep(parts, (entry, resolved) => {
    entries = entries.filter((one) => one !== entry);
    deps.onResolved({ ...entry.row, resolved });
  });
  const undoStep = createUndoStep(parts);
  const verify = createVerifyStep(parts, applySteps.resend, undoStep.callUndo);

  /** The process that made it is gone, the call may not be: a proxy or a busy server can still carry it out. */
  const expectLateCall = (entry: Entry, underWayMs: number): void => {
    const late = Symbol(entry.row.command.command_id);
    lateCalls.add(late);
    entry.endLateCall = () => {
      cancel();
      if (lateCalls.delete(late)) poke();
    };
    const cancel = deps.timers.after(underWayMs, entry.endLateCall);
  };

  const find = (commandId: string): Entry | undefined =>
    entries.find(({ row }) => row.command.command_id === commandId);

  const lane: Lane = {
    key,
    add: (row, isRecovered) => {
      const entry = createEntry(row, connector, description, limits, clock.nowMs(), isRecovered);
      entries.push(entry);
      const underWayMs = isRecovered ? underWayMsOf(row, limits, clock.nowMs()) : 0;
      if (underWayMs > 0) expectLateCall(entry, underWayMs);
      if (isRecovered && row.undoAtMs !== undefined && row.undoAtMs > entry.deadlineMs) record.shorten(entry);
      if (row.state !== "planned") deps.onDeadline(entry.deadlineMs, lane);
    },
    rows: () => entries.map(({ row }) => row),
    askUndo: (commandId, reason) => {
      const entry = find(commandId);
      if (entry === undefined) return [];
      entry.isUndoAsked = true;
      entry.undoReason = reason;
      if (entry.row.state === "stuck" || entry.row.state === "undoing") endWait(entry);
      poke();
      return holdersBeside(entry, entries, clock.nowMs()).map(({ row }) => row.command.command_id);
    },
    mark: (commandId, by) => {
      const entry = find(commandId);
      if (entry?.row.state !== "stuck") return;
      record.advance(entry, ["marked"], { code: undefined, detail: `undone by hand, says ${by}` });
      poke();
    },
    doubt: (commandId, detail) => {
      const entry = find(commandId);
      if (entry?.row.state !== "in_force" || isRunning) return;
      record.advance(entry, ["unknown"], { verified: false, code: "verify-absent", detail });
      poke();
    },
    noteDrift: (commandId, detail) => {
      const entry = find(commandId);
      if (entry?.row.state !== "in_force" || entry.row.code === "verify-absent") return false;
      record.amend(entry, { verified: false, code: "verify-absent", detail });
      return true;
    },
    extend: (commandId, untilMs, by) => {
      const entry = find(commandId);
      if (entry?.row.state !== "in_force" || entry.isUndoAsked || entry.deadlineMs <= clock.nowMs())
        return err(
          refusal(
            "illegal-transition",
            `the command is ${entry?.row.state ?? "unknown"}, only a lease in force can be extended`,
          ),
        );
      if (untilMs <= entry.deadlineMs) return err(refusal("conflict", "the lease already lasts longer than that"));
      const detail = `extended by ${by}`;
      if (traitsOf(description, entry.row)?.nativeTtl === true) {
        entry.renewUntilMs = untilMs;
        entry.row = { ...entry.row, detail };
      } else record.amend(entry, { undoAtMs: untilMs, detail });
      poke();
      return ok(undefined);
    },
    handOver: (commandId, by) => {
      const entry = find(commandId);
      if (entry?.row.state !== "in_force" || entry.isUndoAsked || entry.deadlineMs <= clock.nowMs())
        return err(
          refusal(
            "illegal-transition",
            `the command is ${entry?.row.state ?? "unknown"}, only a lease in force can be handed over`,
          ),
        );
      // The target itself is handed over: a lease beside this one would take back at its end what a person now answers for.
      const beside = holdersBeside(entry, entries, clock.nowMs());
      const unsettled = beside.find(({ row }) => row.state !== "in_force");
      if (unsettled !== undefined)
        return err(
          refusal(
            "conflict",
            `command ${unsettled.row.command.command_id} on the same target is ${unsettled.row.state}; try again shortly`,
          ),
        );
      for (const one of [entry, ...beside])
        record.advance(one, ["hand_over"], { code: undefined, detail: `handed over to ${by}` });
      poke();
      return ok(beside.map(({ row }) => row.command.command_id));
    },
    poke,
    isQuiet: () =>
      !isRunning &&
      entries.every(
        (entry) =>
          entry.unwritten.length === 0 &&
          ((["in_force", "stuck"].includes(entry.row.state) && entry.renewUntilMs === undefined) ||
            isTerminal(entry.row.state) ||
            (isUnprovable(entry) && !entry.isWaiting)),
      ),
    isEmpty: () => entries.length === 0 && lateCalls.size === 0 && !isRunning,
    stop: async () => {
      entries.forEach(endWait);
      await ended;
      await Promise.all(entries.map((entry) => entry.writing));
    },
  };
  return lane;
};

/** States in which an apply call may have been without an answer when the agent stopped. */
const mayBeUnderWay: ReadonlySet<CommandRow["state"]> = new Set(["sent", "pending_verification", "undoing"]);
/** How long an apply call of a process that died may still come; the whole time where the clock says nothing sensible. */
const underWayMsOf = (row: CommandRow, limits: ExecutorLimits, nowMs: number): number => {
  // One that only joined another lease never called; without this it would wait anew after every start.
  if (!mayBeUnderWay.has(row.state) || row.attempts === 0) return 0;
  const mostMs = limits.callTimeoutMs + limits.lateCallMs;
  const sinceMs = nowMs - (row.calledAtMs ?? nowMs);
  return sinceMs < 0 ? mostMs : mostMs - sinceMs;
};
const isUnprovable = ({ row, canVerify }: Entry): boolean => row.state === "pending_verification" && !canVerify;
const isEnding = (row: CommandRow): boolean => row.state === "undoing" || row.state === "stuck";
