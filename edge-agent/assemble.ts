import { compileBundle } from "@reflex/policies/engine/compile";
import { engine } from "@reflex/policies/engine/engine";
import type { Bundle } from "@reflex/protocol/bundle";
import type { CommandState } from "@reflex/protocol/command-life";
import type { Policy } from "@reflex/protocol/policy";
import type { Refusal } from "@reflex/protocol/refusal";
import { ok, type Result } from "@reflex/protocol/result";
import type { Heartbeat } from "@reflex/protocol/sync";
import type { Weights } from "@reflex/protocol/weights";
import { createBrakes } from "./act/brakes.ts";
import { createConnectorHealth } from "./act/connector-health.ts";
import { createExecutor, type Executor } from "./act/executor.ts";
import { createReconciler } from "./act/reconciler.ts";
import { type Agent, createAgent } from "./agent.ts";
import type { Connector } from "./connectors/contract.ts";
import type { ActivePolicy } from "./decide/active-policy.ts";
import { createMemory } from "./decide/memory.ts";
import type { Blobs, Link, SyncOverHttps } from "./link/link-port.ts";
import { createSession, type Session, type SessionTimes } from "./link/session.ts";
import { createOrders } from "./orders.ts";
import { type Activation, createActivation, type SelfTest, type Tell } from "./policy/activate.ts";
import { createKillSwitch, type KillSwitch } from "./policy/kill.ts";
import { createLease } from "./policy/lease.ts";
import type { Marks } from "./policy/marks-port.ts";
import type { Slots } from "./policy/slots-port.ts";
import { createTrustStore, type TrustStore } from "./policy/trust.ts";
import type { Verified } from "./policy/verify-bundle.ts";
import type { Clock, Crypto, Journal, Log, Random, Timers } from "./ports.ts";
import { createFeedbackWriter } from "./report/feedback.ts";
import { eventWrite } from "./report/records.ts";
import { createReporter, type Reporter, type ReporterTimes, type Signer } from "./report/reporter.ts";

/** Everything an agent asks of the world. `main.ts` hands in the real things, the simulator its own. */
export type World = {
  readonly self: { readonly org: string; readonly site: string; readonly agent: string };
  readonly bootId: string;
  readonly clock: Clock;
  readonly wall: Clock;
  readonly monotonicMs: () => number;
  readonly timers: Timers;
  readonly random: Random;
  readonly crypto: Crypto;
  readonly log: Log;
  readonly journal: Journal;
  readonly marks: Marks;
  readonly slots: Slots;
  readonly connectors: ReadonlyMap<string, Connector>;
  readonly link: Link;
  readonly syncOverHttps: SyncOverHttps;
  readonly blobs: Blobs;
  readonly selfTest: SelfTest;
  readonly signer: Signer;
  readonly localKillFile: () => boolean;
  readonly host: () => Heartbeat["host"];
  readonly homeNets: readonly string[];
  readonly times?: Partial<SessionTimes> & Partial<ReporterTimes> & { readonly reconcileEveryMs?: number };
};

export type Assembled = {
  readonly agent: Agent;
  readonly executor: Executor;
  readonly session: Session;
  readonly reporter: Reporter;
  readonly activation: Activation<ActivePolicy>;
  readonly trust: TrustStore;
  readonly kill: KillSwitch;
  readonly tell: Tell;
  /** Loads what is durable, takes up open commands, connects. In this order: nothing acts before the brakes are read. */
  readonly start: () => Promise<Result<void, Refusal>>;
  /** Takes no more, settles what was taken, flushes reports for a moment. What is in force stays in force. */
  readonly stop: () => Promise<void>;
};

/** Puts an agent together from its parts; has no branch worth testing and opens nothing by itself. */
export const assembleAgent = (world: World): Assembled => {
  const { self, clock, wall, timers, random, crypto, log, marks, slots } = world;

  // Whoever writes a report wakes the reporter; only commits that hold one are worth a look.
  const journal: Journal = {
    ...world.journal,
    write: async (writes) => {
      const written = await world.journal.write(writes);
      if (written.ok && writes.some((one) => one.kind === "report")) reporter.wake();
      return written;
    },
  };
  const tell: Tell = (level, name, detail, code) => {
    log[level === "info" ? "info" : level === "warning" ? "warn" : "error"]({ name, code }, detail);
    void journal.write([eventWrite(wall, level, name, detail, code)]);
  };

  const reporter = createReporter({
    self,
    bootId: world.bootId,
    journal: world.journal,
    link: world.link,
    signer: world.signer,
    crypto,
    clock: wall,
    timers,
    log,
    ...(world.times === undefined ? {} : { times: world.times }),
  });
  const trust = createTrustStore({ crypto, slots, marks, org: self.org });
  const kill = createKillSwitch({
    crypto,
    slots,
    marks,
    trust,
    self,
    localFile: world.localKillFile,
    timers,
    tell,
    log,
  });
  const lease = createLease({ clock: wall, monotonicMs: world.monotonicMs, marks });
  const activation = createActivation<ActivePolicy>({
    crypto,
    self,
    engine,
    slots,
    marks,
    trust,
    selfTest: world.selfTest,
    build: buildPolicy,
    tell,
    log,
  });
  const policy = activation.active;
  const leaseValid = (): boolean => lease.valid(policy()?.settings.lease_seconds ?? 0);

  const memory = createMemory({
    identity: self,
    clock,
    wall,
    random,
    crypto,
    journal,
    policy,
    brakes: { killed: () => kill.killed() !== undefined, leaseValid },
    connectors: [...world.connectors.keys()].sort(),
  });

  const brakes = createBrakes({ killed: () => kill.killed() !== undefined, policy, leaseValid });
  const health = createConnectorHealth(world.connectors.keys());
  const feedback = createFeedbackWriter(journal, memory.decideDeps.prior, log);
  const executor = createExecutor({
    clock,
    timers,
    random,
    journal,
    connectors: world.connectors,
    brakes,
    drift: () => policy()?.settings.drift ?? "repair",
    log,
    onChange: (row) => {
      memory.noteCommand(row);
      orders.noteCommand(row);
      health.note(row);
      session.changed();
    },
    onOutcome: feedback,
  });
  const orders = createOrders({ self, executor, crypto, trust, marks, clock, wall, timers, journal, log });
  const reconciler = createReconciler({
    connectors: world.connectors.keys(),
    executor,
    timers,
    random,
    log,
    ...(world.times?.reconcileEveryMs === undefined ? {} : { everyMs: world.times.reconcileEveryMs }),
  });
  const agent = createAgent({
    identity: self,
    clock,
    wall,
    timers,
    crypto,
    journal,
    policy,
    executor,
    memory,
    homeNets: world.homeNets,
    log,
  });

  const session = createSession({
    self,
    bootId: world.bootId,
    engine,
    link: world.link,
    syncOverHttps: world.syncOverHttps,
    blobs: world.blobs,
    trust,
    activation,
    kill,
    orders,
    lease,
    marks,
    reporter,
    facts: () => ({
      mode: leaseValid() ? (policy()?.settings.mode ?? "observe") : "approve",
      counts: countsOf(world.journal),
      connectors: health.now(),
      ...hostFacts(world.host()),
      spool: { first: world.journal.spool().first, last: world.journal.spool().last },
    }),
    crypto,
    clock: wall,
    timers,
    random,
    tell,
    log,
    ...(world.times === undefined ? {} : { times: world.times }),
  });

  const start = async (): Promise<Result<void, Refusal>> => {
    const pinned = await trust.load();
    if (!pinned.ok) return pinned;
    await kill.boot();
    await activation.boot();
    reporter.start();
    session.start();
    executor.start();
    reconciler.start();
    return ok(undefined);
  };
  const stop = async (): Promise<void> => {
    reconciler.stop();
    await agent.stop();
    await executor.stop();
    reporter.stop();
    await session.stop();
    await world.journal.close();
  };
  return { agent, executor, session, reporter, activation, trust, kill, tell, start, stop };
};

const buildPolicy = (bundle: Verified<Bundle>, weights: Verified<Weights>): Result<ActivePolicy, Refusal> => {
  const compiled = compileBundle(bundle.value, weights.value);
  if (!compiled.ok) return compiled;
  const limits = new Map(
    bundle.value.policies.flatMap((policy: Policy) =>
      policy.kind === "guard" && policy.limit !== undefined ? [[policy.id, policy.limit] as const] : [],
    ),
  );
  return ok({
    compiled: compiled.value,
    bundle: { version: bundle.version, hash: bundle.hash },
    weights: { version: weights.version, hash: weights.hash },
    settings: bundle.value.settings,
    limitOf: (policyId: string) => limits.get(policyId),
  });
};

const hostFacts = (host: Heartbeat["host"]): Partial<Pick<Heartbeat, "host">> => (host === undefined ? {} : { host });

const inForceStates: readonly CommandState[] = ["sent", "confirmed", "in_force", "pending_verification", "undoing"];

const countsOf = (journal: Journal): Heartbeat["counts"] => {
  const { decided, deadLetters, commandsByState } = journal.counts();
  const spool = journal.spool();
  return {
    detections: decided,
    dead_letters: deadLetters,
    in_force: inForceStates.reduce((sum, state) => sum + (commandsByState[state] ?? 0), 0),
    stuck: commandsByState.stuck ?? 0,
    spool: spool.last === 0 ? 0 : Math.max(0, spool.last - spool.first + 1),
  };
};
