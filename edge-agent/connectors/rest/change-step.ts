import { refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { ApplyOutcome, UndoOutcome, VerifyOutcome } from "../contract.ts";
import type { Ask, AskFailure } from "./ask.ts";
import { failureOfAnswer, failureOfRead, type ReadFailure } from "./ask.ts";
import type { Bindings } from "./bind.ts";
import type { BoundRequest } from "./bind-request.ts";
import { type Pause, settled } from "./capture-settled.ts";
import type { Reader } from "./list-items.ts";
import type { Change } from "./manifest.ts";
import { holdsAny, isAnswered, keptOf } from "./match.ts";
import { matcherToTest } from "./matcher-test.ts";
import { valuesAt } from "./pointer.ts";
import type { Answer } from "./read-answer.ts";
import { retryAfterMs } from "./retry-after.ts";
import type { Json } from "./value.ts";

export type StepDeps = {
  readonly ask: Ask;
  readonly reader: Reader;
  readonly wordsOf: (answer: Answer) => string;
  readonly nowMs: () => number;
  /** Between two reads of one thing; a test does not wait. */
  readonly pause?: Pause;
};

/** Reads, then changes. What fails before the change was sent has changed nothing. */
export const applyChange = async (
  deps: StepDeps,
  change: Change,
  bindings: Bindings,
  untilMs: number,
  verify: () => Promise<VerifyOutcome>,
): Promise<ApplyOutcome> => {
  if (!isKnownBefore(change, bindings)) return { kind: "refused", code: "connector-refused", detail: notCaptured };
  if (isSoBefore(change, bindings)) return { kind: "applied", detail: "it was so before" };
  const ready = await prepare(deps, change, bindings, untilMs);
  if (!ready.ok) return notApplied(ready.error);
  if (ready.value === undefined)
    return { kind: "refused", code: "target-unresolved", detail: "there is nothing to change" };
  const sent = await deps.ask({
    template: change.request,
    bindings: ready.value.bindings,
    untilMs,
    adjust: ready.value.adjust,
  });
  if (!sent.ok) return failedApply(sent.error);
  const outcome = outcomeOf(deps, change, sent.value, ready.value.bindings);
  if (outcome.kind === "conflict") return judgedByVerify(await verify(), outcome.detail);
  if (outcome.kind !== "applied") return outcome;
  const rest = await doRest(deps, change, ready.value.bindings, untilMs);
  return rest === undefined ? outcome : { kind: "unknown", detail: `half done: ${rest}` };
};

/** Until it is done or provably gone, an undo is tried again. */
export const undoChange = async (
  deps: StepDeps,
  change: Change,
  bindings: Bindings,
  untilMs: number,
  verify: () => Promise<VerifyOutcome>,
): Promise<UndoOutcome> => {
  if (!isKnownBefore(change, bindings)) return { kind: "retry", detail: notCaptured };
  if (isSoBefore(change, bindings)) return { kind: "undone", detail: "it was so before, and stays so" };
  const ready = await prepare(deps, change, bindings, untilMs);
  if (!ready.ok) return { kind: "retry", detail: ready.error.detail, ...waitOfRead(ready.error) };
  if (ready.value === undefined) return { kind: "undone", detail: "it is not there" };
  const sent = await deps.ask({
    template: change.request,
    bindings: ready.value.bindings,
    untilMs,
    adjust: ready.value.adjust,
  });
  if (!sent.ok) return tryAgain(sent.error);
  const answer = sent.value;
  const detail = deps.wordsOf(answer);
  const again = { kind: "retry", detail, ...waitOf(answer, deps.nowMs()) } as const;
  if (isLost(change, answer, ready.value.bindings) || holdsAny(change.retry, answer, ready.value.bindings))
    return again;
  if (holdsAny(change.conflict, answer, ready.value.bindings)) {
    const found = await verify();
    return found.kind === "absent" ? { kind: "undone", detail } : again;
  }
  const isGone = holdsAny(change.already, answer, ready.value.bindings);
  if (!isGone && !holdsAny(change.done, answer, ready.value.bindings)) return again;
  const rest = await doRest(deps, change, ready.value.bindings, untilMs);
  if (rest !== undefined) return { kind: "retry", detail: `half undone: ${rest}` };
  return isGone ? { kind: "undone", detail: "it is not there" } : { kind: "undone" };
};

const notCaptured = "what was captured before acting is missing";

/** Without it nobody knows whether it was so before, and an undo could free what somebody else put in force. */
const isKnownBefore = ({ unless = [] }: Change, bindings: Bindings): boolean =>
  unless.every(([{ path }]) => bindings.has(path));

export const isSoBefore = ({ unless = [] }: Change, bindings: Bindings): boolean =>
  unless.some(([reference, matcher]) => {
    const captured = bindings.get(reference.path);
    return captured !== undefined && matcherToTest(matcher, bindings)(Array.isArray(captured) ? captured : [captured]);
  });

type Ready = { readonly bindings: Bindings; readonly adjust: (request: BoundRequest) => BoundRequest };

/** What the request needs to know from the far end first; undefined where there is nothing to change. */
const prepare = async (
  deps: StepDeps,
  { find, read, guarded }: Change,
  known: Bindings,
  untilMs: number,
): Promise<Result<Ready | undefined, ReadFailure>> => {
  const bindings = new Map<string, Json>(known);
  if (find !== undefined) {
    // "None of ours is there" ends the undo: an old read must not say so while it is in force.
    const items = await settled(
      () => deps.reader.readItems(find, bindings, untilMs),
      (found) => found.ok && found.value.length === 0,
      deps.pause,
    );
    if (!items.ok) return items;
    const [item, ...others] = items.value;
    if (item === undefined) return ok(undefined);
    if (others.length > 0)
      return err(refusal("target-unresolved", `${others.length + 1} entries carry our mark; one was expected`));
    const [id] = valuesAt(item, find.id);
    if (typeof id !== "string" && typeof id !== "number")
      return err(refusal("connector-refused", `the entry has no ${find.id.text}`));
    bindings.set("found.id", id);
    for (const [name, pointer] of Object.entries(find.keep)) {
      if ("when" in pointer) continue;
      const values = valuesAt(item, pointer) as Json[];
      bindings.set(`found.${name}`, pointer.isMany ? values : (values[0] ?? null));
    }
  }
  if (read === undefined) return ok({ bindings, adjust: (request) => request });
  const answer = await deps.ask({ template: read.request, bindings, untilMs, isList: true });
  if (!answer.ok) return err(failureOfRead(answer.error));
  if (!isAnswered(read.answered, answer.value, bindings))
    return err(failureOfAnswer(answer.value, deps.wordsOf(answer.value), deps.nowMs()));
  const kept = keptOf(read.keep, answer.value, bindings);
  if ("missing" in kept) return err(refusal("connector-refused", `the answer has no ${kept.missing}`));
  for (const [name, value] of kept.kept) bindings.set(`read.${name}`, value);
  if (guarded?.kind !== "etag") return ok({ bindings, adjust: (request) => request });
  const etag = answer.value.headers["etag"];
  // Without it the write would be unguarded, and lose what somebody else writes now.
  if (etag === undefined || etag === "" || etag.startsWith("W/")) {
    return err(refusal("connector-refused", "the product gives no ETag, so two writers cannot be kept apart"));
  }
  return ok({ bindings, adjust: (request) => ({ ...request, headers: { ...request.headers, "if-match": etag } }) });
};

const waitOfRead = ({ retryAfterMs: waitMs }: ReadFailure): { retryAfterMs?: number } =>
  waitMs === undefined ? {} : { retryAfterMs: waitMs };

const notApplied = (why: ReadFailure): ApplyOutcome =>
  why.code === "unreachable"
    ? { kind: "retry", detail: why.detail, ...waitOfRead(why) }
    : { kind: "refused", code: why.code, detail: why.detail };

const failedApply = (failure: AskFailure): ApplyOutcome => {
  switch (failure.kind) {
    case "unfit":
      return { kind: "refused", ...failure.refusal };
    case "refused":
      return { kind: "refused", code: "unauthorised", detail: failure.detail };
    case "unsent":
      return { ...failure, kind: "retry" };
    case "unknown":
      return failure;
  }
};

const tryAgain = (failure: AskFailure): UndoOutcome => {
  if (failure.kind === "unfit") return { kind: "retry", detail: failure.refusal.detail };
  return failure.kind === "unsent" ? { ...failure, kind: "retry" } : { kind: "retry", detail: failure.detail };
};

/** Somebody else wrote since we read; nothing of ours was written. */
const isLost = ({ guarded }: Change, answer: Answer, bindings: Bindings): boolean =>
  guarded?.kind === "etag"
    ? answer.status === 412 || answer.status === 409
    : guarded?.kind === "revision" && holdsAny(guarded.lost, answer, bindings);

type Judged = ApplyOutcome | { readonly kind: "conflict"; readonly detail: string };

/** What the manifest says about an answer comes before what the status alone says; a clear no before a yes. */
const outcomeOf = ({ wordsOf, nowMs }: StepDeps, change: Change, answer: Answer, bindings: Bindings): Judged => {
  const detail = wordsOf(answer);
  const wait = waitOf(answer, nowMs());
  if (isLost(change, answer, bindings) || holdsAny(change.retry, answer, bindings))
    return { kind: "retry", detail, ...wait };
  if (holdsAny(change.unknown, answer, bindings)) return { kind: "unknown", detail };
  if (holdsAny(change.refused, answer, bindings)) return { kind: "refused", code: "connector-refused", detail };
  if (holdsAny(change.conflict, answer, bindings)) return { kind: "conflict", detail };
  if (holdsAny(change.already, answer, bindings)) return { kind: "applied", detail: "it was there already" };
  if (holdsAny(change.done, answer, bindings)) return { kind: "applied" };
  const { status } = answer;
  if (status === 429) return { kind: "retry", detail, ...wait };
  if (status === 401 || status === 403) return { kind: "refused", code: "unauthorised", detail };
  if (status >= 400 && status <= 499 && status !== 408) return { kind: "refused", code: "connector-refused", detail };
  return { kind: "unknown", detail };
};

const waitOf = (answer: Answer, nowMs: number): { retryAfterMs?: number } => {
  const waitMs = retryAfterMs(answer.headers, nowMs);
  return waitMs === undefined ? {} : { retryAfterMs: waitMs };
};

/** An earlier try of ours may be what is in the way, and a read may be old: only a clear sight of ours counts. */
const judgedByVerify = ({ kind }: VerifyOutcome, detail: string): ApplyOutcome =>
  kind === "present"
    ? { kind: "applied", detail: "it was there already" }
    : { kind: "unknown", detail: `something else is in the way: ${detail}` };

/** The requests that follow; what went wrong, or undefined. */
const doRest = async (
  { ask, wordsOf }: StepDeps,
  { after }: Change,
  bindings: Bindings,
  untilMs: number,
): Promise<string | undefined> => {
  for (const { request, done } of after) {
    const sent = await ask({ template: request, bindings, untilMs });
    if (!sent.ok) return sent.error.kind === "unfit" ? sent.error.refusal.detail : sent.error.detail;
    if (!holdsAny(done, sent.value, bindings)) return wordsOf(sent.value);
  }
  return undefined;
};
