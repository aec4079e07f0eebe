import { backoffMs } from "./backoff.ts";
import { callWithin, detailOf } from "./calls.ts";
import type { CommandChanges } from "./command-step.ts";
import { callOf, type Entry } from "./entry.ts";
import type { LaneParts } from "./lane.ts";
import { resendSecondsMin, secondsLeft } from "./lease.ts";
import { holdersBeside } from "./next-step.ts";
import type { CallUndo } from "./undo-step.ts";

/**
 * Asks the target system what is in force. Reading is not acting: no brake is asked, or a killed agent could not say what
 * it left in force.
 */
export const createVerifyStep = (parts: LaneParts, resend: (entry: Entry) => Promise<void>, callUndo: CallUndo) => {
  const { connector, gate, deps, record, entries, lateCalls } = parts;
  const { clock, timers, random, brakes, limits } = deps;
  const { advance, succeed, fail, alarm, note, wait } = record;

  const verify = async (entry: Entry): Promise<void> => {
    if (connector === undefined) return wait(entry, limits.stuckRetryMs);
    const release = await gate.take(false);
    const result = await callWithin(timers, limits.callTimeoutMs, () =>
      connector.verify(callOf(entry, entry.deadlineMs, clock.nowMs())),
    );
    release();
    if (result.kind !== "answered" || result.answer.kind !== "unknown") gate.note(result.kind === "answered");
    const answer = result.kind === "answered" ? result.answer : { kind: "unknown" as const, detail: detailOf(result) };
    // While a call is still under way somewhere, "absent" only means "not yet".
    if (answer.kind === "unknown" || (answer.kind === "absent" && lateCalls.size > 0))
      return verifyLater(entry, answer.detail);
    if (answer.kind === "absent") return absent(entry);
    if (holdersBeside(entry, entries(), clock.nowMs()).length === 0) entry.endLateCall();
    const isFirstWord =
      !entry.isRenewal &&
      entry.row.state === "pending_verification" &&
      entry.row.code !== "verify-unknown" &&
      entry.row.code !== "verify-absent";
    const changes: CommandChanges = { verified: true, code: undefined, detail: answer.detail };
    return isFirstWord ? succeed(entry, ["found"], changes) : advance(entry, ["found"], changes);
  };

  const verifyLater = (entry: Entry, detail: string | undefined): void => {
    entry.triesInState += 1;
    const tries = entry.triesInState;
    if (tries === limits.verifyTriesBeforeAlarm) {
      const beside = alarm(entry, "warning", "command-unproven", detail ?? "the target system cannot say");
      if (entry.row.state === "confirmed") advance(entry, ["unknown"], { code: "verify-unknown", detail }, beside);
      else note(entry, beside);
      entry.triesInState = tries;
    }
    wait(entry, backoffMs(entry.triesInState, limits.verifyBackoff, random));
  };

  /** Ever longer, and never much shorter than that: reads close together agree about a replica that lags. */
  const pauseBetweenReads = (reads: number): number => {
    const { firstMs, mostMs } = limits.verifyBackoff;
    const ceilingMs = Math.min(mostMs, firstMs * 2 ** (reads - 1));
    return backoffMs(reads, limits.verifyBackoff, random, ceilingMs / 2);
  };

  const absent = async (entry: Entry): Promise<void> => {
    const { row } = entry;
    const hasTime = secondsLeft(entry.deadlineMs, clock.nowMs()) >= resendSecondsMin;
    const closed = brakes.check(row.command);
    if (row.state === "pending_verification" && hasTime && row.attempts < limits.attemptsMax && closed === undefined) {
      return resend(entry);
    }
    entry.absentReads += 1;
    if (entry.absentReads < limits.absentReadsMin) return wait(entry, pauseBetweenReads(entry.absentReads));
    // "Absent" may be a stale read. Taking back what is not there is harmless; forgetting what is there is not.
    if (holdersBeside(entry, entries(), clock.nowMs()).length === 0) {
      const left = await callUndo(entry);
      if (left !== undefined)
        return wait(entry, backoffMs(entry.absentReads, limits.undoBackoff, random, left.retryAfterMs));
    }
    return fail(entry, "missing", closed ?? "verify-absent", "the target system says it is not in force");
  };

  return verify;
};
