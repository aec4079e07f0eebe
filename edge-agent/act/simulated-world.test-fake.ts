import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandId, DecisionId } from "@reflex/protocol/ids";
import { uuidV7 } from "@reflex/protocol/ids";
import type { RefusalCode } from "@reflex/protocol/refusal";
import { timestampOf } from "@reflex/protocol/timestamp";
import type { CommandRow, Journal, Log, Random } from "../ports.ts";
import { openJournal, simulatedCrash } from "../store/journal.ts";
import { createExecutor, type Executor } from "./executor.ts";
import { createFarEnd, type FarEnd } from "./simulated-far-end.test-fake.ts";
import { createSimulatedTime, type SimulatedTime } from "./simulated-time.test-fake.ts";

const quiet: Log = { info: () => {}, warn: () => {}, error: () => {} };
const startMs = Date.UTC(2026, 0, 1);

/** An agent's acting half, with its real journal, that can be killed at any commit and started again. */
export type World = {
  readonly time: SimulatedTime;
  readonly farEnd: FarEnd;
  readonly journal: () => Journal;
  readonly executor: () => Executor;
  readonly plan: (rows: readonly CommandRow[]) => Promise<boolean>;
  readonly restart: () => void;
  readonly events: () => readonly string[];
  readonly rows: () => readonly CommandRow[];
  readonly outcomes: string[];
  brake: RefusalCode | undefined;
  /** Ids at the far end. */
  neverTouch: ReadonlySet<string>;
  /** Numbers of commits at which the process dies, or the disk is full. */
  crashBefore: ReadonlySet<number>;
  crashAfter: ReadonlySet<number>;
  diskFull: ReadonlySet<number>;
};

const folders: string[] = [];
/** Removes what the worlds so far left on the disk. */
export const removeWorlds = (): void => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
};

type WorldOptions = {
  readonly canVerify?: boolean;
  readonly seed?: number;
  readonly names?: Readonly<Record<string, string>>;
  readonly isExpiring?: boolean;
  readonly drift?: "repair" | "report";
};
export const createWorld = ({ canVerify = true, seed = 1, names, isExpiring, drift }: WorldOptions = {}): World => {
  const folder = mkdtempSync(join(tmpdir(), "reflex-executor-"));
  folders.push(folder);
  const time = createSimulatedTime(startMs);
  const farEnd = createFarEnd(time, canVerify);
  farEnd.names = names;
  farEnd.expiresAtMs = isExpiring === true ? new Map() : undefined;
  let generation = 0;
  let commits = 0;
  let state = seed;
  const random: Random = {
    bytes: (count) =>
      Uint8Array.from({ length: count }, () => {
        state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
        return state >> 16;
      }),
  };
  let journal: Journal;
  let executor: Executor;
  const world: World = {
    time,
    farEnd,
    journal: () => journal,
    executor: () => executor,
    plan: async (rows) => {
      const stored = journal.write(rows.map((row) => ({ kind: "command", row })));
      const born = generation;
      let isStored = false;
      void stored.then((result) => {
        isStored = result.ok;
        if (result.ok && born === generation) executor.run(rows);
      });
      await time.settle();
      return isStored;
    },
    restart: () => boot(),
    events: () =>
      journal
        .reports(0, 100_000, 1e9)
        .filter(({ kind }) => kind === "event")
        .map(({ bodyJson }) => (JSON.parse(bodyJson) as { name: string }).name),
    rows: () => journal.commandsSince(0),
    outcomes: [],
    brake: undefined,
    neverTouch: new Set(),
    crashBefore: new Set(),
    crashAfter: new Set(),
    diskFull: new Set(),
  };

  const boot = (): void => {
    generation += 1;
    const born = generation;
    const isAlive = (): boolean => born === generation;
    // What the dead process had planned to do later never happens.
    const timers = {
      after: (delayMs: number, run: () => void) => time.timers.after(delayMs, () => void (isAlive() && run())),
      soon: (run: () => void) => time.timers.soon(() => void (isAlive() && run())),
    };
    const die = (): never => {
      // Started again a moment later, by whatever supervises it.
      time.timers.after(50, boot);
      generation += 1;
      throw simulatedCrash;
    };
    const opened = openJournal({
      folder,
      clock: time.clock,
      timers,
      log: quiet,
      faults: {
        beforeCommit: () => {
          commits += 1;
          if (world.diskFull.has(commits)) throw new Error("database or disk is full");
          if (world.crashBefore.has(commits)) die();
        },
        afterCommit: () => {
          if (world.crashAfter.has(commits)) die();
        },
      },
    });
    if (!opened.ok) throw new Error(`${opened.error.code} ${opened.error.detail}`);
    journal = opened.value;
    executor = createExecutor({
      clock: time.clock,
      timers,
      random,
      journal,
      connectors: new Map([["far-end", farEnd.connector(isAlive)]]),
      brakes: {
        check: (_command, resolved) => (world.neverTouch.has(resolved?.id ?? "") ? "never-touch" : world.brake),
      },
      log: quiet,
      ...(drift === undefined ? {} : { drift: () => drift }),
      onOutcome: (row, { outcome }) => {
        world.outcomes.push(`${row.command.command_id} ${outcome}`);
        return [];
      },
    });
    executor.start();
  };
  boot();
  farEnd.durableState = (commandId) =>
    journal.openCommands().find(({ command }) => command.command_id === commandId)?.state;
  return world;
};

let serial = 0;
export const planned = (
  target: string,
  ttl: number,
  nowMs: number,
  action: "block_ip" | "allow_ip" = "block_ip",
): CommandRow => {
  serial += 1;
  const id = uuidV7(
    nowMs,
    Uint8Array.from([0, 0, 0, 0, 0, 0, serial >> 16, serial >> 8, serial].map((byte) => byte & 0xff)),
  );
  return {
    command: {
      command_id: id as CommandId,
      decision_id: id as DecisionId,
      action,
      target: { type: "address", value: target },
      reason: "test",
      ttl,
      idempotency_key: serial.toString(16).padStart(64, "0"),
      connector: "far-end",
      issued_at: timestampOf(nowMs),
    },
    state: "planned",
    atMs: nowMs,
    attempts: 0,
    undoAttempts: 0,
    verified: false,
    limits: [],
  };
};
export const stateOf = (world: World, row: CommandRow): string | undefined =>
  world.rows().find(({ command }) => command.command_id === row.command.command_id)?.state;
