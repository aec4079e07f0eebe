import { actionNames, actions } from "@reflex/protocol/action";
import type { Bundle, NeverTouch } from "@reflex/protocol/bundle";
import type { Detection } from "@reflex/protocol/detection";
import type { Entity } from "@reflex/protocol/entity";
import type { Condition, Guard, Permit, Policy } from "@reflex/protocol/policy";
import type { AssetFacts, Context } from "@reflex/protocol/token";

/**
 * What a decision means, written the slow and obvious way: loops over policies as they are written, strings and BigInts,
 * nothing shared with the engine. The engine must agree with this on everything it decides.
 */
export type ReferenceInput = {
  readonly bundle: Bundle;
  readonly detection: Detection;
  readonly context: Omit<Context, "limits">;
  readonly used: Readonly<Record<string, number>>;
  readonly site: string;
  readonly confidence: number;
  readonly score: number;
};
export type ReferenceCandidate = {
  readonly action: string;
  readonly target: string;
  readonly verdict: string;
  readonly code: string | undefined;
  readonly permits: readonly string[];
  readonly guards: readonly string[];
  readonly ttl: number;
  readonly limits: readonly string[];
};
export type ReferenceDecision = {
  readonly verdict: string;
  readonly code: string | undefined;
  readonly candidates: readonly ReferenceCandidate[];
};

type Truth = "yes" | "no" | "unknown";

export const decideByReference = (input: ReferenceInput): ReferenceDecision => {
  const { bundle, detection, context } = input;
  const targets = detection.entities.filter(({ role }) => role !== "observer");
  const policies = [...bundle.policies].sort((a, b) => (a.id < b.id ? -1 : 1));

  // What is granted: every permit, on every entity its selector means.
  const grants = targets.flatMap((target) =>
    policies
      .filter((policy): policy is Permit => policy.kind === "permit")
      .filter(({ do: { action } }) => (actions[action].targets as readonly string[]).includes(target.type))
      .filter(
        ({ do: { target: selector } }) => selector === target.type || selector === `${target.role}.${target.type}`,
      )
      .filter((permit) => matches(permit, input, target, permit.do.action))
      .map((permit) => ({ target, permit })),
  );
  const keyOf = (entity: Entity): string => `${entity.type}|${entity.value}`;
  const things = [...new Set(targets.map(keyOf))];
  const drafts = things.flatMap((thing) =>
    actionNames.flatMap((action) => {
      const mine = grants.filter(({ target, permit }) => keyOf(target) === thing && permit.do.action === action);
      const [first] = mine;
      if (first === undefined) return [];
      const permits = policies.filter((policy): policy is Permit => mine.some(({ permit }) => permit === policy));
      return [{ action, thing, target: first.target, permits, enforced: permits.some(({ shadow }) => !shadow) }];
    }),
  );

  const counted: { readonly key: string; readonly thing: string }[] = [];
  const candidates = drafts.map((draft): ReferenceCandidate => {
    const asset = context.assets.find(({ entity }) => entity === draft.thing);
    const route = bundle.routing.find(
      ({ action, sites }) => action === draft.action && (sites === undefined || sites.includes(input.site)),
    );
    const touched = neverTouches(bundle.never_touch, draft.target, asset);
    const unresolved = ["host", "user"].includes(draft.target.type) && (asset?.matches ?? 0) > 1;
    const guards = policies
      .filter((policy): policy is Guard => policy.kind === "guard")
      .filter((guard) =>
        targets.some((target) => keyOf(target) === draft.thing && matches(guard, input, target, draft.action)),
      );

    const limits: string[] = [];
    let isDenied = "";
    let isAsked = "";
    const told = guards.map((guard) => {
      if (guard.shadow) return `${guard.id}:${guard.then}:shadow`;
      let code = guard.then === "deny" ? "forbidden" : guard.then === "require_approval" ? "approval-required" : "";
      let effect: string = guard.then;
      if (guard.limit !== undefined) {
        const { per, count, max } = guard.limit;
        const group = {
          agent: "agent",
          fleet: "fleet",
          site: input.site,
          target: draft.thing,
          connector: route?.connector,
          subnet: asset?.subnet,
          asset_class: asset?.matches === 1 ? asset.class : undefined,
        }[per];
        let state = "unknown";
        if (group !== undefined) {
          const key = `${guard.id}|${group}`;
          limits.push(key);
          const counts = draft.enforced && !unresolved && touched !== "hit";
          const before = counts ? counted.filter((grant) => grant.key === key).map(({ thing }) => thing) : [];
          if (counts) counted.push({ key, thing: draft.thing });
          const granted = count === "actions" ? before.length + 1 : new Set([...before, draft.thing]).size;
          const population =
            per === "subnet" ? asset?.subnet_hosts : per === "asset_class" ? asset?.class_members : undefined;
          const bounds = [
            max,
            ...(guard.limit.max_percent === undefined
              ? []
              : [population === undefined ? Number.NaN : percentOf(guard.limit.max_percent, population)]),
          ].filter((bound) => bound !== undefined);
          const used = input.used[key];
          if (used !== undefined && bounds.length > 0 && !bounds.some(Number.isNaN))
            state = used + granted > Math.min(...bounds) ? "exceeded" : "within";
        }
        if (state === "within") [code, effect] = ["", "restrict"];
        else if (code !== "") code = `limit-${state}`;
      }
      if (code !== "" && guard.then === "deny") isDenied = earlier(isDenied, code);
      if (code !== "" && guard.then === "require_approval") isAsked = earlier(isAsked, code);
      return `${guard.id}:${effect}:${code}`;
    });

    const contradicted =
      draft.enforced &&
      drafts.some(
        (other) =>
          other.enforced &&
          other.thing === draft.thing &&
          (actions[draft.action].excludes as readonly string[]).includes(other.action),
      );
    const [verdict, code] = ((): [string, string?] => {
      if (touched === "hit") return ["refuse", "never-touch"];
      if (unresolved) return ["refuse", "target-unresolved"];
      if (isDenied !== "") return ["refuse", isDenied];
      if (context.killed) return ["observe", "kill-engaged"];
      if (context.mode === "observe" || !draft.enforced) return ["observe", "shadow"];
      if (contradicted) return ["ask", "contradiction"];
      if (touched === "doubt") return ["ask", "never-touch"];
      if (route === undefined) return ["ask", "connector-unknown"];
      if (context.connectors !== undefined && !context.connectors.includes(route.connector))
        return ["ask", "connector-unknown"];
      if (isAsked !== "") return ["ask", isAsked];
      if (!context.lease_valid) return ["ask", "lease-lapsed"];
      if (!context.circuit_closed) return ["ask", "circuit-open"];
      return context.mode === "approve" ? ["ask", "approval-required"] : ["act"];
    })();
    const granting = draft.permits.filter(({ shadow }) => !shadow || !draft.enforced);
    const ttls = [
      ...granting.map((permit) => permit.do.ttl_seconds),
      ...guards.flatMap((guard) => (guard.shadow ? [] : (guard.ttl_max_seconds ?? []))),
    ];
    return {
      action: draft.action,
      target: draft.thing,
      verdict,
      code,
      permits: draft.permits.map(({ id, shadow }) => (shadow ? `${id}:shadow` : id)),
      guards: told,
      ttl: Math.min(...ttls),
      limits,
    };
  });
  for (const verdict of ["act", "ask", "observe", "refuse"]) {
    const decisive = candidates.find((candidate) => candidate.verdict === verdict);
    if (decisive !== undefined) return { verdict, code: decisive.code, candidates };
  }
  return { verdict: "hold", code: "no-permit", candidates };
};

const codes = ["forbidden", "approval-required", "limit-exceeded", "limit-unknown"];
const earlier = (a: string, b: string): string => (a !== "" && codes.indexOf(a) < codes.indexOf(b) ? a : b);
const percentOf = (percent: number, population: number): number =>
  Number((BigInt(Math.round(percent * 1_000)) * BigInt(population)) / 100_000n);

/** All of `match`, and none of the `unless` blocks; what is unknown counts for a guard and against a permit. */
const matches = (policy: Policy, input: ReferenceInput, target: Entity, action: string): boolean => {
  const truth = (condition: Condition): Truth => truthOf(condition, input, target, action);
  const counts = (value: Truth): boolean => value === "yes" || (value === "unknown" && policy.kind === "guard");
  const excuses = (value: Truth): boolean => value === "yes" || (value === "unknown" && policy.kind === "permit");
  return (
    policy.match.every((condition) => counts(truth(condition))) &&
    !policy.unless.some((block) => block.every((condition) => excuses(truth(condition))))
  );
};

const factOf = (
  field: string,
  { detection, context, site, confidence, score }: ReferenceInput,
  target: Entity,
  action: string,
): unknown => {
  const asset = (key: string | undefined): AssetFacts | undefined =>
    context.assets.find(({ entity }) => entity === key);
  const known = (facts: AssetFacts | undefined): AssetFacts | undefined => (facts?.matches === 1 ? facts : undefined);
  const ofHost = (host: string | undefined) => known(asset(`address|${host}`) ?? asset(`host|${host}`));
  const mine = asset(`${target.type}|${target.value}`);
  const facts: Record<string, unknown> = {
    confidence,
    score,
    site,
    action,
    confidence_origin: detection.confidence_origin,
    severity: detection.severity,
    tags: detection.tags,
    recommended_action: detection.recommended_action,
    policy_scope: detection.policy_scope,
    "rule.id": detection.rule.id,
    "rule.name": detection.rule.name,
    "rule.origin": detection.rule.origin,
    "source.kind": detection.source.kind,
    "source.domain": detection.source.domain,
    "source.sensor": detection.source.sensor,
    agreement: context.agreement,
    src_host: detection.src_host,
    dst_host: detection.dst_host,
    "src.net": rangeOf(detection.src_host, false),
    "dst.net": rangeOf(detection.dst_host, false),
    "src.class": ofHost(detection.src_host)?.class,
    "dst.class": ofHost(detection.dst_host)?.class,
    "dst.criticality": ofHost(detection.dst_host)?.criticality,
    "target.type": target.type,
    "target.role": target.role,
    "target.value": target.value,
    "target.net":
      target.type === "address" || target.type === "network"
        ? rangeOf(target.value, target.type === "network")
        : undefined,
    "asset.class": known(mine)?.class,
    "asset.criticality": known(mine)?.criticality,
    "asset.owner": known(mine)?.owner,
    "asset.groups": known(mine)?.groups,
    "asset.exposure": mine?.exposure,
    "asset.subnet": mine?.subnet,
    "asset.known": mine?.matches === 1,
  };
  if (!(field in facts)) throw new Error(`the reference does not know ${field}`);
  return facts[field];
};

const orders: readonly (readonly string[])[] = [
  ["low", "medium", "high", "critical"],
  ["internal", "dmz", "external"],
];
const rank = (value: unknown): number => {
  if (typeof value === "number") return value;
  return Math.max(...orders.map((order) => order.indexOf(String(value))));
};

const truthOf = ({ field, op, value }: Condition, input: ReferenceInput, target: Entity, action: string): Truth => {
  const fact = factOf(field, input, target, action);
  const answer = (holds: boolean): Truth => (holds ? "yes" : "no");
  const values = (Array.isArray(value) ? value : [value]).flatMap((one): unknown[] =>
    typeof one === "string" && one.startsWith("$") ? (input.bundle.lists[one.slice(1)] ?? []) : [one],
  );
  if (op === "present") return answer((fact !== undefined) === value);
  if (fact === undefined) return "unknown";
  switch (op) {
    case "in":
      return answer(values.includes(fact));
    case "not_in":
      return answer(!values.includes(fact));
    case "gt":
      return answer(rank(fact) > rank(values[0]));
    case "gte":
      return answer(rank(fact) >= rank(values[0]));
    case "lt":
      return answer(rank(fact) < rank(values[0]));
    case "lte":
      return answer(rank(fact) <= rank(values[0]));
    case "has_any":
      return answer((fact as string[]).some((word) => values.includes(word)));
    case "has_all":
      return answer(values.every((word) => (fact as string[]).includes(String(word))));
    case "in_cidr":
      return answer(values.some((cidr) => within(fact as Range, rangeOf(String(cidr), true))));
    case "overlaps":
      return answer(values.some((cidr) => meets(fact as Range, rangeOf(String(cidr), true))));
    case "outside":
      return answer(!values.some((cidr) => meets(fact as Range, rangeOf(String(cidr), true))));
  }
};

// ---- addresses, as text of bits

type Range = { readonly family: number; readonly first: bigint; readonly last: bigint };

const rangeOf = (text: string | undefined, isNetworkAllowed: boolean): Range | undefined => {
  const [address = "", prefix] = (text ?? "").split("/");
  if (prefix !== undefined && !isNetworkAllowed) return undefined;
  const family = /^\d+\.\d+\.\d+\.\d+$/.test(address) ? 4 : address.includes(":") ? 6 : 0;
  if (family === 0) return undefined;
  const parts = family === 4 ? address.split(".").map(BigInt) : expand(address).map((group) => BigInt(`0x${group}`));
  const size = family === 4 ? 8n : 16n;
  const width = family === 4 ? 32n : 128n;
  const bits = parts.reduce((sum, part) => (sum << size) | part, 0n);
  const free = width - BigInt(prefix ?? width);
  const first = (bits >> free) << free;
  return { family, first, last: first + (1n << free) - 1n };
};

const expand = (text: string): string[] => {
  const [head = "", tail] = text.split("::");
  const left = head.split(":").filter((group) => group !== "");
  const right = (tail ?? "").split(":").filter((group) => group !== "");
  return tail === undefined
    ? left
    : [...left, ...new Array<string>(8 - left.length - right.length).fill("0"), ...right];
};

const within = (inner: Range, outer: Range | undefined): boolean =>
  outer?.family === inner.family && outer.first <= inner.first && inner.last <= outer.last;
const meets = (a: Range, b: Range | undefined): boolean =>
  b?.family === a.family && a.first <= b.last && b.first <= a.last;

// ---- never touch

const neverTouches = (
  list: readonly NeverTouch[],
  target: Entity,
  asset: AssetFacts | undefined,
): "hit" | "doubt" | undefined => {
  const names = [{ type: target.type, value: target.value }, ...(asset?.also ?? [])];
  const isCovered = ({ type, value }: NeverTouch): boolean => {
    const listed = value.toLowerCase();
    switch (type) {
      case "address":
      case "network":
        return names.some((name) => {
          const range = rangeOf(name.value, true);
          return range !== undefined && meets(range, rangeOf(value, true));
        });
      case "host":
        return names.some((name) => name.type === "host" && sameHost(name.value.toLowerCase(), listed));
      case "user":
        return names.some((name) => name.type === "user" && name.value.toLowerCase() === listed);
      case "domain":
        return names.some((name) => {
          const one = name.value.toLowerCase();
          if (name.type === "domain") return one === listed || one.endsWith(`.${listed}`) || listed.endsWith(`.${one}`);
          return name.type === "host" && one.includes(".") && (one === listed || one.endsWith(`.${listed}`));
        });
      case "class":
        return asset?.class?.toLowerCase() === listed;
      case "group":
        return (asset?.groups ?? []).some((group) => group.toLowerCase() === listed);
    }
  };
  if (list.some(isCovered)) return "hit";
  const names1 = (type: string): boolean => list.some((entry) => entry.type === type);
  if (asset === undefined || asset.matches === 0) return undefined;
  if (asset.matches > 1) return names1("class") || names1("group") ? "hit" : undefined;
  if (target.type === "user") return asset.groups === undefined && names1("group") ? "doubt" : undefined;
  return asset.class === undefined && names1("class") ? "doubt" : undefined;
};

const sameHost = (a: string, b: string): boolean =>
  a === b || ((!a.includes(".") || !b.includes(".")) && a.split(".")[0] === b.split(".")[0]);
