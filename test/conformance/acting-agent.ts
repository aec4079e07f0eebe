import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createExecutor, type Executor } from "@reflex/edge-agent/act/executor";
import type { ExecutorLimits } from "@reflex/edge-agent/act/limits";
import type { Connector } from "@reflex/edge-agent/connectors/contract";
import type { CommandRow, Journal, Log, Timers } from "@reflex/edge-agent/ports";
import { openJournal, simulatedCrash } from "@reflex/edge-agent/store/journal";
import type { ActionName } from "@reflex/protocol/action";
import type { Entity } from "@reflex/protocol/entity";
import { type CommandId, type DecisionId, uuidV7 } from "@reflex/protocol/ids";
import { timestampOf } from "@reflex/protocol/timestamp";

/** The acting half of an agent as it ships, over a journal on the disk, that can be killed at any commit and started again. */
export type ActingAgent = {
  /** Plans a command and carries it out; gives its id. */
  readonly plan: (action: ActionName, target: Entity, ttlSeconds: number) => Promise<string>;
  readonly rowOf: (commandId: string) => CommandRow | undefined;
  /** Waits until the command is in one of these states. */
  readonly reaches: (commandId: string, states: readonly CommandRow["state"][]) => Promise<CommandRow>;
  /** Waits until `isSo`; fails after half a minute with what is the case instead. */
  readonly waitFor: (what: string, isSo: () => boolean | Promise<boolean>) => Promise<void>;
  /** As if so much time had passed. */
  readonly moveClock: (byMs: number) => void;
  /** Dies on the spot and starts again from what is on the disk. */
  readonly kill: () => Promise<void>;
  readonly commits: () => number;
  readonly deaths: () => number;
  readonly journal: () => Journal;
  /** The one in use. */
  readonly connector: () => Connector;
  readonly close: () => Promise<void>;
};

export type ActingAgentOptions = {
  readonly connectorName: string;
  /** A fresh started connector; called again after each death, when the one before was stopped. */
  readonly connector: () => Promise<Connector>;
  /** Numbers of commits (from 1) before or after which it dies. */
  readonly crashBefore?: ReadonlySet<number>;
  readonly crashAfter?: ReadonlySet<number>;
  readonly log?: Log;
  readonly folder?: string;
};

/** Like those that ship, with less patience: the target is next door. */
const limits: Partial<ExecutorLimits> = {
  callTimeoutMs: 4_000,
  lateCallMs: 300,
  lateUndoMs: 100,
  applyBackoff: { firstMs: 20, mostMs: 200 },
  verifyBackoff: { firstMs: 20, mostMs: 200 },
  undoBackoff: { firstMs: 20, mostMs: 200 },
  stuckRetryMs: 300,
  diskRetryMs: 20,
};
const quiet: Log = { info: () => {}, warn: () => {}, error: () => {} };
const pollMs = 5;
const patienceMs = 30_000;

export const startActingAgent = async (options: ActingAgentOptions): Promise<ActingAgent> => {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "reflex-acting-"));
  let offsetMs = 0;
  let generation = 0;
  let commits = 0;
  let deaths = 0;
  let journal: Journal | undefined;
  let executor: Executor | undefined;
  let connector: Connector | undefined;
  let booting: Promise<void> = Promise.resolve();
  let bootFailure: unknown;
  const clock = { nowMs: () => Date.now() + offsetMs };

  const boot = async (): Promise<void> => {
    await connector?.stop();
    const born = generation;
    const isAlive = (): boolean => born === generation;
    const timers: Timers = {
      after: (delayMs, run) => {
        const timer = setTimeout(() => isAlive() && run(), delayMs);
        return () => clearTimeout(timer);
      },
      soon: (run) => void setImmediate(run),
    };
    const die = (): never => {
      // The dead journal still holds what was queued: that is lost with it, and nobody dies twice.
      if (isAlive()) endLife(Promise.resolve());
      throw simulatedCrash;
    };
    connector = await options.connector();
    const opened = openJournal({
      folder,
      clock,
      timers,
      log: options.log ?? quiet,
      faults: {
        beforeCommit: () => {
          commits += 1;
          if (!isAlive() || options.crashBefore?.has(commits)) die();
        },
        afterCommit: () => {
          if (options.crashAfter?.has(commits)) die();
        },
      },
    });
    if (!opened.ok) throw new Error(`${opened.error.code} ${opened.error.detail}`);
    journal = opened.value;
    executor = createExecutor({
      clock,
      timers,
      random: { bytes: (count) => randomBytes(count) },
      journal,
      connectors: new Map([[options.connectorName, mortal(connector, isAlive)]]),
      brakes: { check: () => undefined },
      log: options.log ?? quiet,
      limits,
    });
    executor.start();
  };
  const endLife = (closed: Promise<void>): void => {
    generation += 1;
    deaths += 1;
    executor = undefined;
    const start = async (): Promise<void> => {
      await closed;
      await new Promise((resolve) => setImmediate(resolve));
      await boot();
    };
    booting = start().catch((cause: unknown) => {
      bootFailure = cause;
    });
  };
  await boot();

  const rowOf = (commandId: string): CommandRow | undefined =>
    executor === undefined
      ? undefined
      : journal?.commandsSince(0).find(({ command }) => command.command_id === commandId);

  const waitFor: ActingAgent["waitFor"] = async (what, isSo) => {
    const untilMs = performance.now() + patienceMs;
    while (!(await isSo())) {
      if (bootFailure !== undefined) throw bootFailure;
      if (performance.now() > untilMs) {
        const rows = journal
          ?.commandsSince(0)
          .map(({ state, code, detail }) => `${state} ${code ?? ""} ${detail ?? ""}`);
        throw new Error(`waited in vain until ${what}; commands: ${JSON.stringify(rows)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  };

  return {
    plan: async (action, target, ttl) => {
      const row = plannedRow(options.connectorName, action, target, ttl, clock.nowMs());
      const id = row.command.command_id;
      void journal?.write([{ kind: "command", row }]).then((stored) => {
        if (stored.ok) executor?.run([row]);
      });
      await waitFor("the plan is on the disk", async () => {
        await booting;
        if (rowOf(id) !== undefined) return true;
        // Died before it was written: whoever planned plans again, with the same key.
        if (deaths > 0 && executor !== undefined) {
          const stored = await journal?.write([{ kind: "command", row }]);
          if (stored?.ok) executor?.run([row]);
        }
        return rowOf(id) !== undefined;
      });
      return id;
    },
    rowOf,
    reaches: async (commandId, states) => {
      await waitFor(`the command is ${states.join(" or ")}`, () => {
        const row = rowOf(commandId);
        return row !== undefined && states.includes(row.state);
      });
      const row = rowOf(commandId);
      if (row === undefined) throw new Error("the command is gone");
      return row;
    },
    waitFor,
    moveClock: (byMs) => {
      offsetMs += byMs;
      executor?.tick();
    },
    kill: async () => {
      const dying = journal;
      let close = (): void => {};
      endLife(new Promise((resolve) => (close = resolve)));
      await dying?.close().catch(() => {});
      close();
      await booting;
    },
    commits: () => commits,
    deaths: () => deaths,
    journal: () => {
      if (journal === undefined) throw new Error("no journal is open");
      return journal;
    },
    connector: () => {
      if (connector === undefined) throw new Error("no connector is open");
      return connector;
    },
    close: async () => {
      await booting;
      await executor?.stop();
      generation += 1;
      await journal?.close();
      await connector?.stop();
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
};

/** Whoever is dead neither asks nor hears. */
const mortal = (connector: Connector, isAlive: () => boolean): Connector => {
  const never = <Answer>(): Promise<Answer> => new Promise(() => {});
  const alive =
    <Asked extends readonly unknown[], Answer>(method: (...asked: Asked) => Promise<Answer>) =>
    async (...asked: Asked): Promise<Answer> => {
      if (!isAlive()) return never();
      const answer = await method(...asked);
      return isAlive() ? answer : never();
    };
  const { resolve, listInForce } = connector;
  return {
    ...connector,
    ...(resolve === undefined ? {} : { resolve: alive(resolve) }),
    captureUndo: alive(connector.captureUndo),
    apply: alive(connector.apply),
    verify: alive(connector.verify),
    undo: alive(connector.undo),
    ...(listInForce === undefined ? {} : { listInForce: alive(listInForce) }),
  };
};

const plannedRow = (connector: string, action: ActionName, target: Entity, ttl: number, nowMs: number): CommandRow => {
  const id = uuidV7(nowMs, randomBytes(10));
  return {
    command: {
      command_id: id as CommandId,
      decision_id: id as DecisionId,
      action,
      target,
      reason: "conformance",
      ttl,
      idempotency_key: randomBytes(32).toString("hex"),
      connector,
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
