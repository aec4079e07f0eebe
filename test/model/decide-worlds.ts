import { type Bundle, defaultSettings } from "@reflex/protocol/bundle";
import type { Detection } from "@reflex/protocol/detection";
import type { Entity } from "@reflex/protocol/entity";
import type { Condition, Guard, Permit, Policy } from "@reflex/protocol/policy";
import type { AssetFacts, Context } from "@reflex/protocol/token";
import { emptyWeights, type Weights } from "@reflex/protocol/weights";
import fc from "fast-check";

/** Small vocabularies, so that drawn policies and drawn detections often meet. */
const tags = ["t1", "t2", "t3", "t4"];
const hosts = ["web1", "db1", "web1.corp.example", "dc1"];
const v4 = ["10.0.0.5", "10.0.1.7", "192.0.2.1", "203.0.113.9", "255.255.255.255", "0.0.0.0"];
const v6 = ["2001:db8::1", "2001:db8:1::5", "fe80::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
const networks = [
  "10.0.0.0/8",
  "10.0.0.0/24",
  "0.0.0.0/0",
  "203.0.113.9/32",
  "192.0.2.0/25",
  "2001:db8::/32",
  "2001:db8::/64",
  "::/0",
  "fe80::1",
  "128.0.0.0/1",
];
const users = ["alice", "bob"];
const domains = ["example.com", "www.example.com", "bad.example"];
const classes = ["server", "laptop", "domain_controller"];
const groups = ["g1", "g2", "admins"];
const severities = ["low", "medium", "high", "critical"] as const;
const exposures = ["internal", "dmz", "external"] as const;
const actions = [
  "block_ip",
  "allow_ip",
  "block_range",
  "isolate_host",
  "release_host",
  "disable_user",
  "block_domain",
  "notify",
] as const;
const roles = ["source", "destination", "attacker", "victim", "actor", "target", "observer"] as const;
export const lists = {
  nets: ["10.0.0.0/24", "2001:db8::/32"],
  words: ["server", "t1", "web1", "g1"],
  none: [] as string[],
};

const some = <T>(values: readonly T[]) => fc.subarray([...values], { minLength: 1 });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const one = <T>(values: readonly T[]) => fc.constantFrom(...values);

const word = (field: string, values: readonly string[]) =>
  fc.record({
    field: fc.constant(field),
    op: one(["in", "not_in"] as const),
    value: fc.oneof(some(values), one(values), one(["$words", "$none"])),
  });
const words = (field: string, values: readonly string[]) =>
  fc.record({
    field: fc.constant(field),
    op: one(["has_any", "has_all"] as const),
    value: fc.oneof(some([...values, "$words"]), one(values), fc.constant("$none")),
  });
const ordinal = (field: string, values: readonly string[]) =>
  fc.oneof(
    fc.record({ field: fc.constant(field), op: one(["in", "not_in"] as const), value: some(values) }),
    fc.record({ field: fc.constant(field), op: one(["gt", "gte", "lt", "lte"] as const), value: one(values) }),
  );
const decimal = (field: string) =>
  fc.record({
    field: fc.constant(field),
    op: one(["gt", "gte", "lt", "lte"] as const),
    value: one([0, 0.3, 0.5, 0.7, 0.85, 1]),
  });
const net = (field: string) =>
  fc.record({
    field: fc.constant(field),
    op: one(["in_cidr", "outside", "overlaps"] as const),
    value: fc.oneof(some(networks), one(networks), one(["$nets", "$none"])),
  });
const present = fc.record({
  field: one([
    "src.net",
    "policy_scope",
    "asset.class",
    "asset.criticality",
    "tags",
    "target.net",
    "asset.groups",
    "confidence",
  ]),
  op: fc.constant("present" as const),
  value: fc.boolean(),
});

const conditionOf: readonly fc.Arbitrary<Condition>[] = [
  decimal("confidence"),
  decimal("score"),
  ordinal("severity", severities),
  words("tags", tags),
  words("agreement", ["network", "host"]),
  word("recommended_action", actions),
  word("policy_scope", ["a", "b"]),
  word("rule.id", ["1", "2"]),
  word("rule.origin", ["known_ioc", "anomaly"]),
  word("source.kind", ["native", "suricata"]),
  word("source.sensor", ["s1"]),
  word("src_host", [...v4, ...hosts]),
  word("dst_host", [...v6, ...hosts]),
  net("src.net"),
  net("dst.net"),
  word("src.class", classes),
  word("dst.class", classes),
  ordinal("dst.criticality", severities),
  word("site", ["hq", "lab"]),
  word("action", actions),
  word("target.type", ["address", "host", "user"]),
  word("target.role", roles),
  word("target.value", [...v4, ...hosts, ...users]),
  net("target.net"),
  word("asset.class", classes),
  ordinal("asset.criticality", severities),
  word("asset.owner", ["o1"]),
  words("asset.groups", groups),
  ordinal("asset.exposure", exposures),
  word("asset.subnet", ["n1", "n2"]),
  fc.record({
    field: fc.constant("asset.known"),
    op: fc.constant("in" as const),
    value: fc.oneof(fc.boolean(), fc.constant([true, false] as boolean[])),
  }),
  present,
];
const condition = fc.oneof(...conditionOf);
const common = {
  why: fc.constant("because"),
  match: fc.array(condition, { maxLength: 3 }),
  unless: fc.array(fc.array(condition, { minLength: 1, maxLength: 2 }), { maxLength: 2 }),
  shadow: fc.boolean().map((shadow) => shadow),
};
const rarely = fc.integer({ min: 0, max: 5 }).map((roll) => roll === 0);

const selector = one([
  "address",
  "attacker.address",
  "source.address",
  "network",
  "host",
  "victim.host",
  "user",
  "actor.user",
  "domain",
]);
export const permitWithout = fc
  .record({
    ...common,
    shadow: rarely,
    do: fc.record({ action: one(actions), target: selector, ttl_seconds: one([60, 600, 3_600]) }),
  })
  .map((permit) => ({ ...permit, kind: "permit" as const, layer: "action" as const }));

const limit = fc
  .record({
    count: one(["actions", "targets"] as const),
    per: one(["agent", "site", "fleet", "subnet", "asset_class", "connector", "target"] as const),
    max: maybe(one([0, 1, 3])),
    max_percent: maybe(one([0, 5, 33.3, 100])),
    window_seconds: fc.constant(3_600),
  })
  .map(({ max, max_percent, ...rest }) => ({
    ...rest,
    ...(max !== undefined && { max }),
    ...(max_percent !== undefined && { max_percent }),
  }));
const approval = fc.record({
  from: one(["analyst", "lead"]),
  quorum: one([1, 2]),
  expires_seconds: one([600, 1_800]),
  on_timeout: fc.constant("deny" as const),
});
export const guardWithout = fc
  .record({
    ...common,
    shadow: rarely,
    layer: one(["global", "domain", "contextual"] as const),
    effect: one(["deny", "require_approval", "restrict"] as const),
    limit: maybe(limit),
    approval: maybe(approval),
    ttl: maybe(one([30, 300])),
  })
  .map(({ effect, limit: cap, approval: consent, ttl, ...rest }) => ({
    ...rest,
    kind: "guard" as const,
    // biome-ignore lint/suspicious/noThenProperty: the word of the policy language
    then: effect,
    ...(cap !== undefined && { limit: cap }),
    ...(consent !== undefined && { approval: consent }),
    ...(ttl !== undefined && { ttl_max_seconds: ttl }),
  }));

export const policySet = (max: { readonly permits: number; readonly guards: number }): fc.Arbitrary<Policy[]> =>
  fc
    .tuple(
      fc.array(permitWithout, { maxLength: max.permits, size: "max" }),
      fc.array(guardWithout, { maxLength: max.guards, size: "max" }),
    )
    .map(([permits, guards]) => [
      ...permits.map((permit, index): Permit => ({ id: `action/p${index}`, ...permit })),
      ...guards.map((guard, index): Guard => ({ id: `${guard.layer}/g${index}`, ...guard })),
    ]);

const entity: fc.Arbitrary<Entity> = fc
  .tuple(
    fc.oneof(
      one([...v4, ...v6]).map((value) => ({ type: "address" as const, value })),
      one(networks.filter((text) => text.includes("/"))).map((value) => ({ type: "network" as const, value })),
      one(hosts).map((value) => ({ type: "host" as const, value })),
      one(users).map((value) => ({ type: "user" as const, value })),
      one(domains).map((value) => ({ type: "domain" as const, value })),
    ),
    maybe(one(roles)),
  )
  .map(([thing, role]) => (role === undefined ? thing : { ...thing, role }));

const withoutUndefined = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as T;

export const detection: fc.Arbitrary<Detection> = fc
  .record({
    event_id: fc.constant("e1"),
    timestamp: fc.constant("2026-01-31T12:00:00.000Z"),
    confidence: one([0, 0.3, 0.5, 0.65, 0.85, 0.95, 1]),
    confidence_origin: one(["vendor", "learned", "mapped", "default"] as const),
    severity: one(severities),
    src_host: maybe(one([...v4, ...v6, ...hosts])),
    dst_host: maybe(one([...v4, ...v6, ...hosts])),
    tags: fc.subarray(tags),
    recommended_action: maybe(one(actions)),
    policy_scope: maybe(one(["a", "b", "c"])),
    entities: fc.array(entity, { maxLength: 4 }),
    rule: fc.record({ id: one(["1", "2"]), name: fc.constant("rule"), origin: one(["known_ioc", "anomaly"]) }),
    source: fc
      .record({
        kind: one(["native", "suricata"]),
        domain: one(["network", "host"] as const),
        sensor: maybe(one(["s1", "s2"])),
      })
      .map(withoutUndefined),
    enrichment: fc.constant({}),
  })
  .map((value) => withoutUndefined(value) as Detection);

const asset = (key: string): fc.Arbitrary<AssetFacts> =>
  fc
    .record({
      entity: fc.constant(key),
      matches: one([0, 1, 1, 1, 2]),
      class: maybe(one(classes)),
      class_members: maybe(one([0, 3, 40])),
      criticality: maybe(one(severities)),
      owner: maybe(one(["o1", "o2"])),
      groups: maybe(fc.subarray(groups)),
      exposure: maybe(one(exposures)),
      subnet: maybe(one(["n1", "n2"])),
      subnet_hosts: maybe(one([3, 20, 300])),
      also: maybe(
        fc.array(
          fc.oneof(
            one(hosts).map((value) => ({ type: "host" as const, value })),
            one(v4).map((value) => ({ type: "address" as const, value })),
          ),
          { maxLength: 2 },
        ),
      ),
    })
    .map((facts) => withoutUndefined(facts) as AssetFacts)
    // What several things share is not told as if it were one.
    .map((facts) =>
      facts.matches === 1
        ? facts
        : (withoutUndefined({
            entity: facts.entity,
            matches: facts.matches,
            also: facts.also,
            exposure: facts.exposure,
            subnet: facts.subnet,
            subnet_hosts: facts.subnet_hosts,
          }) as AssetFacts),
    );

export type World = {
  readonly detection: Detection;
  readonly context: Omit<Context, "limits">;
  readonly used: Record<string, number>;
  readonly site: string;
};

/** A detection and everything around it; counters exist for some limit groups and are unknown for others. */
export const world: fc.Arbitrary<World> = detection.chain((drawn) => {
  const keys = new Set(drawn.entities.map(({ type, value }) => `${type}|${value}`));
  for (const host of [drawn.src_host, drawn.dst_host])
    if (host !== undefined) keys.add(/^[\d.]+$|:/.test(host) ? `address|${host}` : `host|${host}`);
  return fc.record({
    detection: fc.constant(drawn),
    site: one(["hq", "lab"]),
    used: fc.dictionary(
      fc
        .tuple(
          one(["global", "domain", "contextual"]),
          fc.integer({ min: 0, max: 5 }),
          one(["agent", "fleet", "hq", "lab", "n1", "n2", "edr", "fw", "server", "laptop"]),
        )
        .map(([layer, index, group]) => `${layer}/g${index}|${group}`),
      one([0, 1, 2, 3]),
      { maxKeys: 60, size: "max" },
    ),
    context: fc.record({
      received_at: fc.constant("2026-01-31T12:00:01.000Z"),
      mode: one(["enforce", "enforce", "enforce", "approve", "observe"] as const),
      killed: rarely,
      lease_valid: rarely.map((not) => !not),
      circuit_closed: rarely.map((not) => !not),
      assets: fc.tuple(...[...keys].map(asset)),
      history: fc.record({ detections: one([0, 2.5]), distinct_rules: one([0, 1]), actions: fc.constant(0) }),
      agreement: fc.subarray(["network", "host", "identity"] as ("network" | "host" | "identity")[]),
      prior: fc.record({ confirmed: one([0, 3]), failed: one([0, 1]), overridden: one([0, 2]) }),
      leases: fc.constant([]),
    }),
  });
});

export const neverTouch = fc.array(
  fc.oneof(
    one(v4).map((value) => ({ type: "address" as const, value, why: "because" })),
    one(["10.0.0.0/24", "2001:db8::/64", "192.0.2.0/25"]).map((value) => ({
      type: "network" as const,
      value,
      why: "because",
    })),
    one(hosts).map((value) => ({ type: "host" as const, value, why: "because" })),
    one(["ALICE", "root"]).map((value) => ({ type: "user" as const, value, why: "because" })),
    one(["example.com", "corp.example"]).map((value) => ({ type: "domain" as const, value, why: "because" })),
    one(["domain_controller"]).map((value) => ({ type: "class" as const, value, why: "because" })),
    one(["admins"]).map((value) => ({ type: "group" as const, value, why: "because" })),
  ),
  { maxLength: 2 },
);

const routing: Bundle["routing"] = [
  { action: "block_ip", connector: "fw", sites: ["hq"] },
  { action: "block_range", connector: "fw" },
  { action: "allow_ip", connector: "fw" },
  { action: "isolate_host", connector: "edr" },
  { action: "release_host", connector: "edr" },
  { action: "disable_user", connector: "idp" },
  { action: "block_domain", connector: "dns", sites: ["lab"] },
];

export const bundleOf = (policies: readonly Policy[], never_touch: Bundle["never_touch"] = []): Bundle => ({
  v: 1,
  kind: "bundle",
  aud: { org: "acme", sites: ["*"] },
  version: 1,
  issued_at: "2026-01-01T00:00:00.000Z",
  engine: "reflex/1",
  changelog: "",
  policies: [...policies],
  cases: [],
  lists,
  inventory: { assets: [], users: [], subnets: [] },
  never_touch,
  routing,
  settings: defaultSettings,
});

export const weights: Weights = {
  ...emptyWeights("acme"),
  cells: { hq: { k: 30, n: 40, m: 5 }, "hq|native|1": { k: 20, n: 21, m: 4 } },
};
