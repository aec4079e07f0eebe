import type { Candidate, Decision, PolicyReference } from "@reflex/protocol/decision";
import type { Detection } from "@reflex/protocol/detection";
import type { DecisionId } from "@reflex/protocol/ids";
import { candidatesMax } from "@reflex/protocol/limits";
import { timestampOf } from "@reflex/protocol/timestamp";
import type { Context } from "@reflex/protocol/token";
import { parseAddress, parseNetwork } from "./address.ts";
import { type Draft, draftCandidates } from "./candidates.ts";
import type { CompiledBundle } from "./compile.ts";
import { explainUndo, justify } from "./explain.ts";
import { emptyFieldFacts, type FieldFacts, setDetectionFacts } from "./field-facts.ts";
import { judgeCandidate } from "./guards.ts";
import { createLimitTally, type LimitReader } from "./limits.ts";
import { referenceTo } from "./references.ts";
import { scoreDetection } from "./score.ts";
import { candidateVerdict, contradictedDrafts, type Exception, exceptionOf, strongest } from "./verdict.ts";

export type DecideInput = {
  readonly detection: Detection;
  readonly context: Omit<Context, "limits">;
  readonly limits: LimitReader;
  readonly compiled: CompiledBundle;
  readonly site: string;
  readonly nowMs: number;
  readonly decisionId: DecisionId;
};

export type DecideResult = {
  readonly decision: Decision;
  /** Counters that were read and known: `context.limits` of the token. */
  readonly limitsRead: Record<string, number>;
  /** What the slice is cut from. */
  readonly matched: Matched;
};
export type Matched = {
  /** Positions of the policies that matched on any target, ascending. */
  readonly policies: readonly number[];
  readonly neverTouch: readonly number[];
  readonly actions: readonly Candidate["action"][];
  readonly cells: readonly string[];
  readonly site: string;
  /** Facts of the detection, for cutting lists. */
  readonly facts: FieldFacts;
};

/** An analyst looks again at what no policy covered within a day. */
const holdReviewMs = 24 * 3_600_000;

/**
 * Decides about one detection: score it, draft what permits grant, judge each grant by guards, limits and brakes, and
 * take the strongest verdict. Nothing else is looked at: the same input gives the same bytes on any node, forever.
 */
export const decide = (input: DecideInput): DecideResult => {
  const { detection, context, compiled, site } = input;
  const scored = scoreDetection(compiled.weights, site, detection, context);
  const facts = emptyFieldFacts();
  setDetectionFacts(
    facts,
    compiled.used,
    detection,
    context.assets,
    context.agreement,
    site,
    scored.confidence,
    scored.score,
  );
  compiled.matcher.begin(facts);
  const drafts = draftCandidates(compiled, facts, detection, context.assets);
  const contradicted = contradictedDrafts(drafts);
  const judged = drafts.slice(0, candidatesMax);
  const tooMany = drafts.length > candidatesMax;

  const limitsRead: Record<string, number> = {};
  const limits = recordingReader(input.limits, limitsRead);
  const tally = createLimitTally();
  const policies: number[] = [];
  const neverTouch: number[] = [];
  const candidates: Candidate[] = [];
  let exception: Exception | undefined;
  for (const draft of drafts) for (const position of draft.permits) policies.push(position);

  for (const draft of judged) {
    const connector = compiled.routeFor(draft.action, site)?.connector;
    const untouchable = compiled.neverTouch.check(draft.target, draft.asset);
    if (untouchable !== undefined && !neverTouch.includes(untouchable.position)) neverTouch.push(untouchable.position);
    const unresolved = isUnresolved(draft);
    const subject = { action: draft.action, target: draft.target, asset: draft.asset, connector, site };
    // What cannot happen whatever the guards say takes nothing from a limit.
    const counted = draft.enforced && !unresolved && untouchable?.kind !== "hit";
    const judgement = judgeCandidate(compiled, facts, draft, subject, counted ? tally : createLimitTally(), limits);
    for (const position of judgement.positions) policies.push(position);
    const [verdict, code] = candidateVerdict(
      {
        enforced: draft.enforced,
        unresolved,
        neverTouch: untouchable?.kind,
        deny: judgement.deny,
        ask: judgement.ask,
        contradicted: contradicted.has(draft),
        tooMany,
        // A route to a connector this agent does not have is no route: a human hears of it instead of a command that fails.
        routed: connector !== undefined && context.connectors?.includes(connector) !== false,
      },
      context,
    );
    const candidate: Candidate = {
      action: draft.action,
      target: draft.target,
      ttl_seconds: ttlOf(compiled, draft, judgement.ttlMaxSeconds),
      verdict,
      permits: permitReferences(compiled, draft),
      guards: judgement.references,
      limits: judgement.limits,
    };
    if (connector !== undefined) candidate.connector = connector;
    if (code !== undefined) candidate.code = code;
    if (judgement.approval !== undefined) candidate.approval = judgement.approval;
    candidates.push(candidate);
    exception ??=
      untouchable?.kind === "doubt" && code === "never-touch" ? "contradictory" : exceptionOf(code, judgement.rests);
  }

  const [verdict, decisive] = strongest(candidates);
  const code = decisive === undefined ? "no-permit" : decisive.code;
  const told = { verdict, score: scored.score, confidence: scored.confidence, candidates };
  const reviewMs = reviewAtMs(input.nowMs, decisive);
  const decision: Decision = {
    decision_id: input.decisionId,
    event_id: detection.event_id,
    verdict,
    score: scored.score,
    confidence: scored.confidence,
    factors: scored.factors,
    candidates,
    justification: justify(told, decisive),
    undo: explainUndo(told),
  };
  if (code !== undefined) decision.code = code;
  if (decisive === undefined) decision.exception = "unmatched";
  else if (exception !== undefined) decision.exception = exception;
  if (reviewMs !== undefined) decision.next_review_at = momentOf(reviewMs);
  const matched = {
    policies: ascending(policies),
    neverTouch,
    actions: judged.map(({ action }) => action),
    cells: scored.cells,
    site,
    facts,
  };
  return { decision, limitsRead, matched };
};

/** Sorted, each once. */
const ascending = (positions: number[]): number[] => {
  positions.sort((a, b) => a - b);
  let kept = 0;
  for (const position of positions) if (kept === 0 || positions[kept - 1] !== position) positions[kept++] = position;
  positions.length = kept;
  return positions;
};

/** Never "all of them": two machines under one name, or a target that cannot be read, is not one thing. */
const isUnresolved = ({ target, asset }: Draft): boolean => {
  if (target.type === "host" || target.type === "user") return asset !== undefined && asset.matches > 1;
  if (target.type === "address") return parseAddress(target.value) === undefined;
  if (target.type === "network") return parseNetwork(target.value) === undefined;
  return false;
};

/** The shortest of what permits grant and guards allow; permits in shadow shorten nothing that is enforced. */
const ttlOf = (compiled: CompiledBundle, draft: Draft, ttlMaxSeconds: number | undefined): number => {
  let ttl = ttlMaxSeconds ?? Number.POSITIVE_INFINITY;
  for (const position of draft.permits) {
    const policy = compiled.policies[position]?.policy;
    if (policy?.kind === "permit" && (!policy.shadow || !draft.enforced)) ttl = Math.min(ttl, policy.do.ttl_seconds);
  }
  return ttl;
};

const permitReferences = (compiled: CompiledBundle, draft: Draft): PolicyReference[] => {
  const references: PolicyReference[] = [];
  for (const position of draft.permits) {
    const entry = compiled.policies[position];
    if (entry !== undefined)
      references.push(referenceTo(entry, "allow", entry.policy.shadow ? "shadow" : undefined, undefined));
  }
  return references;
};

const recordingReader = (limits: LimitReader, read: Record<string, number>): LimitReader => ({
  used: (key) => {
    const used = limits.used(key);
    if (used === undefined || !Number.isSafeInteger(used) || used < 0) return undefined;
    read[key] = used;
    return used;
  },
});

/** In years of four digits ten times faster than a Date, which is left what lies beyond them. */
const momentOf = (ms: number): string =>
  ms >= 0 && ms < endOfYear9999Ms ? timestampOf(ms) : new Date(ms).toISOString();
const endOfYear9999Ms = 253_402_300_800_000;

/** When somebody should look again: the lease ends, the question expires, or the hold is a day old. */
const reviewAtMs = (nowMs: number, decisive: Candidate | undefined): number | undefined => {
  if (decisive === undefined) return nowMs + holdReviewMs;
  if (decisive.verdict === "act") return nowMs + decisive.ttl_seconds * 1_000;
  if (decisive.verdict === "ask") return nowMs + (decisive.approval?.expires_seconds ?? 1_800) * 1_000;
  return undefined;
};
