import { createNodeClock } from "@reflex/edge-agent/adapters/node-clock";
import { createNodeCrypto } from "@reflex/edge-agent/adapters/node-crypto";
import { type Assembled, assembleAgent, type World } from "@reflex/edge-agent/assemble";
import { selfTestBundle } from "@reflex/edge-agent/policy/self-test";
import type { CommandRow, Journal, Timers } from "@reflex/edge-agent/ports";
import { type Disk, journalOf, type Writer } from "./disk.ts";
import type { FarEnd } from "./far-end.ts";
import type { Headquarters } from "./headquarters.ts";
import type { Hearing } from "./hearing.ts";
import { bytesOf, keys, reportSigner, self, signed, startMs, trustOf } from "./keys.ts";
import type { Network } from "./network.ts";
import { remembering } from "./remembering-crypto.ts";
import type { Siem } from "./siem.ts";
import type { Sim } from "./sim.ts";

/** The real agent, started, killed and started again on one disk. */
export type AgentProcess = {
  readonly boot: () => void;
  /** kill -9: what is not on the disk is gone, and nobody hears from it again. */
  readonly crash: (point: string) => void;
  readonly stop: () => void;
  readonly isUp: () => boolean;
  readonly assembled: () => Assembled | undefined;
  readonly journal: () => Journal | undefined;
  /** Tells what changed inside that the outside can see. After every step. */
  readonly observe: () => void;
  /** What its own clock says. */
  readonly clockMs: () => number;
  readonly release: () => void;
  readonly openRows: () => readonly CommandRow[];
};

export type ProcessParts = {
  readonly disk: Disk;
  readonly farEnd: FarEnd;
  readonly network: Network;
  readonly headquarters: Headquarters;
  readonly overHttps: Hearing["overHttps"];
  readonly siem: Siem;
  /** How far the agent's wall clock is off, ms. */
  readonly clockOffMs: () => number;
  readonly isLocallyKilled: () => boolean;
  /** What to replace in the agent's world; for proving that the checks see a broken agent. */
  readonly instead?: (world: World) => World;
};

const quietLog = { info: () => undefined, warn: () => undefined, error: () => undefined };
const realCrypto = remembering(createNodeCrypto());
/** As systemd does with what does not end by itself. */
const stopMsMax = 90_000;
/** Slower than in life where nothing depends on it: less to simulate. */
const times = { pollMs: 5_000, heartbeatMs: 60_000 };

type Running = {
  readonly process: Writer;
  readonly number: number;
  readonly assembled: Assembled;
  readonly journal: Journal;
  readonly nowMs: () => number;
};

export const createAgentProcess = (sim: Sim, parts: ProcessParts): AgentProcess => {
  const { dice, time, weather } = sim;
  const chance = dice.fork();
  let running: Running | undefined;
  let number = 0;
  let lastClockMs = startMs;
  let diedMs = 0;
  let isBooting = false;
  let activeHash = "";

  const timersOf = (process: Writer): Timers => {
    let soonestMs = 0;
    const guarded = (run: () => void) => (): void => {
      try {
        run();
      } catch (error) {
        sim.breach("no step throws", error instanceof Error ? (error.stack ?? error.message) : String(error));
      }
    };
    return {
      after: (delayMs, run) => {
        const fire = (): void => {
          const pausedMs = weather.pausedUntilMs - time.nowMs();
          if (pausedMs > 0) cancel = time.after(process, pausedMs, fire);
          else guarded(run)();
        };
        let cancel = time.after(process, delayMs + dice.between(0, 2), fire);
        return () => cancel();
      },
      soon: (run) => {
        const slowMs = dice.chance(weather.slowDisk) ? dice.between(1, 500) : 0;
        soonestMs = Math.max(soonestMs, time.nowMs() + slowMs);
        time.after(process, soonestMs - time.nowMs(), guarded(run));
      },
    };
  };

  const rebootAfter = (delayMs: number): void => {
    isBooting = true;
    time.after(sim.world, delayMs, () => {
      isBooting = false;
      boot();
    });
  };

  /** Gives back the files that the dead process held; what it had not committed is lost. */
  const letGo = (dead: Running): void => {
    time.after(sim.world, 1, () => {
      dead.journal.close().catch(() => undefined);
    });
  };

  const end = (process: Writer): Running | undefined => {
    const dead = running;
    if (!process.isAlive || dead?.process !== process) return undefined;
    lastClockMs = dead.nowMs();
    diedMs = time.nowMs();
    process.isAlive = false;
    running = undefined;
    parts.network.cut();
    parts.siem.gone();
    parts.farEnd.cutOff(process);
    letGo(dead);
    return dead;
  };

  const crash = (process: Writer, point: string): void => {
    const dead = end(process);
    if (dead === undefined) return;
    sim.tell(`agent ${dead.number}: killed ${point}`);
    sim.count(`crash ${point.replace(/\.(a|b)$/, "")}`);
    sim.count("crashes");
    sim.happened({ kind: "crashed", process: dead.number, point });
    rebootAfter(dice.chance(0.1) ? dice.between(60_000, 1_200_000) : dice.between(100, 20_000));
  };

  const boot = (): void => {
    if (running !== undefined || isBooting) return;
    number += 1;
    const own = number;
    const process: Writer = { isAlive: true, crash: (point) => crash(process, point) };
    const clock = createNodeClock({
      log: quietLog,
      wallMs: () => startMs + time.nowMs() + parts.clockOffMs(),
      monotonicMs: time.nowMs,
    });
    const timers = timersOf(process);
    const opened = parts.disk.journal(process, { clock, timers });
    if (!opened.ok) {
      if (!weather.isDiskFull && weather.diskError === 0)
        sim.breach(
          "restart changes nothing enforced",
          `the journal does not open: ${opened.error.code} ${opened.error.detail}`,
        );
      process.isAlive = false;
      rebootAfter(5_000);
      return;
    }
    const journal = opened.value;
    const world: World = {
      self,
      bootId: `boot-${String(own).padStart(6, "0")}`,
      clock,
      wall: clock,
      monotonicMs: clock.monotonicMs,
      timers,
      random: { bytes: (count) => chance.bytes(count) },
      crypto: realCrypto,
      log: quietLog,
      journal: journalOf(process, journal),
      marks: parts.disk.marks(process),
      slots: parts.disk.slots(process),
      connectors: parts.farEnd.connectors(process),
      link: parts.network.linkOf(process),
      syncOverHttps: (request) => parts.overHttps(process, request),
      blobs: parts.headquarters,
      selfTest: (payload, site) =>
        new Promise((resolve) =>
          time.after(process, dice.between(1, 200), () => resolve(selfTestBundle(realCrypto, payload, site))),
        ),
      signer: reportSigner,
      localKillFile: parts.isLocallyKilled,
      host: () => undefined,
      homeNets: [],
      times,
    };
    const assembled = assembleAgent(parts.instead?.(world) ?? world);
    running = { process, number: own, assembled, journal, nowMs: clock.nowMs };
    activeHash = "";
    sim.tell(`agent ${own}: starts`);
    sim.count("starts");
    sim.happened({
      kind: "booted",
      process: own,
      clockLostMs: Math.max(0, time.nowMs() - diedMs - (clock.nowMs() - lastClockMs)),
      agentMs: clock.nowMs(),
      storedKills: parts.disk.storedKills(),
    });
    void start(process, assembled);
  };

  const start = async (process: Writer, assembled: Assembled): Promise<void> => {
    const isEnrolled = parts.disk.has("trust.a") || parts.disk.has("trust.b");
    const pinned = isEnrolled ? undefined : await assembled.trust.pin(bytesOf(signed("trust", trustOf(1), keys.root)));
    const started = pinned === undefined || pinned.ok ? await assembled.start() : pinned;
    if (!process.isAlive) return;
    if (started.ok) return assembled.agent.listenTo(parts.siem.sourceFor(process));
    sim.tell(`agent: cannot start: ${started.error.code}`);
    end(process);
    rebootAfter(2_000);
  };

  const stop = (): void => {
    const stopping = running;
    if (stopping === undefined) return;
    sim.tell(`agent ${stopping.number}: is asked to stop`);
    time.after(stopping.process, stopMsMax, () => {
      sim.count("stops that took too long");
      crash(stopping.process, "while stopping");
    });
    void stopping.assembled.stop().then(() => {
      if (end(stopping.process) === undefined) return;
      sim.tell(`agent ${stopping.number}: has stopped`);
      sim.count("clean stops");
      sim.happened({ kind: "stopped", process: stopping.number });
      rebootAfter(dice.between(100, 10_000));
    });
  };

  return {
    boot,
    crash: (point) => running?.process.crash(point),
    stop,
    isUp: () => running !== undefined,
    assembled: () => running?.assembled,
    journal: () => running?.journal,
    openRows: () => running?.journal.openCommands() ?? [],
    clockMs: () => running?.nowMs() ?? lastClockMs,
    observe: () => {
      const active = running?.assembled.activation.active()?.bundle;
      if (active === undefined || active.hash === activeHash) return;
      activeHash = active.hash;
      sim.tell(`agent: decides under version ${active.version}`);
      sim.happened({ kind: "policy_active", version: active.version, hash: active.hash });
    },
    release: () => {
      const last = running;
      if (last === undefined) return;
      last.process.isAlive = false;
      running = undefined;
      last.journal.close().catch(() => undefined);
    },
  };
};
