import type { ActionTraits, Connector, ConnectorCall, ConnectorDescription } from "../connectors/contract.ts";
import type { CommandRow, JournalWrite, Timers } from "../ports.ts";
import { deadlineMs, secondsLeft } from "./lease.ts";
import type { ExecutorLimits } from "./limits.ts";
import type { LaneEntry } from "./next-step.ts";

/** One command as its lane holds it. What is not in the row is forgotten in a crash, and nothing breaks by that. */
export type Entry = {
  -readonly [Key in keyof LaneEntry]: LaneEntry[Key];
} & {
  cancelWait: () => void;
  hasWaited: boolean;
  /** Some call for it ended without an answer, here or before a crash. */
  hasDoubt: boolean;
  /** It was in force already and only its time is made longer. */
  isRenewal: boolean;
  undoReason: string;
  /** The call that was under way when the agent died has been seen to arrive. */
  endLateCall: () => void;
  /** Times that the record of an early undo found no room on the disk. */
  diskTries: number;
  /** Tries of the present state that brought no answer. */
  triesInState: number;
  /** Verify answers "absent" in the present state. */
  absentReads: number;
  /** Steps that happened but are not on the disk yet; one writer at a time keeps their order. */
  unwritten: JournalWrite[];
  writing: Promise<boolean> | undefined;
};

export const createEntry = (
  row: CommandRow,
  connector: Connector | undefined,
  description: ConnectorDescription | undefined,
  limits: ExecutorLimits,
  nowMs: number,
  isRecovered: boolean,
): Entry => {
  const isTooOld = isRecovered && row.state === "planned" && nowMs - row.atMs > limits.plannedAgeMaxMs;
  return {
    row,
    deadlineMs: deadlineMs(row, nowMs),
    isWaiting: false,
    isUndoAsked: false,
    isProvenAbsent: false,
    renewUntilMs: undefined,
    needsResolve: connector?.resolve !== undefined && row.resolved === undefined && row.state === "planned",
    canVerify: traitsOf(description, row)?.canVerify ?? false,
    ...(isTooOld ? { withdrawCode: "stale" as const } : {}),
    cancelWait: () => {},
    hasWaited: false,
    hasDoubt: row.state !== "planned",
    isRenewal: false,
    undoReason: "",
    endLateCall: () => {},
    diskTries: 0,
    triesInState: 0,
    absentReads: 0,
    unwritten: [],
    writing: undefined,
  };
};

export const traitsOf = (
  description: ConnectorDescription | undefined,
  { command }: Pick<CommandRow, "command">,
): ActionTraits | undefined => description?.actions[command.action];

/** What the connector is told; `untilMs` is when the lease ends. */
export const callOf = ({ row }: Pick<Entry, "row">, untilMs: number, nowMs: number): ConnectorCall => {
  const { command, resolved, undoData } = row;
  return {
    commandId: command.command_id,
    idempotencyKey: command.idempotency_key,
    decisionId: command.decision_id,
    action: command.action,
    target: command.target,
    ...(resolved === undefined ? {} : { resolved }),
    ttlSeconds: secondsLeft(untilMs, nowMs),
    reason: command.reason,
    ...(undoData === undefined ? {} : { undoData }),
  };
};

export const waitBeforeNext = (entry: Entry, timers: Timers, delayMs: number, poke: () => void): void => {
  endWait(entry);
  entry.isWaiting = true;
  entry.hasWaited = true;
  entry.cancelWait = timers.after(delayMs, () => {
    entry.isWaiting = false;
    poke();
  });
};

export const endWait = (entry: Entry): void => {
  entry.cancelWait();
  entry.cancelWait = () => {};
  entry.isWaiting = false;
};

/** For log lines. */
export const fieldsOf = ({ row }: Pick<Entry, "row">): Record<string, unknown> => ({
  commandId: row.command.command_id,
  action: row.command.action,
  connector: row.command.connector,
  state: row.state,
});
