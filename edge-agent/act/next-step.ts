import { isTerminal } from "@reflex/protocol/command-life";
import type { RefusalCode } from "@reflex/protocol/refusal";
import type { CommandRow } from "../ports.ts";
import { isHolding } from "./lease.ts";

/** One command of a lane (a target at a connector), with what is known about it beyond its row. */
export type LaneEntry = {
  readonly row: CommandRow;
  readonly deadlineMs: number;
  /** A delay before the next try is running. */
  readonly isWaiting: boolean;
  /** Early undo. */
  readonly isUndoAsked: boolean;
  /** The last call provably applied nothing, so it may be made again without verifying. */
  readonly isProvenAbsent: boolean;
  readonly canVerify: boolean;
  /** What it is at the far end is not known yet. */
  readonly needsResolve: boolean;
  /** A longer lease that the far end must be told of, ms; set while that is not done. */
  readonly renewUntilMs: number | undefined;
  /** Why a plan found at start must not be carried out any more. */
  readonly withdrawCode?: RefusalCode;
};

export type Step<Entry extends LaneEntry> = {
  readonly entry: Entry;
  readonly kind: /** Which one thing at the far end is it? */
    | "resolve"
    /** Brakes, capture undo, make `sent` durable, call. */
    | "begin"
    /** Taken back before it was ever sent. */
    | "withdraw"
    /** A call was under way when the agent stopped: nobody knows. */
    | "doubt"
    /** Call again: the last call applied nothing. */
    | "call"
    /** Its time was up before a call got through. */
    | "abandon"
    | "verify"
    /** Confirmed, and the connector cannot verify. */
    | "accept"
    /** Tell the far end the new end of the lease. */
    | "renew"
    /** The lease ends, another one keeps the target enforced. */
    | "leave"
    | "undo";
};

/**
 * What to do next for a target, or nothing for now. A rule without memory: it gives the same answer after a crash as before it.
 * New leases come before endings, so that a lease that takes over does so without a gap.
 */
export const nextStep = <Entry extends LaneEntry>(
  entries: readonly Entry[],
  nowMs: number,
): Step<Entry> | undefined => {
  const steps = entries.flatMap((entry) => {
    const kind = stepOf(entry, entries, nowMs);
    return kind === undefined ? [] : [{ entry, kind }];
  });
  return steps.find(({ kind }) => kind !== "undo" && kind !== "leave") ?? steps[0];
};

const stepOf = (entry: LaneEntry, all: readonly LaneEntry[], nowMs: number): Step<LaneEntry>["kind"] | undefined => {
  const { row } = entry;
  if (isTerminal(row.state)) return undefined;
  const isOver = hasEnded(entry, nowMs);
  switch (row.state) {
    case "planned":
      if (entry.isUndoAsked || entry.withdrawCode !== undefined) return "withdraw";
      if (entry.isWaiting || mustWaitForOther(entry, all)) return undefined;
      return entry.needsResolve ? "resolve" : "begin";
    case "sent":
      if (!entry.isProvenAbsent) return "doubt";
      if (isOver) return "abandon";
      return entry.isWaiting ? undefined : "call";
    case "confirmed":
    case "in_force":
    case "pending_verification":
      // Waiting for a better moment to verify does not delay the end of a lease.
      if (isOver) return isHeldByOther(entry, all, nowMs) ? "leave" : "undo";
      if (entry.isWaiting) return undefined;
      if (row.state === "in_force") return entry.renewUntilMs === undefined ? undefined : "renew";
      if (entry.canVerify) return "verify";
      return row.state === "confirmed" ? "accept" : undefined;
    default:
      // undoing, stuck: if another lease has taken the target over since, undoing now would take that away.
      if (entry.isWaiting) return undefined;
      return isHeldByOther(entry, all, nowMs) ? "leave" : "undo";
  }
};

const hasEnded = (entry: LaneEntry, nowMs: number): boolean => entry.isUndoAsked || nowMs >= entry.deadlineMs;

const isSameAction = (entry: LaneEntry, other: LaneEntry): boolean =>
  other !== entry && other.row.command.action === entry.row.command.action;

/** Another lease on the same action whose fate is being settled: what it finds decides whether this one calls or joins. */
const mustWaitForOther = (entry: LaneEntry, all: readonly LaneEntry[]): boolean =>
  all.some((other) => isSameAction(entry, other) && ["sent", "confirmed", "undoing"].includes(other.row.state));

export const isHeldByOther = (entry: LaneEntry, all: readonly LaneEntry[], nowMs: number): boolean =>
  holdersBeside(entry, all, nowMs).length > 0;

/** Other leases that keep the same action on this target enforced beyond now. */
export const holdersBeside = <Entry extends LaneEntry>(
  entry: LaneEntry,
  all: readonly Entry[],
  nowMs: number,
): readonly Entry[] =>
  all.filter((other) => isSameAction(entry, other) && isHolding(other.row) && !hasEnded(other, nowMs));

/**
 * The lease whose capture of "what was there before" still holds: a second lease on an enforced target must not take our own
 * enforcement for the original state.
 */
export const captureToShare = (entry: LaneEntry, all: readonly LaneEntry[]): string | undefined =>
  all.find(
    (other) =>
      isSameAction(entry, other) &&
      (isHolding(other.row) || other.row.state === "stuck") &&
      other.row.undoData !== undefined,
  )?.row.undoData;
