import type { PolicyReference } from "@reflex/protocol/decision";
import type { Approval } from "@reflex/protocol/policy";
import type { RefusalCode } from "@reflex/protocol/refusal";
import { fieldNames } from "../language/fields.ts";
import type { Draft } from "./candidates.ts";
import type { CompiledPolicies, CompiledPolicy } from "./compile.ts";
import { type FieldFacts, fieldIndex, setTargetFacts } from "./field-facts.ts";
import { checkLimit, type LimitReader, type LimitSubject, type LimitTally } from "./limits.ts";
import { referenceTo } from "./references.ts";

/** What the guards say about one candidate: effects and obligations joined to the strictest. */
export type GuardJudgement = {
  /** Positions of the guards that matched, ascending (= by id). */
  readonly positions: readonly number[];
  readonly references: PolicyReference[];
  /** Code of the strictest effect, if a guard denies or asks. */
  readonly deny: RefusalCode | undefined;
  readonly ask: RefusalCode | undefined;
  readonly approval: Approval | undefined;
  readonly ttlMaxSeconds: number | undefined;
  /** Limit groups this candidate uses. */
  readonly limits: string[];
  /** The strictest effect rests on facts that are not known. */
  readonly rests: "known" | "unknown";
};

/** Who consents where a guard asks without saying whom: one analyst, half an hour, and silence is a no. */
export const defaultApproval: Approval = { from: "analyst", quorum: 1, expires_seconds: 1_800, on_timeout: "deny" };

type Effect = "deny" | "require_approval" | "restrict";

export const judgeCandidate = (
  compiled: CompiledPolicies,
  facts: FieldFacts,
  draft: Draft,
  subject: LimitSubject,
  tally: LimitTally,
  limits: LimitReader,
): GuardJudgement => {
  const positions = matchingGuards(compiled, facts, draft);
  const references: PolicyReference[] = [];
  const keys: string[] = [];
  let deny: RefusalCode | undefined;
  let ask: RefusalCode | undefined;
  let approval: Approval | undefined;
  let ttlMaxSeconds: number | undefined;
  let denyKnown = false;
  let askKnown = false;
  for (const position of positions) {
    const entry = compiled.policies[position];
    if (entry === undefined || entry.policy.kind !== "guard") continue;
    const guard = entry.policy;
    const doubt = unknownFields(entry, facts);
    if (guard.shadow) {
      references.push(referenceTo(entry, guard.then, "shadow", doubt));
      continue;
    }
    if (guard.ttl_max_seconds !== undefined)
      ttlMaxSeconds = Math.min(guard.ttl_max_seconds, ttlMaxSeconds ?? guard.ttl_max_seconds);
    const finding = guard.limit === undefined ? undefined : checkLimit(guard.id, guard.limit, subject, tally, limits);
    if (finding?.key !== undefined) keys.push(finding.key);
    const fires = finding === undefined || finding.state !== "within";
    const code = fires ? codeOf(guard.then, finding?.state) : undefined;
    references.push(
      referenceTo(
        entry,
        fires ? guard.then : "restrict",
        code,
        finding === undefined ? doubt : doubt === undefined ? finding.detail : `${finding.detail}; ${doubt}`,
      ),
    );
    if (!fires || code === undefined) continue;
    const known = doubt === undefined && finding?.state !== "unknown";
    if (guard.then === "deny") {
      deny = strictestCode(deny, code);
      denyKnown ||= known;
    } else {
      ask = strictestCode(ask, code);
      askKnown ||= known;
      approval = joinApprovals(approval, guard.approval ?? defaultApproval);
    }
  }
  const known = deny !== undefined ? denyKnown : ask === undefined || askKnown;
  return {
    positions,
    references,
    deny,
    ask,
    approval,
    ttlMaxSeconds,
    limits: keys,
    rests: known ? "known" : "unknown",
  };
};

/** Guards on any part the target plays: a thing that is both source and victim is both to a guard. */
const matchingGuards = (compiled: CompiledPolicies, facts: FieldFacts, draft: Draft): number[] => {
  const { matcher } = compiled;
  let positions: number[] = [];
  for (const appearance of draft.appearances) {
    setTargetFacts(facts, compiled.used, appearance, draft.asset);
    facts[fieldIndex.action] = draft.action;
    const count = matcher.guards(facts);
    for (let index = 0; index < count; index += 1) positions.push(matcher.found[index] ?? -1);
  }
  if (draft.appearances.length > 1) positions = [...new Set(positions)].sort((a, b) => a - b);
  return positions;
};

/** Several approvals become one that satisfies each: every role named, the larger quorum, the earlier expiry. */
export const joinApprovals = (a: Approval | undefined, b: Approval): Approval => {
  if (a === undefined) return b;
  if (a.from === b.from && a.quorum === b.quorum && a.expires_seconds === b.expires_seconds) return a;
  const roles = [...new Set([...a.from.split("+"), ...b.from.split("+")])].sort();
  return {
    // A role that is cut off belongs to nobody, so nobody can consent: safe, and the guards listed say why.
    from: roles.join("+").slice(0, 64),
    quorum: Math.max(a.quorum, b.quorum),
    expires_seconds: Math.min(a.expires_seconds, b.expires_seconds),
    on_timeout: "deny",
  };
};

const codeOf = (effect: Effect, limit: "exceeded" | "unknown" | "within" | undefined): RefusalCode | undefined => {
  if (effect === "restrict") return undefined;
  if (limit === "exceeded") return "limit-exceeded";
  if (limit === "unknown") return "limit-unknown";
  return effect === "deny" ? "forbidden" : "approval-required";
};

/** One code for a candidate whatever the order: plain guards before limits, exceeded before unknown. */
const codeOrder: readonly RefusalCode[] = ["forbidden", "approval-required", "limit-exceeded", "limit-unknown"];
const strictestCode = (a: RefusalCode | undefined, b: RefusalCode): RefusalCode =>
  a !== undefined && codeOrder.indexOf(a) <= codeOrder.indexOf(b) ? a : b;

const unknownFields = ({ asks }: CompiledPolicy, facts: FieldFacts): string | undefined => {
  let text: string | undefined;
  for (const field of asks)
    if (facts[field] === undefined)
      text = text === undefined ? `unknown: ${fieldNames[field]}` : `${text}, ${fieldNames[field]}`;
  return text;
};
