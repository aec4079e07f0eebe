import { isTerminal } from "@reflex/protocol/command-life";
import { backoffMs } from "./backoff.ts";
import { callWithin, detailOf, hasAnswered } from "./calls.ts";
import { callOf, type Entry } from "./entry.ts";
import type { LaneParts } from "./lane.ts";

/** Undefined when it is taken back; otherwise what stood in the way. */
export type CallUndo = (
  entry: Entry,
) => Promise<{ readonly detail: string; readonly retryAfterMs?: number; readonly isLateCall?: boolean } | undefined>;

/**
 * Takes back. No brake is asked: a kill switch stops acting, and undoing is the way back. A full disk does not stop it
 * either; undoing twice is harmless, so a crash before the record is written costs one more call.
 */
export const createUndoStep = ({ connector, gate, deps, record, lateCalls }: LaneParts) => {
  const { clock, timers, random, limits } = deps;
  const { advance, alarm, flush, wait } = record;

  const undo = async (entry: Entry): Promise<void> => {
    const isStuck = entry.row.state === "stuck";
    if (!isStuck && entry.diskTries === 0) {
      const detail = entry.undoReason || undefined;
      advance(entry, ["undo"], {
        undoAttempts: entry.row.undoAttempts + 1,
        ...(detail === undefined ? {} : { detail, code: undefined }),
      });
    }
    const isStored = await flush(entry);
    // Before its deadline nothing on the disk says that this lease is over: after a crash it would look alive, found missing,
    // and be applied again. So the record comes first, as long as the disk may only have hiccuped.
    const isEarly = clock.nowMs() < entry.deadlineMs;
    if (!isStored && isEarly && entry.diskTries < limits.earlyUndoDiskTriesMax) {
      entry.diskTries += 1;
      return wait(entry, limits.diskRetryMs);
    }
    entry.diskTries = 0;
    const left = await callUndo(entry);
    // A person may have marked it meanwhile.
    if (isTerminal(entry.row.state)) return;
    if (left === undefined)
      return advance(entry, ["taken_back"], { code: undefined, detail: entry.undoReason || undefined });
    if (isStuck) return wait(entry, limits.stuckRetryMs);
    if (left.isLateCall === true) {
      // The target did as it was told; only a late call may yet come. That is no failed try, and it ends by itself.
      advance(entry, ["undo_unknown"], { undoAttempts: entry.row.undoAttempts - 1, detail: left.detail });
      return wait(entry, limits.lateUndoMs);
    }
    if (entry.row.undoAttempts >= limits.undoAttemptsMax) {
      const beside = alarm(entry, "alarm", "undo-stuck", left.detail, "undo-failed");
      advance(entry, ["give_up"], { code: "undo-failed", detail: left.detail }, beside);
      return wait(entry, limits.stuckRetryMs);
    }
    advance(entry, ["undo_unknown"], { code: "undo-failed", detail: left.detail });
    wait(entry, backoffMs(entry.row.undoAttempts, limits.undoBackoff, random, left.retryAfterMs));
  };

  const callUndo: CallUndo = async (entry) => {
    if (connector === undefined)
      return { detail: `connector ${entry.row.command.connector} is not configured any more` };
    const release = await gate.take(true);
    try {
      const call = callOf(entry, entry.deadlineMs, clock.nowMs());
      const result = await callWithin(timers, limits.callTimeoutMs, () => connector.undo(call));
      // "Not yet" for one target says nothing about the others.
      if (result.kind !== "answered" || result.answer.kind === "undone") gate.note(hasAnswered(result));
      if (result.kind !== "answered") return { detail: detailOf(result) };
      if (result.answer.kind === "retry") return result.answer;
      if (lateCalls.size > 0)
        return { detail: "an earlier call is still under way and may yet apply it", isLateCall: true };
      if (!entry.canVerify) return undefined;
      const check = await callWithin(timers, limits.callTimeoutMs, () => connector.verify(call));
      const isStillThere = check.kind === "answered" && check.answer.kind === "present";
      return isStillThere ? { detail: "still in force after it was taken back" } : undefined;
    } finally {
      release();
    }
  };

  return { undo, callUndo };
};
