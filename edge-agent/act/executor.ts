import { isTerminal } from "@reflex/protocol/command-life";
import { entityKey } from "@reflex/protocol/entity";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Connector } from "../connectors/contract.ts";
import type { Brakes, Clock, CommandRow, Journal, JournalWrite, Log, Random, Timers } from "../ports.ts";
import { createSlots, type Slots } from "./calls.ts";
import { createDeadlines } from "./deadlines.ts";
import { createLane, type Lane, type LaneDeps, type Outcome } from "./lane.ts";
import { type ExecutorLimits, executorLimits } from "./limits.ts";
import { reconcileConnector } from "./reconcile.ts";

export type ExecutorDeps = {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly journal: Pick<Journal, "write" | "openCommands">;
  /** Started connectors by name; main starts and stops them. */
  readonly connectors: ReadonlyMap<string, Connector>;
  readonly brakes: Brakes;
  readonly log: Log;
  readonly limits?: Partial<ExecutorLimits>;
  /** After every step of a command. */
  readonly onChange?: (row: CommandRow) => void;
  /** Once the connector worked or failed; what it returns is written in the same commit, e.g. feedback. */
  readonly onOutcome?: (row: CommandRow, outcome: Outcome) => readonly JournalWrite[];
};

export type Executor = {
  /** Takes up every open command of the journal: verifies what is in doubt, undoes what is overdue. Once, before `run`. */
  readonly start: () => void;
  /** Carries out commands that are durable as `planned`. One that is known already is left alone. */
  readonly run: (rows: readonly CommandRow[]) => void;
  /** Ends a lease early. Answers with the commands that still keep the same target enforced. */
  readonly undoNow: (commandId: string, reason: string) => Result<readonly string[], Refusal>;
  /** A person says a stuck command was undone by hand. */
  readonly markUndone: (commandId: string, by: string) => Result<void, Refusal>;
  /** The clock may have moved: undoes what is due. Cheap when nothing is. */
  readonly tick: () => void;
  /** Compares leases with what the connector says is in force; repairs what is missing, reports what is not ours. */
  readonly reconcile: (
    connectorName: string,
  ) => Promise<Result<{ readonly missing: number; readonly unowned: number }, Refusal>>;
  readonly inForce: () => readonly CommandRow[];
  readonly pending: () => readonly CommandRow[];
  /** True once nothing is under way; false when that took longer than `timeoutMs`. */
  readonly drain: (timeoutMs: number) => Promise<boolean>;
  /** Begins nothing more and waits for the calls under way. What is in force stays in force. */
  readonly stop: () => Promise<void>;
};

/** Timers of Node end at 24.8 days; looking once an hour costs nothing and follows a clock that was set. */
const lookAgainMs = 3_600_000;

/** Brakes, intent, call, outcome, verify, undo: for every command, through crashes, full disks and dead connectors. */
export const createExecutor = (deps: ExecutorDeps): Executor => {
  const { clock, timers, journal, connectors } = deps;
  const limits = { ...executorLimits, ...deps.limits };
  const lanes = new Map<string, Lane>();
  const laneOf = new Map<string, Lane>();
  const busy = new Set<Lane>();
  const slots = new Map<string, Slots>();
  const deadlines = createDeadlines<Lane>();
  let isStopping = false;
  let cancelAlarmClock = (): void => {};
  let alarmClockMs = Number.POSITIVE_INFINITY;
  let drainers: (() => void)[] = [];

  const laneDeps: LaneDeps = {
    ...deps,
    limits,
    onOutcome: deps.onOutcome ?? (() => []),
    onChange: (row) => {
      if (isTerminal(row.state)) laneOf.delete(row.command.command_id);
      deps.onChange?.(row);
    },
    onDeadline: (atMs, lane) => {
      deadlines.add(atMs, lane);
      if (atMs < alarmClockMs) setAlarmClock();
    },
    onBusy: (lane) => busy.add(lane),
    onIdle: (lane) => {
      if (lane.isQuiet()) busy.delete(lane);
      if (lane.isEmpty() && lanes.get(lane.key) === lane) lanes.delete(lane.key);
      if (busy.size === 0) for (const drained of drainers.splice(0)) drained();
    },
    isStopping: () => isStopping,
  };

  const slotsOf = (connectorName: string): Slots => {
    const known = slots.get(connectorName) ?? createSlots(limits.callsPerConnectorMax);
    slots.set(connectorName, known);
    return known;
  };

  const takeUp = (row: CommandRow, isRecovered: boolean): void => {
    const { command_id: id, connector, target } = row.command;
    if (laneOf.has(id) || isTerminal(row.state)) return;
    const key = `${connector}|${entityKey(target)}`;
    const lane = lanes.get(key) ?? createLane(key, connectors.get(connector), slotsOf(connector), laneDeps);
    lanes.set(key, lane);
    laneOf.set(id, lane);
    lane.add(row, isRecovered);
  };

  const takeUpAll = (rows: readonly CommandRow[], isRecovered: boolean): void => {
    if (isStopping) return;
    for (const row of rows) takeUp(row, isRecovered);
    for (const row of rows) laneOf.get(row.command.command_id)?.poke();
  };

  const tick = (): void => {
    const due = deadlines.takeDue(clock.nowMs());
    if (due.length === 0 || isStopping) return;
    for (const lane of due) lane.poke();
    setAlarmClock();
  };

  const setAlarmClock = (): void => {
    cancelAlarmClock();
    alarmClockMs = deadlines.nextMs() ?? Number.POSITIVE_INFINITY;
    if (alarmClockMs === Number.POSITIVE_INFINITY || isStopping) return;
    const delayMs = Math.min(lookAgainMs, Math.max(1, alarmClockMs - clock.nowMs()));
    cancelAlarmClock = timers.after(delayMs, () => {
      alarmClockMs = Number.POSITIVE_INFINITY;
      tick();
      setAlarmClock();
    });
  };

  const rowsOf = (): CommandRow[] =>
    [...lanes.values()].flatMap((lane) => lane.rows()).filter(({ state }) => !isTerminal(state));
  const isSettled = ({ state }: CommandRow): boolean => state === "confirmed" || state === "in_force";

  const drain: Executor["drain"] = (timeoutMs) => {
    if (busy.size === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const drained = (): void => {
        cancel();
        resolve(true);
      };
      const cancel = timers.after(timeoutMs, () => {
        drainers = drainers.filter((one) => one !== drained);
        resolve(false);
      });
      drainers.push(drained);
    });
  };

  return {
    start: () => takeUpAll(journal.openCommands(), true),
    run: (rows) => takeUpAll(rows, false),
    undoNow: (commandId, reason) => {
      const lane = laneOf.get(commandId);
      return lane === undefined ? err(refusal("not-found", commandId)) : ok(lane.askUndo(commandId, reason));
    },
    markUndone: (commandId, by) => {
      const lane = laneOf.get(commandId);
      const row = lane?.rows().find(({ command }) => command.command_id === commandId);
      if (lane === undefined || row === undefined) return err(refusal("not-found", commandId));
      if (row.state !== "stuck") return err(refusal("illegal-transition", `the command is ${row.state}, not stuck`));
      lane.mark(commandId, by);
      return ok(undefined);
    },
    tick,
    reconcile: (connectorName) =>
      reconcileConnector({ ...deps, callTimeoutMs: limits.callTimeoutMs }, connectorName, () => [...lanes.values()]),
    inForce: () => rowsOf().filter(isSettled),
    pending: () => rowsOf().filter((row) => !isSettled(row)),
    drain,
    stop: async () => {
      isStopping = true;
      cancelAlarmClock();
      await Promise.all([...lanes.values()].map((lane) => lane.stop()));
    },
  };
};
