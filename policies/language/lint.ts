import { actionNames } from "@reflex/protocol/action";
import type { Condition, Guard, Permit, Policy } from "@reflex/protocol/policy";
import type { BundleDraft, SourcePolicy } from "./parse-set.ts";
import type { PolicyError, Position } from "./policy-error.ts";
import { durationText } from "./quantities.ts";
import { isImpliedBy } from "./subsumption.ts";
import { nearestName, writeInstead } from "./suggest.ts";

/** Legal, but probably not what its author means. Same shape as an error, so that editors and CI show both alike. */
export type LintWarning = PolicyError;

/** Beyond this a block outlives the reason for it: addresses change hands daily. */
const blockTtlSecondsMax = 24 * 3_600;
/** Pairs compared for shadowing; larger sets are left to the analyser, which is built for them. */
const comparedPoliciesMax = 2_000;

type Warn = (policy: SourcePolicy, pointer: string, message: string, fix: string) => void;

/** Sorted by file and place; never changes what is accepted. */
export const lintDraft = (draft: BundleDraft): readonly LintWarning[] => {
  const warnings: LintWarning[] = [];
  const warn: Warn = ({ file, positions }, pointer, message, fix) => {
    const { line, column }: Position = positions.get(pointer) ?? positions.get("/unless") ?? { line: 1, column: 1 };
    warnings.push({ file, line, column, message, fix });
  };
  for (const source of draft.policies) {
    if (source.cases.length === 0) {
      warn(
        source,
        "/policy",
        `${source.policy.id} has no cases`,
        "add cases: one detection it is for, one it is not for",
      );
    }
    if (source.policy.kind === "permit") lintPermit(source, source.policy, draft, warn);
    else lintGuard(source, source.policy, draft, warn);
    lintWords(source, draft, warn);
    lintSpelling(source, warn);
  }
  lintShadowed(draft, warn);
  return warnings.toSorted((a, b) =>
    a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1,
  );
};

const lintPermit = (source: SourcePolicy, permit: Permit, draft: BundleDraft, warn: Warn): void => {
  const { action, ttl_seconds } = permit.do;
  if (
    !permit.match.some(
      ({ field, op }) => (field === "confidence" || field === "score") && (op === "gt" || op === "gte"),
    )
  ) {
    warn(
      source,
      "/match",
      "the permit acts however uncertain the detection is",
      "add confidence: { gt: 0.85 } or score: { gte: 0.9 }",
    );
  }
  if (action.startsWith("block_") && ttl_seconds > blockTtlSecondsMax) {
    const longer = `a block of ${durationText(ttl_seconds)} outlives its reason`;
    warn(
      source,
      "/do/ttl",
      longer,
      `write ttl: ${durationText(blockTtlSecondsMax)} or less; a new detection renews it`,
    );
  }
  if (!draft.routing.some((route) => route.action === action)) {
    warn(
      source,
      "/do/action",
      `no connector is routed for ${action}, so a person is asked each time`,
      `add - { action: ${action}, connector: … } to routing.yaml`,
    );
  }
};

const lintGuard = (source: SourcePolicy, guard: Guard, draft: BundleDraft, warn: Warn): void => {
  const granted = new Set<string>(
    draft.policies.flatMap(({ policy }) => (policy.kind === "permit" ? [policy.do.action] : [])),
  );
  const reachable = actionsOf(guard).filter((action) => granted.has(action));
  if (reachable.length === 0) {
    warn(
      source,
      "/match/action",
      "no permit grants any action this guard is about",
      "correct the action, or keep it for permits to come",
    );
  }
  const percent = guard.limit?.max_percent;
  if (guard.limit?.per === "subnet" && percent !== undefined) {
    for (const { name, hosts } of draft.inventory.subnets) {
      if (hosts === undefined) {
        warn(
          source,
          "/limit",
          `the subnet ${name} has no host count, so the limit always applies there`,
          `write hosts: for ${name} in inventory.yaml`,
        );
      } else if (Math.floor((Math.round(percent * 1_000) * hosts) / 100_000) === 0) {
        warn(
          source,
          "/limit/max",
          `${percent} % of the ${hosts} hosts of ${name} rounds down to none`,
          "write a number, or raise the percent, if something may happen there",
        );
      }
    }
  }
};

/** Actions a policy's own match leaves possible. */
const actionsOf = (policy: Policy): readonly string[] =>
  policy.match
    .filter(({ field }) => field === "action")
    .reduce<readonly string[]>((left, { op, value }) => {
      const listed = (Array.isArray(value) ? value : [value]).map(String);
      return op === "not_in"
        ? left.filter((action) => !listed.includes(action))
        : left.filter((action) => listed.includes(action));
    }, actionNames);

const assetClassFields = new Set(["asset.class", "src.class", "dst.class"]);

/** A word that the inventory never says makes a guard protect nothing, and nobody notices. */
const lintWords = (source: SourcePolicy, { inventory }: BundleDraft, warn: Warn): void => {
  const { assets, users, subnets } = inventory;
  if (assets.length + users.length + subnets.length === 0) return;
  const classes = new Set([...assets, ...users].flatMap((entry) => entry.class ?? []));
  const groups = new Set([...assets, ...users].flatMap((entry) => entry.groups ?? []));
  const known = (field: string): ReadonlySet<string> | undefined => {
    if (assetClassFields.has(field)) return classes;
    if (field === "asset.groups") return groups;
    if (field === "asset.subnet") return new Set(subnets.map(({ name }) => name));
    return undefined;
  };
  for (const condition of conditionsOf(source.policy)) {
    const names = known(condition.field);
    if (names === undefined || condition.op === "present") continue;
    for (const value of wordsOf(condition)) {
      if (value.startsWith("$") || names.has(value)) continue;
      warn(
        source,
        `/match/${condition.field}`,
        `nothing in the inventory has ${condition.field} ${JSON.stringify(value)}`,
        `${writeInstead(value, [...names].sort())}, or add it to the inventory`,
      );
    }
  }
};

/** Origins that the normalisers give; others are possible, a slip of the pen is more likely. */
const usualOrigins = ["known_ioc", "signature", "behaviour", "anomaly", "scan", "policy"];

/** Values that are compared letter by letter, though they look as if their author expects more. */
const lintSpelling = (source: SourcePolicy, warn: Warn): void => {
  for (const condition of conditionsOf(source.policy)) {
    const { field } = condition;
    for (const value of wordsOf(condition)) {
      if ((field === "rule.name" || field === "rule.id") && /[*?]$|^\*|^\/.+\/$/.test(value)) {
        const fix = "list the names in full; patterns are not supported";
        warn(source, `/match/${field}`, `${JSON.stringify(value)} is compared letter by letter`, fix);
      }
      const near = field === "rule.origin" ? nearestName(value, usualOrigins) : undefined;
      if (near !== undefined && near !== value) {
        warn(source, `/match/${field}`, `no source gives the origin ${JSON.stringify(value)}`, `write "${near}"`);
      }
    }
  }
};

const conditionsOf = (policy: Policy): readonly Condition[] => [...policy.match, ...policy.unless.flat()];

const wordsOf = ({ value }: Condition): readonly string[] => (Array.isArray(value) ? value : [value]).map(String);

/** A policy that another one makes superfluous. Only what is certain: an exact answer for sets of boxes is the analyser's. */
const lintShadowed = ({ policies }: BundleDraft, warn: Warn): void => {
  if (policies.length > comparedPoliciesMax) return;
  for (const source of policies) {
    const by = policies.find(
      (other) =>
        other !== source &&
        shadows(other.policy, source.policy) &&
        !(shadows(source.policy, other.policy) && source.policy.id < other.policy.id),
    );
    if (by === undefined) continue;
    const isTwin = shadows(source.policy, by.policy);
    warn(
      source,
      "/policy",
      isTwin
        ? `${source.policy.id} says the same as ${by.policy.id}`
        : `${source.policy.id} never changes anything: ${by.policy.id} covers it`,
      "remove it, or narrow the other one",
    );
  }
};

const strictness = { restrict: 0, require_approval: 1, deny: 2 } as const;

const shadows = (wide: Policy, narrow: Policy): boolean => {
  if (wide.shadow || narrow.shadow || !isImpliedBy(narrow, wide)) return false;
  if (wide.kind === "permit" && narrow.kind === "permit") {
    const sameTarget = wide.do.target === narrow.do.target || wide.do.target === narrow.do.target.split(".").at(-1);
    return sameTarget && wide.do.action === narrow.do.action && wide.do.ttl_seconds <= narrow.do.ttl_seconds;
  }
  if (wide.kind !== "guard" || narrow.kind !== "guard" || wide.limit !== undefined) return false;
  if (wide.then === "deny") return true;
  if (strictness[wide.then] < strictness[narrow.then]) return false;
  const sameApproval =
    JSON.stringify(wide.approval) === JSON.stringify(narrow.approval) || narrow.approval === undefined;
  const ttlCovered =
    narrow.ttl_max_seconds === undefined ||
    (wide.ttl_max_seconds !== undefined && wide.ttl_max_seconds <= narrow.ttl_max_seconds);
  return sameApproval && ttlCovered;
};
