import { refusal } from "@reflex/protocol/refusal";
import { firstPrevious } from "@reflex/protocol/token";
import type { Executor } from "./act/executor.ts";
import { admitRecord } from "./admit/admit.ts";
import type { ActivePolicy } from "./decide/active-policy.ts";
import { type Decided, decideDetection } from "./decide/decide-detection.ts";
import type { Memory } from "./decide/memory.ts";
import { createIntake } from "./listen/intake.ts";
import type { Clock, Crypto, Journal, JournalWrite, Log, RawRecord, RecordFate, Source, Timers } from "./ports.ts";
import { deadLetterWrites, tokenWrites } from "./report/records.ts";
import { createTally, type Tally } from "./report/tally.ts";

export type AgentDeps = {
  readonly identity: { readonly org: string; readonly site: string; readonly agent: string };
  /** The agent's time: wall time, or the feed's own when a recording is played. */
  readonly clock: Clock;
  /** Wall time, for what people read and for absurd timestamps. */
  readonly wall: Clock;
  readonly timers: Timers;
  readonly crypto: Crypto;
  readonly journal: Journal;
  readonly policy: () => ActivePolicy | undefined;
  readonly executor: Executor;
  readonly memory: Memory;
  readonly homeNets: readonly string[];
  readonly log: Log;
};

export type Agent = {
  readonly offer: (record: RawRecord) => Promise<void>;
  readonly listenTo: (source: Source) => Promise<void>;
  readonly tally: () => Tally;
  readonly stop: () => Promise<void>;
};

/** A detection's way: listen -> admit -> decide -> act -> report. */
export const createAgent = (deps: AgentDeps): Agent => {
  const { journal, executor, memory } = deps;
  const tally = createTally();
  const sources: Source[] = [];

  // One batch at a time, in order of arrival: one commit holds its detections, decisions, intents and reports together.
  const take = async (batch: readonly RawRecord[]): Promise<void> => {
    const policy = deps.policy();
    if (policy === undefined) return settleAll(batch, { kind: "not_taken", refusal: refusal("no-bundle") });
    const taken = batch.map((record) => decideRecord(policy, record));
    const stored = await journal.write(taken.flatMap((one) => one.writes));
    if (!stored.ok) {
      memory.reload();
      return settleAll(batch, { kind: "not_taken", refusal: stored.error });
    }
    // Acknowledge only now: what the source hears is what a crash cannot take back.
    for (const [index, one] of taken.entries()) {
      tally.count(one.fate);
      batch[index]?.settle(one.fate);
      if (one.decided !== undefined) executor.run(one.decided.commands);
    }
    executor.tick();
    memory.endBatch();
  };

  const decideRecord = (
    policy: ActivePolicy,
    record: RawRecord,
  ): { fate: RecordFate; writes: JournalWrite[]; decided?: Decided } => {
    record.taken?.();
    const admitted = admitRecord(record, {
      nowMs: deps.clock.nowMs(),
      wallNowMs: deps.wall.nowMs(),
      freshnessSeconds: policy.settings.freshness_seconds,
      seen: memory.seen,
      homeNets: deps.homeNets,
      crypto: deps.crypto,
    });
    switch (admitted.kind) {
      case "duplicate":
        return { fate: { kind: "duplicate" }, writes: [] };
      case "not_detection":
        return { fate: { kind: "not_detection", reason: admitted.reason }, writes: [] };
      case "dead_letter":
        return { fate: admitted, writes: deadLetterWrites(deps, record, admitted.refusal) };
      case "detection": {
        const nowMs = deps.clock.nowMs();
        const decided = decideDetection(memory.decideDeps, policy, admitted.detection, {
          contentHash: admitted.contentHash,
          nowMs,
          previous: memory.chain() ?? { sequence: 0, hash: firstPrevious },
        });
        memory.note(decided);
        const { decision_id: decisionId, verdict } = decided.decision;
        return {
          fate: { kind: "decided", decisionId, verdict },
          writes: [...tokenWrites(decided), ...memory.takeWrites()],
          decided,
        };
      }
    }
  };

  const intake = createIntake(deps.timers, take);
  return {
    offer: intake.offer,
    listenTo: (source) => {
      sources.push(source);
      return source.start(intake.offer);
    },
    tally: tally.now,
    stop: async () => {
      await Promise.all(sources.map((source) => source.stop()));
      await intake.stop();
    },
  };
};

const settleAll = (batch: readonly RawRecord[], fate: RecordFate): void => {
  for (const record of batch) record.settle(fate);
};
