import type { Limit } from "@reflex/protocol/policy";
import type { Clock, CommandRow, Crypto, Journal, JournalWrite, Random } from "../ports.ts";
import { eventWrite } from "../report/records.ts";
import type { ActivePolicy, BrakeState } from "./active-policy.ts";
import { createCircuit } from "./circuit.ts";
import { createCounters } from "./counters.ts";
import type { DecideDeps, Decided } from "./decide-detection.ts";
import { createHistory } from "./history.ts";
import { createLeases } from "./leases.ts";
import { createPrior } from "./prior.ts";

/** Longest window anything in memory looks back: the longest limit window a policy may have (protocol/policy.ts). */
const lookBackMs = 7 * 24 * 3_600_000;
const circuitMark = "circuit-open-until";

export type MemoryDeps = {
  readonly identity: DecideDeps["identity"];
  readonly clock: Clock;
  readonly wall: Clock;
  readonly random: Random;
  readonly crypto: Pick<Crypto, "sha256Hex">;
  readonly journal: Journal;
  readonly policy: () => ActivePolicy | undefined;
  readonly brakes: BrakeState;
  readonly connectors: readonly string[];
};

export type Memory = {
  readonly decideDeps: DecideDeps;
  /** Content hash of an event id already decided, in the journal or earlier in this batch. */
  readonly seen: (eventId: string) => string | undefined;
  readonly chain: () => { readonly sequence: number; readonly hash: string } | undefined;
  /** A decision was made: later ones of the same batch must see it. */
  readonly note: (decided: Decided) => void;
  readonly noteCommand: (row: CommandRow) => void;
  /** What the decision left to write beside itself, e.g. that the circuit opened. */
  readonly takeWrites: () => readonly JournalWrite[];
  readonly endBatch: () => void;
  /** The journal did not take the batch: forget it and start from what is durable. */
  readonly reload: () => void;
};

/** What the agent remembers between decisions: all of it can be rebuilt from the journal, and is, at start and after a failed commit. */
export const createMemory = (deps: MemoryDeps): Memory => {
  const { journal } = deps;
  const batchSeen = new Map<string, string>();
  let pendingWrites: JournalWrite[] = [];
  let chain = journal.lastToken();

  const history = createHistory();
  const limitOf = (policyId: string): Limit | undefined => deps.policy()?.limitOf(policyId);
  const counters = createCounters(limitOf);
  const leases = createLeases();
  const prior = createPrior(journal.mark);
  const circuit = createCircuit((untilMs) => {
    pendingWrites.push({ kind: "mark", key: circuitMark, value: String(untilMs) });
    pendingWrites.push(
      eventWrite(
        deps.wall,
        "alarm",
        "circuit-open",
        "too many actions in a minute; automation pauses, look before it closes",
        "circuit-open",
      ),
    );
  });

  const reload = (): void => {
    history.clear();
    counters.clear();
    leases.clear();
    batchSeen.clear();
    pendingWrites = [];
    chain = journal.lastToken();
    const sinceMs = deps.clock.nowMs() - lookBackMs;
    for (const row of journal.decidedSince(sinceMs)) history.note(row);
    for (const row of journal.commandsSince(sinceMs)) if (row.state !== "failed") counters.reserve(row);
    for (const row of journal.openCommands()) leases.note(row);
    const recent = journal.commandsSince(deps.clock.nowMs() - circuit.windowMs);
    circuit.restore(
      Number(journal.mark(circuitMark) ?? 0),
      recent.map(({ command }) => Date.parse(command.issued_at)),
    );
  };
  reload();

  return {
    decideDeps: {
      identity: deps.identity,
      random: deps.random,
      crypto: deps.crypto,
      brakes: deps.brakes,
      history,
      counters,
      circuit,
      leases,
      prior,
      connectors: deps.connectors,
    },
    seen: (eventId) => batchSeen.get(eventId) ?? journal.seen(eventId),
    chain: () => chain,
    note: (decided) => {
      chain = { sequence: decided.token.header.sequence, hash: decided.token.hash };
      batchSeen.set(decided.row.eventId, decided.row.contentHash);
      history.note(decided.row);
      for (const row of decided.commands) {
        counters.reserve(row);
        leases.note(row);
        circuit.noteAction(row.atMs);
      }
    },
    noteCommand: (row) => {
      leases.note(row);
      if (row.state === "failed") counters.release(row);
    },
    takeWrites: () => pendingWrites.splice(0),
    endBatch: () => batchSeen.clear(),
    reload,
  };
};
