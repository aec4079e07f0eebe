import type { Resolved } from "../connectors/contract.ts";
import { backoffMs } from "./backoff.ts";
import { callWithin, detailOf } from "./calls.ts";
import { callOf, type Entry } from "./entry.ts";
import type { LaneParts } from "./lane.ts";

/**
 * Asks which one thing at the far end a target is, before anything is planned on it: two names of one machine must share one
 * lease, and what it turns out to be is checked against the never-touch list. Nothing has left the agent yet, so a crash here
 * only asks again.
 */
export const createResolveStep = (
  { connector, gate, deps, record }: LaneParts,
  onResolved: (entry: Entry, resolved: Resolved) => void,
) => {
  const { clock, timers, random, limits, brakes } = deps;

  return async (entry: Entry): Promise<void> => {
    const closed = brakes.check(entry.row.command);
    if (closed !== undefined) return record.advance(entry, ["withdraw"], { code: closed });
    if (entry.hasWaited && clock.nowMs() - entry.row.atMs > limits.plannedAgeMaxMs)
      return record.advance(entry, ["withdraw"], { code: "stale", detail: "its target could not be resolved in time" });
    const pauseMs = gate.waitMs();
    if (pauseMs > 0) return record.wait(entry, pauseMs);
    const release = await gate.take(false);
    const call = callOf(entry, clock.nowMs() + entry.row.command.ttl * 1_000, clock.nowMs());
    const result = await callWithin(timers, limits.callTimeoutMs, async () => connector?.resolve?.(call));
    release();
    if (entry.isUndoAsked) return;
    if (result.kind === "answered" && result.answer?.ok === true) {
      gate.note(true);
      return onResolved(entry, result.answer.value);
    }
    const refused = result.kind === "answered" && result.answer?.ok === false ? result.answer.error : undefined;
    const isFinal = refused !== undefined && refused.code !== "unreachable" && refused.code !== "connector-timeout";
    gate.note(isFinal);
    if (isFinal) return record.fail(entry, "withdraw", refused.code, refused.detail);
    entry.triesInState += 1;
    const detail = refused?.detail ?? detailOf(result);
    if (entry.triesInState >= limits.attemptsMax)
      return record.fail(entry, "withdraw", "connector-failed", `the target could not be resolved: ${detail}`);
    record.wait(entry, backoffMs(entry.triesInState, limits.applyBackoff, random));
  };
};
