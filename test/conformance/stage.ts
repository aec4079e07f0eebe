import { strict as assert } from "node:assert";
import {
  type ActionTraits,
  type Connector,
  type ConnectorCall,
  farEndId,
} from "@reflex/edge-agent/connectors/contract";
import type { Entity } from "@reflex/protocol/entity";
import type { FakeChange } from "./fake.ts";
import type { Fault, FaultControl, FaultName, Opened, Subject } from "./subject.ts";

/** What a case works with: an opened subject, and short words for what every case does. */
export type Stage = {
  readonly subject: Subject;
  readonly opened: Opened;
  /** Of the action under test. */
  readonly traits: ActionTraits;
  /** Stops the connector before and starts a fresh one, as a restart of the agent does. */
  readonly restart: () => Promise<Connector>;
  /** A new command with its target resolved and its undo data captured. */
  readonly prepare: (connector: Connector, target: Entity) => Promise<ConnectorCall>;
  /** Sorted. */
  readonly present: () => Promise<readonly string[]>;
  /** Effects of one kind at the far end; undefined where it does not count. */
  readonly count: (verb: FakeChange["verb"]) => Promise<number | undefined>;
  /** Runs `act` with a fault set, and clears it whatever happens. */
  readonly during: <Answer>(fault: Fault, act: () => Promise<Answer>) => Promise<Answer>;
  /** Stops the last connector. */
  readonly close: () => Promise<void>;
};

/** A case that says nothing here, and why. */
export const notApplicable = (reason: string): { readonly reason: string } => ({ reason });
export type CaseAnswer = { readonly reason: string } | undefined;
export const passed: CaseAnswer = undefined;

/** A call that has not ended by itself then never will. */
const patienceMs = 15_000;

let serial = 0;
export const newCall = (action: ConnectorCall["action"], target: Entity, ttlSeconds = 600): ConnectorCall => {
  serial += 1;
  const number = (serial + process.pid * 1_000_003).toString(16).padStart(12, "0").slice(-12);
  const id = `01990000-0000-7000-8000-${number}`;
  const idempotencyKey = number.padStart(64, "0");
  return { commandId: id, idempotencyKey, decisionId: id, action, target, ttlSeconds, reason: "conformance" };
};

export const openStage = async (subject: Subject, opened: Opened): Promise<Stage> => {
  let current: Connector | undefined;
  const restart = async (): Promise<Connector> => {
    await current?.stop();
    current = await opened.connector();
    return current;
  };
  const first = await restart();
  const traits = first.describe().actions[subject.action];
  assert(traits !== undefined, `describe() knows no ${subject.action}`);
  const present = async () => [...(await opened.present())].sort();
  return {
    subject,
    opened,
    traits,
    restart,
    prepare: (connector, target) => prepared(connector, newCall(subject.action, target)),
    present,
    count: async (verb) => (await opened.changes?.())?.filter((change) => change.verb === verb).length,
    during: async (fault, act) => {
      assert(opened.faults !== undefined);
      opened.faults.set(fault);
      try {
        return await act();
      } finally {
        opened.faults.clear();
      }
    },
    close: async () => {
      await current?.stop();
    },
  };
};

/** As the executor does before it sends. */
export const prepared = async (connector: Connector, call: ConnectorCall): Promise<ConnectorCall> => {
  const found = await connector.resolve?.(call);
  if (found?.ok === false) throw new Error(`resolve: ${found.error.code} ${found.error.detail}`);
  const resolved = found === undefined ? call : { ...call, resolved: found.value };
  const captured = await connector.captureUndo(resolved);
  if (!captured.ok) throw new Error(`captureUndo: ${captured.error.code} ${captured.error.detail}`);
  assert(Buffer.byteLength(captured.value) <= 64 * 1024, "undo data is longer than 64 kB");
  return { ...resolved, undoData: captured.value };
};

/** Undefined when the fault can be made here; otherwise why not. */
export const cannotFail = ({ opened }: Stage, name: FaultName): CaseAnswer => {
  if (opened.faults === undefined) return notApplicable("no faults can be put in front of this target");
  return opened.faults.can.includes(name) ? undefined : notApplicable(`this target has no "${name}"`);
};
export const faultsOf = ({ opened }: Stage): FaultControl => {
  assert(opened.faults !== undefined);
  return opened.faults;
};

/** Fails rather than hangs: whatever the far end does, a call comes to its end. */
export const ends = async <Answer>(what: string, answer: Promise<Answer>): Promise<Answer> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} has not ended after ${patienceMs / 1_000} s`)), patienceMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
};

export const applies = async (connector: Connector, call: ConnectorCall): Promise<void> => {
  const outcome = await ends("apply", connector.apply(call));
  assert.equal(outcome.kind, "applied", `apply says ${JSON.stringify(outcome)}`);
};
export const undoes = async (connector: Connector, call: ConnectorCall): Promise<void> => {
  const outcome = await ends("undo", connector.undo(call));
  assert.equal(outcome.kind, "undone", `undo says ${JSON.stringify(outcome)}`);
};
/** Where nothing can be verified it must say so, and never guess. */
export const verifies = async (
  { traits }: Stage,
  connector: Connector,
  call: ConnectorCall,
  kind: "present" | "absent",
): Promise<void> => {
  const outcome = await ends("verify", connector.verify(call));
  assert.equal(outcome.kind, traits.canVerify ? kind : "unknown", `verify says ${JSON.stringify(outcome)}`);
};

/** What is in force beyond `before`. */
export const added = (before: readonly string[], now: readonly string[]): readonly string[] =>
  now.filter((entry) => !before.includes(entry));
/** After undo everything is as it was; what cannot be taken back stays, and nothing else. */
export const isRestored = async ({ present, traits }: Stage, before: readonly string[]): Promise<void> => {
  if (traits.canUndo) assert.deepEqual(await present(), before, "what is in force after undo is not what was before");
};
export const idAtFarEnd = farEndId;
