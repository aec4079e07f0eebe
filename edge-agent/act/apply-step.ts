import type { CommandEvent } from "@reflex/protocol/command-life";
import type { Refusal, RefusalCode } from "@reflex/protocol/refusal";
import type { ApplyOutcome } from "../connectors/contract.ts";
import { backoffMs } from "./backoff.ts";
import { type CallResult, callWithin, detailOf, hasAnswered } from "./calls.ts";
import { type CommandChanges, changeCommand, moveCommand } from "./command-step.ts";
import { callOf, type Entry, fieldsOf, traitsOf } from "./entry.ts";
import type { LaneParts } from "./lane.ts";
import { captureToShare, holdersBeside } from "./next-step.ts";

export type ApplySteps = {
  readonly begin: (entry: Entry) => Promise<void>;
  /** The last call applied nothing and asked to be repeated. */
  readonly callAgain: (entry: Entry) => Promise<void>;
  /** Verified missing: once more, with the same idempotency key. */
  readonly resend: (entry: Entry) => Promise<void>;
  /** In force, and its lease was made longer. */
  readonly renew: (entry: Entry) => Promise<void>;
};

/** It is kept in every row and copied with every step. */
const undoDataLengthMax = 65_536;

/** Will pass by itself: worth asking again. */
const isPassing = ({ code }: Refusal): boolean => code === "unreachable" || code === "connector-timeout";

/** The intent is durable before the call, the undo data before the intent. */
export const createApplySteps = ({
  connector,
  description,
  gate,
  deps,
  record,
  entries,
  lateCalls,
  poke,
}: LaneParts): ApplySteps => {
  const { clock, timers, random, brakes, log, limits } = deps;
  const { advance, amend, succeed, fail, alarm, commitFirst, wait, outcomeWrites } = record;

  const begin: ApplySteps["begin"] = async (entry) => {
    const traits = traitsOf(description, entry.row);
    if (connector === undefined || traits === undefined) {
      return fail(
        entry,
        "withdraw",
        "connector-unknown",
        `${entry.row.command.connector} cannot ${entry.row.command.action}`,
      );
    }
    const { target } = entry.row.command;
    if (!traits.targets.includes(target.type))
      return fail(
        entry,
        "withdraw",
        "target-unresolved",
        `${entry.row.command.action} here is not for a ${target.type}`,
      );
    const closed = brakes.check(entry.row.command, entry.row.resolved);
    if (closed !== undefined) return advance(entry, ["withdraw"], { code: closed });
    if (entry.hasWaited && clock.nowMs() - entry.row.atMs > limits.plannedAgeMaxMs) {
      return advance(entry, ["withdraw"], { code: "stale", detail: "it could not be sent in time" });
    }
    const pauseMs = gate.waitMs();
    if (pauseMs > 0) return wait(entry, pauseMs);
    const undoAtMs = clock.nowMs() + entry.row.command.ttl * 1_000;
    const holders = holdersBeside(entry, entries(), clock.nowMs()).filter(({ row }) => row.state === "in_force");
    const heldUntilMs = Math.max(0, ...holders.map((holder) => holder.deadlineMs));
    const shared = captureToShare(entry, entries());
    if (holders.length > 0 && (!traits.nativeTtl || heldUntilMs >= undoAtMs))
      return join(entry, holders, undoAtMs, shared);
    let undoData = shared;
    if (undoData === undefined) {
      const release = await gate.take(false);
      const captured = await callWithin(timers, limits.callTimeoutMs, () =>
        connector.captureUndo(callOf(entry, undoAtMs, clock.nowMs())),
      );
      release();
      if (captured.kind === "answered" && !captured.answer.ok && !isPassing(captured.answer.error)) {
        return fail(entry, "withdraw", captured.answer.error.code, captured.answer.error.detail);
      }
      gate.note(captured.kind === "answered" && captured.answer.ok);
      if (captured.kind !== "answered") return retryCapture(entry, detailOf(captured));
      if (!captured.answer.ok) return retryCapture(entry, captured.answer.error.detail);
      if (captured.answer.value.length > undoDataLengthMax)
        return fail(entry, "withdraw", "too-large", `undo data of more than ${undoDataLengthMax} characters`);
      undoData = captured.answer.value;
    }
    return send(entry, ["send"], { undoAtMs, undoData, attempts: 1 });
  };

  /** The target is enforced already: one more lease on it, no second call. */
  const join = async (
    entry: Entry,
    holders: readonly Entry[],
    undoAtMs: number,
    undoData: string | undefined,
  ): Promise<void> => {
    const verified = holders.some(({ row }) => row.verified);
    const joined = moveCommand(entry.row, ["send", "applied", "found"], clock.nowMs(), {
      undoAtMs,
      verified,
      detail: `joins the lease of ${holders[0]?.row.command.command_id ?? ""}`,
      ...(undoData === undefined ? {} : { undoData }),
    });
    await commitFirst(entry, joined, outcomeWrites(joined, "success"));
  };

  const retryCapture = (entry: Entry, detail: string): void => {
    entry.triesInState += 1;
    if (entry.triesInState >= limits.attemptsMax)
      fail(entry, "withdraw", "connector-failed", `undo data could not be captured: ${detail}`);
    else wait(entry, backoffMs(entry.triesInState, limits.applyBackoff, random));
  };

  /** Makes the intent durable, then calls. Nothing leaves the agent when the journal does not take the intent. */
  const send = async (
    entry: Entry,
    events: readonly CommandEvent[],
    changes: CommandChanges,
    onDurable: () => void = () => {},
  ): Promise<void> => {
    const calledAtMs = clock.nowMs();
    const sent = moveCommand(entry.row, events, calledAtMs, {
      code: undefined,
      detail: undefined,
      ...changes,
      calledAtMs,
    });
    if (!(await commitFirst(entry, sent))) return;
    onDurable();
    await apply(entry);
  };

  const callAgain: ApplySteps["callAgain"] = async (entry) => {
    const pauseMs = gate.waitMs();
    if (pauseMs > 0) return wait(entry, pauseMs);
    const calledAtMs = clock.nowMs();
    const again = changeCommand(
      entry.row,
      { state: "sent", atMs: calledAtMs },
      { attempts: entry.row.attempts + 1, calledAtMs },
    );
    if (await commitFirst(entry, again)) await apply(entry);
  };

  const resend: ApplySteps["resend"] = async (entry) => {
    const pauseMs = gate.waitMs();
    if (pauseMs > 0) return wait(entry, pauseMs);
    await send(entry, ["resend"], { attempts: entry.row.attempts + 1 });
  };

  /** The call itself is the same as before; a target that ends entries by itself takes its time anew. */
  const renew: ApplySteps["renew"] = async (entry) => {
    const pauseMs = gate.waitMs();
    if (pauseMs > 0) return wait(entry, pauseMs);
    const undoAtMs = entry.renewUntilMs ?? entry.deadlineMs;
    const { detail } = entry.row;
    const closed = brakes.check(entry.row.command, entry.row.resolved);
    if (closed !== undefined) {
      entry.renewUntilMs = undefined;
      return amend(entry, { detail: `not extended: ${closed}` });
    }
    // Whatever comes of this call, something is in force.
    entry.isRenewal = entry.hasDoubt = true;
    await send(entry, ["renew"], { undoAtMs, attempts: 1, detail }, () => {
      entry.renewUntilMs = undefined;
    });
  };

  const apply = async (entry: Entry): Promise<void> => {
    if (connector === undefined) return;
    const release = await gate.take(false);
    // Asked last of all: a kill that was heard while waiting for the disk or for a turn still stops this call.
    const closed = brakes.check(entry.row.command, entry.row.resolved);
    if (closed !== undefined || deps.isStopping()) {
      release();
      if (closed !== undefined) return advance(entry, [entry.hasDoubt ? "unknown" : "refused"], { code: closed });
      // Put back, so that the next start need not find out whether it was ever made.
      if (!entry.hasDoubt) return advance(entry, ["withheld"], {});
      entry.isProvenAbsent = true;
      return;
    }
    // Waiting for the disk, for a slot or for a busy machine may have taken all of its time.
    if (clock.nowMs() >= entry.deadlineMs) {
      release();
      return giveUp(entry, "stale", "its time was up before a call got through");
    }
    if (!gate.admit()) {
      release();
      entry.isProvenAbsent = true;
      return wait(entry, Math.max(1, gate.waitMs()));
    }
    entry.isProvenAbsent = false;
    const result = await callWithin(timers, limits.callTimeoutMs, () =>
      connector.apply(callOf(entry, entry.deadlineMs, clock.nowMs())),
    );
    release();
    gate.note(hasAnswered(result));
    noteLate(entry, result);
    settleApply(entry, result.kind === "answered" ? result.answer : { kind: "unknown", detail: detailOf(result) });
  };

  const settleApply = (entry: Entry, outcome: ApplyOutcome): void => {
    switch (outcome.kind) {
      case "applied": {
        // A connector that cannot verify is taken at its word, and the row says so.
        const events: CommandEvent[] = entry.canVerify ? ["applied"] : ["applied", "found"];
        const tell = entry.isRenewal ? advance : succeed;
        entry.isRenewal = false;
        tell(entry, events, { verified: false, code: undefined, detail: outcome.detail });
        return;
      }
      case "refused":
        giveUp(entry, outcome.code, outcome.detail);
        return;
      case "retry":
        if (entry.row.attempts >= limits.attemptsMax) {
          giveUp(entry, "connector-failed", outcome.detail);
          return;
        }
        entry.isProvenAbsent = true;
        log.warn(
          { ...fieldsOf(entry), detail: outcome.detail, attempts: entry.row.attempts },
          "connector asks to be tried again",
        );
        wait(entry, backoffMs(entry.row.attempts, limits.applyBackoff, random, outcome.retryAfterMs));
        return;
      case "unknown": {
        // Nobody will ever verify it: at most once. Its lease still ends on time.
        const beside = entry.canVerify ? [] : alarm(entry, "warning", "command-unproven", outcome.detail);
        advance(entry, ["unknown"], { code: "connector-timeout", detail: outcome.detail }, beside);
        return;
      }
    }
  };

  /** An earlier call of unknown fate may have worked, whatever this one says: then only verifying settles it. */
  const giveUp = (entry: Entry, code: RefusalCode, detail: string): void => {
    if (entry.hasDoubt) advance(entry, ["unknown"], { code, detail });
    else fail(entry, "refused", code, detail);
  };

  const noteLate = (entry: Entry, result: CallResult<ApplyOutcome>): void => {
    if (result.kind !== "timed_out") return;
    const late = Symbol(entry.row.command.command_id);
    lateCalls.add(late);
    const end = (): void => {
      if (lateCalls.delete(late)) poke();
    };
    const cancel = timers.after(limits.lateCallMs, end);
    void result.ended.then(end).then(cancel);
  };

  return { begin, callAgain, resend, renew };
};
