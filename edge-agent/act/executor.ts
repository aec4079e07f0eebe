import { isTerminal } from "@reflex/protocol/command-life";
import { entityKey } from "@reflex/protocol/entity";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Connector } from "../connectors/contract.ts";
import type { Brakes, Clock, CommandRow, Journal, JournalWrite, Log, Random, Timers } from "../ports.ts";
import { eventWrite } from "../report/records.ts";
import { createDeadlines } from "./deadlines.ts";
import { createGate, type Gate } from "./gate.ts";
import { createLane, type Lane, type LaneDeps, type Outcome } from "./lane.ts";
import { type ExecutorLimits, executorLimits } from "./limits.ts";
import { type Drift, type Reconciled, reconcileConnector } from "./reconcile.ts";

export type ExecutorDeps = {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly journal: Pick<Journal, "write" | "openCommands">;
  /** Started connectors by name; main starts and stops them. */
  readonly connectors: ReadonlyMap<string, Connector>;
  readonly brakes: Brakes;
  readonly log: Log;
  /** What policy says about a lease whose entry is gone; repair where it says nothing. */
  readonly drift?: () => Drift;
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
  /** Makes a lease end `ttlSeconds` from now instead; never longer than the command's own ttl. */
  readonly extend: (commandId: string, ttlSeconds: number, by: string) => Result<void, Refusal>;
  /** A person takes over what is in force: nothing here ends it any more. Answers with the other leases that go with it. */
  readonly handOver: (commandId: string, by: string) => Result<readonly string[], Refusal>;
  /** The clock may have moved: undoes what is due. Cheap when nothing is. */
  readonly tick: () => void;
  /** Compares leases with what the connector says is in force; repairs what is missing, reports what is not ours. */
  readonly reconcile: (connectorName: string) => Promise<Result<Reconciled, Refusal>>;
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
  const gates = new Map<string, Gate>();
  const unowned = new Map<string, Set<string>>();
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
    onResolved: (row) => {
      laneOf.delete(row.command.command_id);
      takeUpAll([row], false);
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

  const gateOf = (connectorName: string): Gate => {
    const known = gates.get(connectorName);
    if (known !== undefined) return known;
    const description = connectors.get(connectorName)?.describe();
    const made = createGate(
      {
        callsAtOnceMax: Math.min(description?.callsAtOnceMax ?? Number.POSITIVE_INFINITY, limits.callsPerConnectorMax),
        ...(description?.rate === undefined ? {} : { rate: description.rate }),
        failuresMax: limits.circuitFailuresMax,
        pause: limits.circuitPause,
      },
      { timers, random: deps.random, onCircuit: (isOpen, failures) => tellCircuit(connectorName, isOpen, failures) },
    );
    gates.set(connectorName, made);
    return made;
  };

  const tellCircuit = (connectorName: string, isOpen: boolean, failures: number): void => {
    const detail = isOpen
      ? `${connectorName} left ${failures} calls in a row without an answer: applying pauses, undoing and verifying go on`
      : `${connectorName} answers again: applying goes on`;
    deps.log.warn({ connector: connectorName, isOpen }, "connector circuit");
    const level = isOpen ? "warning" : "info";
    void journal.write([
      eventWrite(
        clock,
        level,
        isOpen ? "circuit-opened" : "circuit-closed",
        detail,
        isOpen ? "circuit-open" : undefined,
      ),
    ]);
  };

  /** Two names of one thing share a lane; what is not known yet stands alone, because reading needs no order. */
  const laneKeyOf = ({ command, resolved, state }: CommandRow): string => {
    const { connector, command_id: id, target } = command;
    if (resolved !== undefined) return `${connector}|=${resolved.id}`;
    const isUnknown = state === "planned" && connectors.get(connector)?.resolve !== undefined;
    return isUnknown ? `${connector}|?${id}` : `${connector}|${entityKey(target)}`;
  };

  const takeUp = (row: CommandRow, isRecovered: boolean): void => {
    const { command_id: id, connector } = row.command;
    if (laneOf.has(id) || isTerminal(row.state)) return;
    const key = laneKeyOf(row);
    const lane = lanes.get(key) ?? createLane(key, connectors.get(connector), gateOf(connector), laneDeps);
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
    extend: (commandId, ttlSeconds, by) => {
      const lane = laneOf.get(commandId);
      const row = lane?.rows().find(({ command }) => command.command_id === commandId);
      if (lane === undefined || row === undefined) return err(refusal("not-found", commandId));
      if (ttlSeconds > row.command.ttl)
        return err(
          refusal("limit-exceeded", `${ttlSeconds} s is more than policy grants this command, ${row.command.ttl} s`),
        );
      return lane.extend(commandId, clock.nowMs() + ttlSeconds * 1_000, by);
    },
    handOver: (commandId, by) => laneOf.get(commandId)?.handOver(commandId, by) ?? err(refusal("not-found", commandId)),
    tick,
    reconcile: async (connectorName) => {
      const connector = connectors.get(connectorName);
      if (connector === undefined) return err(refusal("connector-unknown", connectorName));
      const gate = gateOf(connectorName);
      const drift = deps.drift?.() ?? "repair";
      const { callTimeoutMs } = limits;
      const told = unowned.get(connectorName) ?? new Set();
      unowned.set(connectorName, told);
      const { log } = deps;
      return reconcileConnector({ clock, timers, journal, log, drift, gate, callTimeoutMs, told }, connector, [
        ...lanes.values(),
      ]);
    },
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
