import { type ActionName, actions } from "@reflex/protocol/action";
import type { Bundle, BundleSettings, Route } from "@reflex/protocol/bundle";
import type { PolicyReference } from "@reflex/protocol/decision";
import type { Policy } from "@reflex/protocol/policy";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Weights } from "@reflex/protocol/weights";
import { fieldNames } from "../language/fields.ts";
import { type CheckedCondition, checkCondition, type Lists, no, yes } from "./conditions.ts";
import { emptyFieldFacts, fieldIndex } from "./field-facts.ts";
import { createInventory, type Inventory } from "./inventory.ts";
import { createScanMatcher, type Matcher, scanMax } from "./match.ts";
import { createVectorMatcher } from "./match-vectors.ts";
import { createNeverTouch, type NeverTouchList } from "./never-touch.ts";
import { needsWholeList } from "./slice.ts";

/** One policy with its conditions checked and `$lists` resolved. */
export type CompiledPolicy = {
  readonly policy: Policy;
  readonly match: readonly CheckedCondition[];
  readonly unless: readonly (readonly CheckedCondition[])[];
  /** A permit whose conditions on its own action can never hold. */
  readonly never: boolean;
  /** Fields (by position) whose being unknown a guard tells. */
  readonly asks: readonly number[];
  /** How decisions name the policy, kept by references.ts. */
  readonly told: PolicyReference[];
  /** `$lists` the policy names, and on which fields. */
  readonly lists: readonly ListUse[];
};
export type ListUse = {
  readonly name: string;
  readonly field: number;
  /** The answer depends on entries that no fact touches. */
  readonly whole: boolean;
};

/** Policies in the order of their ids, whatever order they came in: a position means one policy. */
export type CompiledPolicies = {
  readonly policies: readonly CompiledPolicy[];
  readonly lists: Lists;
  /** 1 for each field (by position) that some policy asks about. */
  readonly used: Uint8Array;
  readonly matcher: Matcher;
};

/** Immutable and reusable; what changes inside is scratch space of one synchronous call. */
export type CompiledBundle = CompiledPolicies & {
  readonly inventory: Inventory;
  readonly neverTouch: NeverTouchList;
  /** First route of the bundle for an action at a site. */
  readonly routeFor: (action: ActionName, site: string) => Route | undefined;
  readonly settings: BundleSettings;
  readonly weights: Pick<Weights, "version" | "prior_strength" | "cells">;
};

/** The whole bundle, or the first thing in it that does not hold together. */
export const compileBundle = (bundle: Bundle, weights: Weights): Result<CompiledBundle, Refusal> => {
  const compiled = compilePolicies(bundle.policies, bundle.lists);
  if (!compiled.ok) return compiled;
  const inventory = createInventory(bundle.inventory);
  if (!inventory.ok) return err(refusal("bundle-invalid", inventory.error));
  const neverTouch = createNeverTouch(bundle.never_touch);
  if (!neverTouch.ok) return err(refusal("bundle-invalid", neverTouch.error));
  return ok({
    ...compiled.value,
    inventory: inventory.value,
    neverTouch: neverTouch.value,
    routeFor: routeFinder(bundle.routing),
    settings: bundle.settings,
    weights: { version: weights.version, prior_strength: weights.prior_strength, cells: weights.cells },
  });
};

/** Permits and guards together; refuses unknown fields, operators, lists and values, and one id for two policies. */
export const compilePolicies = (policies: readonly Policy[], lists: Lists): Result<CompiledPolicies, Refusal> => {
  const used = new Uint8Array(fieldNames.length);
  const sorted = [...policies].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const compiled: CompiledPolicy[] = [];
  for (const [index, policy] of sorted.entries()) {
    if (sorted[index - 1]?.id === policy.id)
      return err(refusal("bundle-invalid", `${policy.id}: two policies have this id`));
    if (policy.kind === "permit" && policy.layer !== "action")
      return err(refusal("bundle-invalid", `${policy.id}: only the action layer can hold a permit`));
    const result = compilePolicy(policy, lists, used);
    if (!result.ok) return err(refusal("bundle-invalid", `${policy.id}: ${result.error}`));
    compiled.push(result.value);
  }
  return ok({
    policies: compiled,
    lists,
    used,
    matcher: compiled.length <= scanMax ? createScanMatcher(compiled) : createVectorMatcher(compiled),
  });
};

const compilePolicy = (policy: Policy, bundleLists: Lists, used: Uint8Array): Result<CompiledPolicy, string> => {
  const match = checkAll(policy.match, bundleLists);
  if (!match.ok) return match;
  const unless: (readonly CheckedCondition[])[] = [];
  for (const block of policy.unless) {
    const checked = checkAll(block, bundleLists);
    if (!checked.ok) return checked;
    unless.push(checked.value);
  }
  const lists: ListUse[] = [];
  for (const condition of [...match.value, ...unless.flat()]) {
    used[condition.index] = 1;
    for (const { key } of condition.sets)
      if (key.startsWith("$"))
        lists.push({
          name: key.slice(1),
          field: condition.index,
          whole: needsWholeList(condition.index, condition.op),
        });
  }
  const asks = match.value.filter(({ op }) => op !== "present").map(({ index }) => index);
  return ok(
    policy.kind === "guard"
      ? { policy, match: match.value, unless, never: false, asks, told: [], lists }
      : settleAction(policy, match.value, unless, lists),
  );
};

const checkAll = (conditions: Policy["match"], lists: Lists): Result<CheckedCondition[], string> => {
  const checked: CheckedCondition[] = [];
  for (const condition of conditions) {
    const result = checkCondition(condition, lists);
    if (!result.ok) return result;
    checked.push(result.value);
  }
  return ok(checked);
};

/** A permit brings its own action, so its conditions on `action` are true or false for ever and need no look at run time. */
const settleAction = (
  policy: Policy & { kind: "permit" },
  match: readonly CheckedCondition[],
  unless: readonly (readonly CheckedCondition[])[],
  lists: readonly ListUse[],
): CompiledPolicy => {
  const facts = emptyFieldFacts();
  facts[fieldIndex.action] = policy.do.action;
  const settled = (condition: CheckedCondition): boolean => condition.index === fieldIndex.action;
  const blocks = unless
    .filter((block) => !block.some((condition) => settled(condition) && condition.test(facts) === no))
    .map((block) => block.filter((condition) => !settled(condition)));
  return {
    policy,
    match: match.filter((condition) => !settled(condition)),
    unless: blocks.filter((block) => block.length > 0),
    lists,
    never:
      match.some((condition) => settled(condition) && condition.test(facts) !== yes) ||
      blocks.some((block) => block.length === 0) ||
      !canTarget(policy),
    asks: [],
    told: [],
  };
};

/** A permit for what the action cannot be done to grants nothing (`isolate_host` on an address). */
const canTarget = ({ do: { action, target } }: Policy & { kind: "permit" }): boolean =>
  (actions[action].targets as readonly string[]).includes(target.slice(target.indexOf(".") + 1));

const routeFinder = (routing: readonly Route[]): CompiledBundle["routeFor"] => {
  const byAction = new Map<string, Route[]>();
  for (const route of routing) {
    const routes = byAction.get(route.action);
    if (routes === undefined) byAction.set(route.action, [route]);
    else routes.push(route);
  }
  return (action, site) =>
    byAction.get(action)?.find((route) => route.sites === undefined || route.sites.includes(site));
};
