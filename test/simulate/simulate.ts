import type { MemoryIngestStore } from "@reflex/controller/link/memory-ingest-store";
import { type AgentProcess, createAgentProcess, type ProcessParts } from "./agent-process.ts";
import { type Circumstances, type Truth, unleashChaos } from "./chaos.ts";
import { createDisk, type Disk } from "./disk.ts";
import { createFarEnd, type FarEnd, type Tamper } from "./far-end.ts";
import { createGuarantees } from "./guarantees/all.ts";
import type { Ending, StoredReport } from "./happening.ts";
import { createHeadquarters, type Headquarters } from "./headquarters.ts";
import { createHearing } from "./hearing.ts";
import { self } from "./keys.ts";
import { createNetwork } from "./network.ts";
import { createSiem, type Siem } from "./siem.ts";
import { type Breach, createSim, type Sim } from "./sim.ts";

export type RunOptions = {
  readonly seed: number;
  /** Simulated minutes of chaos, before the calm in which everything must come to an end. */
  readonly minutes: number;
  readonly onLine?: (line: string) => void;
  /** Breaks the world in one way; for proving that a guarantee is really looked at. */
  readonly sabotage?: Sabotage;
};

export type Sabotage = {
  readonly farEnd?: Tamper;
  readonly instead?: ProcessParts["instead"];
  /** True keeps a kill from the agent that was seen to arrive. */
  readonly isDeaf?: boolean;
  readonly store?: () => MemoryIngestStore;
  /** From here on the controller is not heard. */
  readonly silentFromMinute?: number;
  readonly onBoot?: (disk: Disk) => void;
};

export type RunReport = {
  readonly seed: number;
  readonly breaches: readonly Breach[];
  readonly storyHash: string;
  readonly lastLines: readonly string[];
  readonly steps: number;
  readonly simulatedMs: number;
  readonly counts: ReadonlyMap<string, number>;
};

const minute = 60_000;
/** Longest lease, then a stuck undo that is tried every five minutes, then reports that wait for an acknowledgement. */
const calmMs = 25 * minute;
/** What has not come to an end by then never does. */
const calmMsMax = 4 * 60 * minute;
const inspectEveryMs = minute;

/** One seed: one whole history of the real agent and the real controller code in a world that fails. */
export const simulate = async ({ seed, minutes, onLine, sabotage = {} }: RunOptions): Promise<RunReport> => {
  const truth: Truth = { releases: new Map(), kills: new Map() };
  const sim = createSim(seed, createGuarantees(truth), onLine);
  const circumstances: Circumstances = { clockOffMs: 0, isLocallyKilled: false };
  const disk = createDisk(sim);
  const farEnd = createFarEnd(sim, sabotage.farEnd);
  const siem = createSiem(sim);
  const hearing = createHearing(
    sim,
    truth,
    disk,
    () => headquarters,
    () => process.clockMs(),
    sabotage.isDeaf === true,
  );
  const network = createNetwork(sim, hearing);
  const headquarters = createHeadquarters(sim, network, sabotage.store?.());
  const process = createAgentProcess(sim, {
    disk,
    farEnd,
    network,
    headquarters,
    overHttps: hearing.overHttps,
    siem,
    clockOffMs: () => circumstances.clockOffMs,
    isLocallyKilled: () => circumstances.isLocallyKilled,
    instead: (world) => {
      sabotage.onBoot?.(disk);
      return sabotage.instead?.(world) ?? world;
    },
  });

  const rejected = (reason: unknown): void =>
    sim.breach("no step throws", reason instanceof Error ? (reason.stack ?? reason.message) : String(reason));
  globalThis.process.on("unhandledRejection", rejected);
  let steps = 0;
  let inspectedMs = 0;
  const runUntil = async (isOver: () => boolean): Promise<void> => {
    while (!isOver() && sim.breaches.length === 0) {
      await sim.time.step();
      steps += 1;
      process.observe();
      if (sim.time.nowMs() - inspectedMs < inspectEveryMs || !process.isUp()) continue;
      inspectedMs = sim.time.nowMs();
      sim.happened({ kind: "inspected", inForce: farEnd.inForce(), rows: process.openRows() });
    }
  };

  try {
    const chaos = unleashChaos(sim, { process, network, headquarters, siem, truth, circumstances });
    const silentMs = (sabotage.silentFromMinute ?? minutes) * minute;
    await runUntil(() => {
      if (sim.time.nowMs() > silentMs) sim.weather.isControllerDown = true;
      return sim.time.nowMs() >= minutes * minute;
    });
    chaos.calm();
    const calmFromMs = sim.time.nowMs();
    headquarters.restart();
    await runUntil(() => {
      const waitedMs = sim.time.nowMs() - calmFromMs;
      return waitedMs >= calmMs && (isDone({ process, siem }) || waitedMs >= calmMsMax);
    });
    if (sim.breaches.length === 0) judgeEnding(sim, createEnding({ process, farEnd, siem, headquarters }));
    return {
      seed,
      breaches: sim.breaches,
      storyHash: sim.story.hash(),
      lastLines: sim.story.last(),
      steps,
      simulatedMs: sim.time.nowMs(),
      counts: sim.counts,
    };
  } finally {
    globalThis.process.off("unhandledRejection", rejected);
    process.release();
    disk.remove();
  }
};

const isDone = ({ process, siem }: { readonly process: AgentProcess; readonly siem: Siem }): boolean => {
  const journal = process.journal();
  if (journal === undefined) return false;
  const spool = journal.spool();
  return (
    spool.first > spool.last &&
    journal.openCommands().length === 0 &&
    siem.records().every(({ isSettled }) => isSettled)
  );
};

const createEnding = (parts: {
  readonly process: AgentProcess;
  readonly farEnd: FarEnd;
  readonly siem: Siem;
  readonly headquarters: Headquarters;
}): Ending | undefined => {
  const { process, farEnd, siem, headquarters } = parts;
  const journal = process.journal();
  if (journal === undefined) return undefined;
  const stored = headquarters.store.stored(self.agent).map(
    ({ sequence, json, ...rest }): StoredReport => ({
      sequence,
      kind: rest.kind === "read" ? rest.record.kind : "unread",
      bodyJson: json,
    }),
  );
  return {
    inForce: farEnd.inForce(),
    rows: journal.commandsSince(0),
    stored,
    controllerAcknowledged: headquarters.store.acknowledged(self.agent),
    spool: journal.spool(),
    lastToken: journal.lastToken(),
    tokenJson: journal.tokenJson,
    records: siem.records(),
    lostByController: headquarters.lost(),
  };
};

const judgeEnding = (sim: Pick<Sim, "breach" | "ended">, ending: Ending | undefined): void => {
  if (ending === undefined) sim.breach("restart changes nothing enforced", "the agent is not up after a long calm");
  else sim.ended(ending);
};
