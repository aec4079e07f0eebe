import type { Command } from "@reflex/protocol/command";
import type { Candidate, Decision } from "@reflex/protocol/decision";
import { entityKey } from "@reflex/protocol/entity";
import { newCommandId } from "@reflex/protocol/ids";
import { reasonLengthMax, ttlSecondsMax, ttlSecondsMin } from "@reflex/protocol/limits";
import { timestampOf } from "@reflex/protocol/timestamp";
import type { CommandRow, Crypto, Random } from "../ports.ts";

type PlanDeps = { readonly random: Random; readonly crypto: Pick<Crypto, "sha256Hex"> };

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** Same decision, action and target give the same key, so that a repeated call has one effect at the far end. */
const idempotencyKey = (deps: PlanDeps, decision: Decision, candidate: Candidate): string =>
  deps.crypto.sha256Hex(
    [decision.decision_id, candidate.action, entityKey(candidate.target), candidate.connector ?? ""].join("\n"),
  );

/** Commands of a decision: one per candidate that acts. Written with the decision itself, before anything leaves the agent. */
export const planCommands = (deps: PlanDeps, decision: Decision, nowMs: number): readonly CommandRow[] => {
  if (decision.verdict !== "act") return [];
  return decision.candidates.flatMap((candidate) => {
    if (candidate.verdict !== "act" || candidate.connector === undefined) return [];
    const command: Command = {
      command_id: newCommandId(nowMs, deps.random.bytes(10)),
      decision_id: decision.decision_id,
      action: candidate.action,
      target: candidate.target,
      reason: decision.justification.slice(0, reasonLengthMax),
      ttl: clamp(candidate.ttl_seconds, ttlSecondsMin, ttlSecondsMax),
      idempotency_key: idempotencyKey(deps, decision, candidate),
      connector: candidate.connector,
      issued_at: timestampOf(nowMs),
    };
    return [
      {
        command,
        state: "planned",
        atMs: nowMs,
        attempts: 0,
        undoAttempts: 0,
        verified: false,
        limits: candidate.limits,
      },
    ];
  });
};
