import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { type Connector, type ConnectorCall, farEndId, type Resolved } from "../connectors/contract.ts";
import type { SimulatedTime } from "./simulated-time.test-fake.ts";

export type Fate =
  | "ok"
  | "done, but no answer"
  | "not done, no answer"
  | "done late"
  | "try again"
  | "broken pipe"
  | "refused";
export const fates: readonly Fate[] = [
  "ok",
  "done, but no answer",
  "not done, no answer",
  "done late",
  "try again",
  "broken pipe",
  "refused",
];

/** A target system in memory that works, with the faults of real ones, drawn in turn from `fates`. */
export type FarEnd = {
  readonly connector: (isAlive: () => boolean) => Connector;
  readonly present: Map<string, string>;
  readonly applied: Map<string, number>;
  readonly applyCalls: Map<string, number>;
  readonly undoCalls: () => number;
  readonly violations: string[];
  fates: readonly Fate[];
  isKilled: boolean;
  /** What a target is called at the far end; undefined while targets are their own ids. Nothing for a name: not exactly one. */
  names: Readonly<Record<string, string>> | undefined;
  /** The far end ends entries by itself: when each was last told to, ms. */
  expiresAtMs: Map<string, number> | undefined;
  /** A call that is under way is carried out although whoever made it has died. */
  outlivesCaller: boolean;
  /** State of the command on the disk, asked when a call arrives: only what is durable may leave the agent. */
  durableState: (commandId: string) => string | undefined;
};

export const createFarEnd = (time: SimulatedTime, canVerify: boolean): FarEnd => {
  const present = new Map<string, string>();
  const applied = new Map<string, number>();
  const applyCalls = new Map<string, number>();
  const violations: string[] = [];
  let calls = 0;
  let undoCalls = 0;
  const never = <Answer>(): Promise<Answer> => new Promise(() => {});
  const fateOfNext = (): Fate => farEnd.fates[calls++ % Math.max(1, farEnd.fates.length)] ?? "ok";
  const keyOf = (call: ConnectorCall): string => `${call.action} ${farEndId(call)}`;
  const bump = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1);

  const doApply = (call: ConnectorCall, isLate = false): void => {
    farEnd.expiresAtMs?.set(keyOf(call), time.clock.nowMs() + call.ttlSeconds * 1_000);
    if (present.has(keyOf(call))) return;
    present.set(keyOf(call), call.idempotencyKey);
    // A call that makes a lease longer and arrives after its undo puts the entry back; the undo is repeated until it cannot come any more.
    if (!(isLate && applied.has(call.idempotencyKey))) bump(applied, call.idempotencyKey);
  };
  const resolveIn = (call: ConnectorCall, names: Readonly<Record<string, string>>): Result<Resolved, Refusal> => {
    if (fateOfNext() === "try again") return err(refusal("unreachable", "no answer"));
    const id = names[call.target.value];
    return id === undefined
      ? err(refusal("target-unresolved", "not exactly one"))
      : ok({ id, label: id, entities: [{ type: "host", value: id }], groups: [] });
  };
  const farEnd: FarEnd = {
    present,
    applied,
    applyCalls,
    undoCalls: () => undoCalls,
    violations,
    fates: [],
    isKilled: false,
    names: undefined,
    expiresAtMs: undefined,
    outlivesCaller: false,
    durableState: () => undefined,
    connector: (isAlive) => ({
      name: "far-end",
      describe: () => ({
        actions: {
          block_ip: { targets: ["address"], nativeTtl: farEnd.expiresAtMs !== undefined, canVerify, canUndo: true },
          allow_ip: { targets: ["address"], nativeTtl: false, canVerify, canUndo: true },
        },
        needs: [],
        about: "a far end in memory",
      }),
      start: async () => ({ ok: true, value: undefined }),
      ...(farEnd.names === undefined ? {} : { resolve: async (call) => resolveIn(call, farEnd.names ?? {}) }),
      captureUndo: async () => (isAlive() ? { ok: true, value: "was absent" } : never()),
      apply: (call) => {
        if (!isAlive()) return never();
        if (farEnd.isKilled) violations.push(`applied ${keyOf(call)} while killed`);
        if (call.ttlSeconds <= 0) violations.push(`applied ${keyOf(call)} when its lease was over`);
        const durable = farEnd.durableState(call.commandId);
        if (durable !== "sent") violations.push(`applied ${keyOf(call)} with ${durable} on the disk`);
        if (call.undoData !== "was absent") violations.push(`applied ${keyOf(call)} without undo data`);
        bump(applyCalls, call.idempotencyKey);
        switch (fateOfNext()) {
          case "ok":
            doApply(call);
            return Promise.resolve({ kind: "applied" });
          case "done, but no answer":
            doApply(call);
            return never();
          case "not done, no answer":
            return never();
          case "done late":
            return new Promise((resolve) => {
              time.timers.after(9_000, () => {
                if (isAlive() || farEnd.outlivesCaller) doApply(call, true);
                resolve({ kind: "applied" });
              });
            });
          case "try again":
            return Promise.resolve({ kind: "retry", detail: "429", retryAfterMs: 2_000 });
          case "broken pipe":
            doApply(call);
            return Promise.reject(new Error("EPIPE"));
          case "refused":
            return Promise.resolve({ kind: "refused", code: "connector-refused", detail: "no right to" });
        }
      },
      verify: (call) => {
        if (!isAlive()) return never();
        if (fateOfNext() === "broken pipe") return Promise.reject(new Error("EPIPE"));
        return Promise.resolve({ kind: present.has(keyOf(call)) ? "present" : "absent" });
      },
      undo: (call) => {
        if (!isAlive()) return never();
        undoCalls += 1;
        const fate = fateOfNext();
        if (fate === "not done, no answer") return never();
        if (fate === "try again" || fate === "refused") return Promise.resolve({ kind: "retry", detail: "503" });
        present.delete(keyOf(call));
        if (fate === "done, but no answer") return never();
        if (fate === "broken pipe") return Promise.reject(new Error("EPIPE"));
        return Promise.resolve({ kind: "undone" });
      },
      listInForce: async () => ({
        ok: true,
        value: [...present.keys()].map((key) => ({
          action: key.startsWith("block") ? "block_ip" : "allow_ip",
          id: key.split(" ")[1] ?? "",
        })),
      }),
      stop: async () => {},
    }),
  };
  return farEnd;
};
