import { type Bundle, defaultSettings } from "@reflex/protocol/bundle";
import type { Candidate, Decision } from "@reflex/protocol/decision";
import type { Detection } from "@reflex/protocol/detection";
import type { Entity } from "@reflex/protocol/entity";
import { newDecisionId } from "@reflex/protocol/ids";
import type { Guard, Permit, Policy } from "@reflex/protocol/policy";
import { type Context, firstPrevious } from "@reflex/protocol/token";
import { emptyWeights } from "@reflex/protocol/weights";
import { type CompiledBundle, compileBundle } from "./compile.ts";
import { decide } from "./decide.ts";
import { gatherAssets } from "./facts.ts";
import { cutSlice } from "./slice.ts";
import { type Sha256Hex, sealToken } from "./token.ts";

// A small organisation to decide in: one office, one web server, two machines under one name. Tests vary what they are about.

export const permit = (
  id: string,
  action: Permit["do"]["action"],
  target: string,
  more: Partial<Permit> = {},
): Permit => ({
  id: `action/${id}`,
  layer: "action",
  kind: "permit",
  why: "because",
  match: [],
  unless: [],
  shadow: false,
  do: { action, target, ttl_seconds: 3_600 },
  ...more,
});
export const guard = (id: string, effect: Guard["then"], more: Partial<Guard> = {}): Guard => ({
  id: `domain/${id}`,
  layer: "domain",
  kind: "guard",
  why: "because",
  match: [],
  unless: [],
  shadow: false,
  then: effect,
  ...more,
});
export const blockAttacker = permit("block", "block_ip", "attacker.address");
export const isolate = permit("isolate", "isolate_host", "host");
export const attacker: Entity = { type: "address", value: "203.0.113.9", role: "attacker" };
export const host = (value: string): Entity => ({ type: "host", value, role: "victim" });

export const detectionOf = (entities: Entity[], more: Partial<Detection> = {}): Detection => ({
  event_id: "e1",
  timestamp: "2026-01-31T12:00:00.000Z",
  confidence: 0.95,
  confidence_origin: "vendor",
  severity: "high",
  tags: ["t1"],
  entities,
  rule: { id: "r1", name: "rule", origin: "known_ioc" },
  source: { kind: "suricata", domain: "network" },
  enrichment: {},
  ...more,
});

export type World = {
  readonly policies: Policy[];
  readonly entities?: Entity[];
  readonly bundle?: Partial<Bundle>;
  readonly detection?: Partial<Detection>;
  readonly context?: Partial<Context>;
  readonly used?: (key: string) => number | undefined;
};
export const bundleOf = ({ policies, bundle }: World): Bundle => ({
  v: 1,
  kind: "bundle",
  aud: { org: "acme", sites: ["*"] },
  version: 1,
  issued_at: "2026-01-01T00:00:00.000Z",
  engine: "reflex/1",
  changelog: "",
  policies,
  cases: [],
  lists: {},
  inventory: {
    assets: [
      { name: "web1", hosts: ["web1.corp.example"], addresses: ["10.1.0.5", "2001:db8::5"], class: "server" },
      { name: "twin-a", hosts: ["twin"], addresses: ["10.1.0.6"], class: "server" },
      { name: "twin-b", hosts: ["TWIN"], addresses: [], class: "server" },
    ],
    users: [],
    subnets: [
      { name: "office", cidr: "10.1.0.0/24", hosts: 19 },
      { name: "all", cidr: "10.0.0.0/8" },
    ],
  },
  never_touch: [],
  routing: [
    { action: "block_ip", connector: "fw" },
    { action: "block_range", connector: "fw" },
    { action: "allow_ip", connector: "fw" },
    { action: "isolate_host", connector: "edr" },
    { action: "block_domain", connector: "dns" },
  ],
  settings: defaultSettings,
  ...bundle,
});
export const compiledOf = (world: World): CompiledBundle => {
  const compiled = compileBundle(bundleOf(world), emptyWeights("acme"));
  if (!compiled.ok) throw new Error(compiled.error.detail);
  return compiled.value;
};
const nowMs = Date.UTC(2026, 0, 31, 12, 0, 1);
/** Decides and seals; the hash is handed in, as everywhere in this package. */
export const run = (world: World, sha256Hex: Sha256Hex) => {
  const compiled = compiledOf(world);
  const detection = detectionOf(world.entities ?? [attacker], world.detection);
  const { limits: _, ...context }: Context = {
    received_at: "2026-01-31T12:00:01.000Z",
    mode: "enforce",
    killed: false,
    lease_valid: true,
    circuit_closed: true,
    assets: gatherAssets(compiled, detection),
    history: { detections: 0, distinct_rules: 0, actions: 0 },
    agreement: ["network"],
    prior: { confirmed: 0, failed: 0, overridden: 0 },
    limits: {},
    leases: [],
    ...world.context,
  };
  const result = decide({
    detection,
    context,
    limits: { used: world.used ?? (() => 0) },
    compiled,
    site: "hq",
    nowMs,
    decisionId: newDecisionId(Date.UTC(2024, 0, 1), new Uint8Array(10)),
  });
  const { token, json } = sealToken(
    {
      header: {
        org: "acme",
        site: "hq",
        agent: "a1",
        sequence: 1,
        decided_at: new Date(nowMs).toISOString(),
        bundle: { version: 1, hash: "a".repeat(64) },
        weights: { version: 0, hash: "b".repeat(64) },
      },
      detection,
      context: { ...context, limits: result.limitsRead },
      slice: cutSlice(compiled, result.matched, detection, context.assets),
      decision: result.decision,
      previous: firstPrevious,
    },
    sha256Hex,
  );
  return { decision: result.decision, token, json };
};
export const decideIn = (world: World): Decision => run(world, () => firstPrevious).decision;
export const outcome = ({ verdict, code, exception }: Decision) => [verdict, code, exception];
export const verdicts = ({ candidates }: Decision) =>
  candidates.map(({ verdict, code }: Candidate) => (code === undefined ? verdict : `${verdict} ${code}`));
