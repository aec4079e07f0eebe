import { createHash } from "node:crypto";
import type { Bundle, NeverTouch } from "@reflex/protocol/bundle";
import type { Guard, Permit, Policy } from "@reflex/protocol/policy";
import type { BlobPointer } from "@reflex/protocol/sync";
import type { Weights } from "@reflex/protocol/weights";
import type { Dice } from "./dice.ts";
import { bytesOf, type Key, keys, self, signed, startMs } from "./keys.ts";

/** Most block_ip commands within the window, and most hosts of a subnet; the same in every version, so that one count judges a whole run. */
export const capOfBlocks = { max: 6, windowSeconds: 600 } as const;
export const capOfHosts = { max: 2, windowSeconds: 900 } as const;
export const leaseSeconds = 600;

/** Never touched under any version. */
export const alwaysUntouchable: readonly NeverTouch[] = [
  { type: "address", value: "203.0.113.7", why: "our own gateway" },
  { type: "network", value: "198.51.100.0/28", why: "partners" },
  { type: "host", value: "dc-01", why: "a domain controller" },
  { type: "user", value: "break-glass", why: "the last way in" },
];
export const untouchableTargets: readonly string[] = [
  "address|203.0.113.7",
  "address|198.51.100.5",
  "host|dc-01",
  "user|break-glass",
];

export type Blob = { readonly bytes: Uint8Array; readonly pointer: BlobPointer };
export type Release = Blob & {
  readonly version: number;
  /** Of the signed payload: what tokens name. */
  readonly payloadHash: string;
  /** entityKeys that this version adds to the untouchable. */
  readonly untouchable: readonly string[];
};

const hashOf = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");
export const blobOf = (version: number, envelope: unknown): Blob => {
  const bytes = bytesOf(envelope);
  return { bytes, pointer: { version, hash: hashOf(bytes), bytes: bytes.length } };
};

const permit = (id: string, match: Permit["match"], act: Permit["do"]): Permit => ({
  kind: "permit",
  id: `action/${id}`,
  layer: "action",
  why: id,
  match,
  unless: [],
  shadow: false,
  do: act,
});
const guard = (
  id: string,
  match: Guard["match"],
  effect: Guard["then"],
  rest: Partial<Pick<Guard, "limit">> = {},
): Guard => ({
  kind: "guard",
  id: `global/${id}`,
  layer: "global",
  why: id,
  match,
  unless: [],
  shadow: false,
  // biome-ignore lint/suspicious/noThenProperty: the word of the policy language
  then: effect,
  ...rest,
});

const policiesOf = (dice: Dice): Policy[] => [
  permit(
    "block-known-ioc",
    [
      { field: "confidence", op: "gt", value: 0.85 },
      { field: "rule.origin", op: "in", value: "known_ioc" },
    ],
    { action: "block_ip", target: "attacker.address", ttl_seconds: dice.pick([10, 30, 60, 240, 600]) },
  ),
  permit("block-domain", [{ field: "tags", op: "has_any", value: "c2" }], {
    action: "block_domain",
    target: "domain",
    ttl_seconds: dice.pick([20, 90, 400]),
  }),
  permit(
    "isolate-lateral",
    [
      { field: "score", op: "gt", value: 0.6 },
      { field: "tags", op: "has_any", value: "lateral" },
    ],
    { action: "isolate_host", target: "victim.host", ttl_seconds: dice.pick([15, 120, 500]) },
  ),
  permit("disable-stolen", [{ field: "tags", op: "has_any", value: "stolen" }], {
    action: "disable_user",
    target: "victim.user",
    ttl_seconds: dice.pick([30, 300]),
  }),
  // Asking where the cap is reached is as good as refusing: neither acts.
  guard("cap-of-blocks", [{ field: "action", op: "in", value: "block_ip" }], dice.pick(["deny", "require_approval"]), {
    limit: { count: "actions", per: "agent", max: capOfBlocks.max, window_seconds: capOfBlocks.windowSeconds },
  }),
  guard("cap-of-hosts", [{ field: "action", op: "in", value: "isolate_host" }], "deny", {
    limit: { count: "targets", per: "subnet", max_percent: 10, window_seconds: capOfHosts.windowSeconds },
  }),
  guard(
    "low-severity-spares-users",
    [
      { field: "action", op: "in", value: "disable_user" },
      { field: "severity", op: "in", value: "low" },
    ],
    "deny",
  ),
];

const payloadOf = (version: number, dice: Dice, more: readonly NeverTouch[]): Bundle => ({
  v: 1,
  kind: "bundle",
  aud: { org: self.org, sites: dice.chance(0.5) ? [self.site] : ["*"] },
  version,
  issued_at: new Date(startMs).toISOString(),
  engine: "reflex/1",
  changelog: `version ${version}`,
  policies: policiesOf(dice).sort((a, b) => (a.id < b.id ? -1 : 1)),
  cases: [],
  lists: {},
  inventory: {
    assets: Array.from({ length: 20 }, (_, index) => ({
      name: `ws-${index + 1}`,
      hosts: [`ws-${index + 1}`],
      addresses: [`10.1.0.${index + 1}`],
      class: "workstation",
    })),
    users: [],
    subnets: [{ name: "office", cidr: "10.1.0.0/24", hosts: capOfHosts.max * 10 }],
  },
  never_touch: [...alwaysUntouchable, ...more],
  routing: [
    { action: "block_ip", connector: "firewall" },
    { action: "block_domain", connector: "dns" },
    { action: "isolate_host", connector: "edr" },
    { action: "disable_user", connector: "directory" },
  ],
  settings: {
    freshness_seconds: 1_800,
    lease_seconds: leaseSeconds,
    actions_per_minute_max: dice.pick([5, 30, 60]),
    history_seconds: 600,
    mode: dice.chance(0.9) ? "enforce" : dice.pick(["approve", "observe"]),
  },
});

const releaseOf = (payload: Bundle, by: readonly Key[], untouchable: readonly string[]): Release => ({
  ...blobOf(payload.version, signed("bundle", payload, by)),
  version: payload.version,
  payloadHash: hashOf(JSON.stringify(payload)),
  untouchable,
});

/** What two people signed for this site. */
export const makeRelease = (version: number, dice: Dice): Release => {
  const spared = dice.chance(0.5) ? [`203.0.113.${dice.between(1, 6)}`] : [];
  const more = spared.map((value) => ({ type: "address" as const, value, why: "for now" }));
  const by = [dice.pick([keys.release[0], keys.release[1] ?? keys.release[0]]), keys.release[2] ?? keys.release[0]];
  return releaseOf(
    payloadOf(version, dice, more),
    by,
    spared.map((value) => `address|${value}`),
  );
};

/** Rule origin that only a bundle nobody should accept has a permit for. */
export const poison = "poison";
const poisoned = (payload: Bundle): Bundle => ({
  ...payload,
  never_touch: [],
  policies: [
    permit("poison", [{ field: "rule.origin", op: "in", value: poison }], {
      action: "block_ip",
      target: "attacker.address",
      ttl_seconds: 60,
    }),
  ],
});

/** Bundles that must never become active, each wrong in one way. */
export const makeFalseRelease = (version: number, dice: Dice): { readonly why: string; readonly blob: Blob } => {
  const payload = poisoned(payloadOf(version, dice, []));
  const [one, two, three] = [keys.release[0], keys.release[1] ?? keys.release[0], keys.release[2] ?? keys.release[0]];
  const why = dice.pick([
    "one key",
    "one key twice",
    "strangers",
    "weights key",
    "changed after signing",
    "other site",
    "other engine",
    "failing case",
  ]);
  const by: Record<typeof why, () => unknown> = {
    "one key": () => signed("bundle", payload, [one]),
    "one key twice": () => signed("bundle", payload, [two, two]),
    strangers: () => signed("bundle", payload, keys.stranger),
    "weights key": () => signed("bundle", payload, [keys.weights[0], keys.head[0]]),
    "changed after signing": () => ({
      ...signed("bundle", payloadOf(version, dice, []), [one, two]),
      payload: Buffer.from(JSON.stringify(payload)).toString("base64"),
    }),
    "other site": () => signed("bundle", { ...payload, aud: { org: self.org, sites: ["munich"] } }, [one, three]),
    "other engine": () => signed("bundle", { ...payload, engine: "reflex/2" }, [one, three]),
    "failing case": () => signed("bundle", { ...payload, cases: [failingCase] }, [two, three]),
  };
  return { why, blob: blobOf(version, by[why]()) };
};

const failingCase: Bundle["cases"][number] = {
  policy: "action/poison",
  name: "holds, it says",
  detection: {
    event_id: "case",
    timestamp: new Date(startMs).toISOString(),
    confidence: 0.99,
    confidence_origin: "vendor",
    severity: "high",
    tags: [],
    entities: [{ type: "address", value: "203.0.113.1", role: "attacker" }],
    rule: { id: "1", name: "", origin: poison },
    source: { kind: "native", domain: "network" },
    enrichment: {},
  },
  expect: { verdict: "hold" },
};

/** Learned confidence that moves a little, or (refused) jumps. */
export const makeWeights = (version: number, dice: Dice): Blob => {
  const isJump = dice.chance(0.2);
  const weights: Weights = {
    v: 1,
    kind: "weights",
    aud: { org: self.org, sites: ["*"] },
    version,
    issued_at: new Date(startMs).toISOString(),
    prior_strength: 5,
    cells: { [self.site]: isJump ? { k: 9_000, n: 9_000, m: 0 } : { k: dice.between(10, 14), n: 16, m: 5 } },
  };
  return blobOf(version, signed("weights", weights, keys.weights));
};
