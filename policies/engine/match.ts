import type { Entity } from "@reflex/protocol/entity";
import type { CompiledPolicy } from "./compile.ts";
import { no, yes } from "./conditions.ts";
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
export const policyHolds = (compiled: CompiledPolicy, facts: FieldFacts): boolean => {
  if (compiled.never) return false;
  const guards = compiled.policy.kind === "guard";
  for (const { test } of compiled.match) {
    const truth = test(facts);
    if (truth === no || (truth !== yes && !guards)) return false;
  }
  return !exceptionApplies(compiled, facts, guards);
};

export const exceptionApplies = (compiled: CompiledPolicy, facts: FieldFacts, guards: boolean): boolean => {
  for (const block of compiled.unless) {
    let applies = true;
    for (const { test } of block) {
      const truth = test(facts);
      if (truth === no || (truth !== yes && guards)) {
        applies = false;
        break;
      }
    }
    if (applies) return true;
  }
  return false;
};

/** `attacker.address` or `address`: does a permit's selector mean this entity? */
export const selects = (selector: string, target: Entity): boolean =>
  selector === target.type || (target.role !== undefined && selector === `${target.role}.${target.type}`);

/** Up to this many policies, asking each in turn is faster than preparing vectors for a detection (measured). */
export const scanMax = 64;

/** Asks each policy in turn: the plain meaning of the other matcher, and the faster one for a few policies. */
export const createScanMatcher = (policies: readonly CompiledPolicy[]): Matcher => {
  const found = new Int32Array(policies.length);
  const collect = (facts: FieldFacts, wanted: (compiled: CompiledPolicy) => boolean): number => {
    let count = 0;
    for (let position = 0; position < policies.length; position += 1) {
      const compiled = policies[position];
      if (compiled !== undefined && wanted(compiled) && policyHolds(compiled, facts)) found[count++] = position;
    }
    return count;
  };
  return {
    found,
    all: (facts) => collect(facts, () => true),
    begin: () => undefined,
    permits: (facts, target) =>
      collect(facts, ({ policy }) => policy.kind === "permit" && selects(policy.do.target, target)),
    guards: (facts) => collect(facts, ({ policy }) => policy.kind === "guard"),
  };
};
