import type { Entity } from "@reflex/protocol/entity";
import type { CompiledPolicy } from "./compile.ts";
import { type CheckedCondition, no, unknown, yes } from "./conditions.ts";
import type { FieldFacts } from "./field-facts.ts";

/**
 * Which policies match. Each call writes positions into `found` and returns how many; the next call overwrites them.
 * A detection is looked at once (`begin`), then each target (`permits`) and each candidate (`guards`).
 */
export type Matcher = {
  readonly found: Int32Array;
  /** Every policy whose conditions hold for these facts, whatever a permit's target selector says. */
  readonly all: (facts: FieldFacts) => number;
  readonly begin: (facts: FieldFacts) => void;
  /** Permits that grant on this target; `facts` hold the target's facts. */
  readonly permits: (facts: FieldFacts, target: Entity) => number;
  /** Guards that judge this candidate; `facts` hold the target's facts and the action. */
  readonly guards: (facts: FieldFacts) => number;
};

/**
 * match AND NOT any unless-block. An unknown fact counts as met where that restricts and as not met where that grants:
 * so a guard's exception must be certain, and a permit's exception need only be possible.
 */
export const holds = (
  conditions: readonly CheckedCondition[],
  unless: CompiledPolicy["unless"],
  isGuard: boolean,
  facts: FieldFacts,
): boolean => {
  for (let at = 0; at < conditions.length; at += 1) {
    const truth = (conditions[at] as CheckedCondition).test(facts);
    if (truth === no || (truth !== yes && !isGuard)) return false;
  }
  return unless.length === 0 || !unless.some((block) => excuses(block, isGuard, facts));
};

const excuses = (block: readonly CheckedCondition[], isGuard: boolean, facts: FieldFacts): boolean =>
  block.every(({ test }) => {
    const truth = test(facts);
    return truth === yes || (truth === unknown && !isGuard);
  });

/** `attacker.address` or `address`: does a permit's selector mean this entity? */
export const selects = (selector: string, target: Entity): boolean =>
  selector === target.type || (target.role !== undefined && selector === `${target.role}.${target.type}`);

/** Up to this many policies, asking each in turn is faster than picking vectors: 0.3 against 0.5 us at 10, 0.7 against 0.3 at 16. */
export const scanMax = 12;

/** Asks each policy in turn: the plain meaning of the other matcher, and the faster one for a few policies. */
export const createScanMatcher = (policies: readonly CompiledPolicy[]): Matcher => {
  const found = new Int32Array(policies.length);
  const asked = policies.map(({ policy, match, unless, never }, position) => ({
    position,
    isGuard: policy.kind === "guard",
    selector: policy.kind === "permit" ? policy.do.target : "",
    conditions: [...match].sort((a, b) => cost(a) - cost(b)),
    unless,
    never,
  }));
  const able = asked.filter(({ never }) => !never);
  const guards = able.filter(({ isGuard }) => isGuard);
  const permits = able.filter(({ isGuard }) => !isGuard);
  const collect = (from: typeof asked, facts: FieldFacts, target: Entity | undefined): number => {
    let count = 0;
    for (let at = 0; at < from.length; at += 1) {
      const { position, isGuard, selector, conditions, unless } = from[at] as (typeof asked)[number];
      if (target !== undefined && !selects(selector, target)) continue;
      if (holds(conditions, unless, isGuard, facts)) found[count++] = position;
    }
    return count;
  };
  return {
    found,
    all: (facts) => collect(able, facts, undefined),
    begin: () => undefined,
    permits: (facts, target) => collect(permits, facts, target),
    guards: (facts) => collect(guards, facts, undefined),
  };
};

/** One comparison of a word that seldom fits goes before a walk through networks or tags. */
const cost = ({ op, values }: CheckedCondition): number => {
  if (op === "in") return values.length;
  return op === "in_cidr" || op === "outside" || op === "overlaps" || op === "has_all" ? 200 + values.length : 100;
};
