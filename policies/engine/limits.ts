import type { ActionName } from "@reflex/protocol/action";
import { type Entity, entityKey } from "@reflex/protocol/entity";
import type { Limit } from "@reflex/protocol/policy";
import type { AssetFacts } from "@reflex/protocol/token";
import { exactly } from "./field-facts.ts";

/** Use of a limit group so far, `<policy>|<group>`; undefined when the counter cannot be read. */
export type LimitReader = { readonly used: (key: string) => number | undefined };

/** What one candidate is counted as. */
export type LimitSubject = {
  readonly action: ActionName;
  readonly target: Entity;
  readonly asset: AssetFacts | undefined;
  readonly connector: string | undefined;
  readonly site: string;
};

export type LimitFinding = {
  /** Absent when the group itself is unknown: then there is nothing to count in. */
  readonly key?: string;
  readonly state: "within" | "exceeded" | "unknown";
  /** What was counted, for a person. */
  readonly detail: string;
};

/** Longer group names are cut and told apart by a hash: a key must fit its place in the token. */
const groupLengthMax = 120;

/**
 * Counts what is used, plus what this decision granted before, plus this one. Anything that cannot be counted fires.
 * Grants that a guard refused still count: otherwise adding a guard against one target could free the cap for another.
 */
export const checkLimit = (
  policyId: string,
  limit: Limit,
  subject: LimitSubject,
  tally: LimitTally,
  limits: LimitReader,
): LimitFinding => {
  const group = groupOf(limit.per, subject);
  if (group === undefined) return { state: "unknown", detail: `${limit.per} of ${subject.target.value} is unknown` };
  const key = `${policyId}|${group.length > groupLengthMax ? cut(group) : group}`;
  const max = maxOf(limit, subject.asset);
  const granted = tally.add(key, limit.count === "targets" ? entityKey(subject.target) : undefined);
  const used = limits.used(key);
  if (max === undefined) return { key, state: "unknown", detail: `population of ${limit.per} ${group} is unknown` };
  if (used === undefined) return { key, state: "unknown", detail: `counter of ${limit.per} ${group} is unknown` };
  const total = used + granted;
  const detail = `${total} of ${max} ${limit.count} per ${limit.per} ${group} in ${limit.window_seconds} s`;
  return { key, state: total > max ? "exceeded" : "within", detail };
};

/** What this decision has granted so far in each limit group. `add` returns the number including the one added. */
export type LimitTally = { readonly add: (key: string, target: string | undefined) => number };

export const createLimitTally = (): LimitTally => {
  let actionsByKey: Map<string, number> | undefined;
  let targetsByKey: Map<string, Set<string>> | undefined;
  return {
    add: (key, target) => {
      if (target === undefined) {
        actionsByKey ??= new Map();
        const count = (actionsByKey.get(key) ?? 0) + 1;
        actionsByKey.set(key, count);
        return count;
      }
      targetsByKey ??= new Map();
      const targets = targetsByKey.get(key) ?? new Set<string>();
      targetsByKey.set(key, targets.add(target));
      return targets.size;
    },
  };
};

/** The lower of the two forms; percent rounds down, so 5 % of 19 hosts is none. Undefined = unknown population. */
const maxOf = (limit: Limit, asset: AssetFacts | undefined): number | undefined => {
  if (limit.max_percent === undefined) return limit.max;
  const population = populationOf(limit.per, asset);
  if (population === undefined) return undefined;
  // In hundred-thousandths first: 0.07 * 100 is 7.000000000000001 in floating point, and must not become 8 nor 6.
  const share = Math.floor((Math.round(limit.max_percent * 1_000) * population) / 100_000);
  return limit.max === undefined ? share : Math.min(limit.max, share);
};

const populationOf = (per: Limit["per"], asset: AssetFacts | undefined): number | undefined => {
  if (per === "subnet") return asset?.subnet_hosts;
  if (per === "asset_class") return exactly(asset)?.class_members;
  return undefined;
};

const groupOf = (per: Limit["per"], subject: LimitSubject): string | undefined => {
  switch (per) {
    case "agent":
    case "fleet":
      return per;
    case "site":
      return subject.site;
    case "subnet":
      return subject.asset?.subnet;
    case "asset_class":
      return exactly(subject.asset)?.class;
    case "connector":
      return subject.connector;
    case "target":
      return entityKey(subject.target);
  }
};

/** FNV-1a, twice with different offsets: names apart, not a secret. */
const cut = (group: string): string =>
  `${group.slice(0, groupLengthMax)}#${fnv(group, 0x811c9dc5)}${fnv(group, 0x1234567)}`;
const fnv = (text: string, offset: number): string => {
  let hash = offset;
  for (let index = 0; index < text.length; index += 1)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, "0");
};
