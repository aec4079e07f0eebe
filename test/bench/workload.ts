import type { ActionName } from "@reflex/protocol/action";
import { type Detection, severities } from "@reflex/protocol/detection";
import type { Entity, EntityRole, EntityType } from "@reflex/protocol/entity";
import { uuidV7 } from "@reflex/protocol/ids";
import type { Condition, Layer, Policy } from "@reflex/protocol/policy";
import { createDice, type Dice } from "./random.ts";

/** One detection with the one fact about it that is not in it: the inventory class of its destination. */
export type WorkItem = { readonly detection: Detection; readonly dstClass: string };
export type Workload = { readonly policies: readonly Policy[]; readonly items: readonly WorkItem[] };

export const detectionsInStream = 10_000;
export const defaultSeed = 20_260_131;

/**
 * Policies and detections of the benchmark. The stream does not depend on the number of policies, and the first 100 of
 * 10 000 policies are the 100 policies, so rows of different size are about the same world.
 */
export const createWorkload = (
  policyCount: number,
  seed = defaultSeed,
  detectionCount = detectionsInStream,
): Workload => {
  const policyDice = createDice(seed);
  const detectionDice = createDice(seed + 1);
  return {
    policies: Array.from({ length: policyCount }, (_, index) => createPolicy(policyDice, index)),
    items: Array.from({ length: detectionCount }, (_, index) => createItem(detectionDice, index)),
  };
};

/** The eight recommended actions, the entity each is about and the part it plays. */
const recommended = [
  { action: "block_ip", role: "source", type: "address" },
  { action: "isolate_host", role: "destination", type: "host" },
  { action: "disable_user", role: "actor", type: "user" },
  { action: "suspend_account", role: "actor", type: "user" },
  { action: "block_domain", role: "target", type: "domain" },
  { action: "quarantine_file", role: "target", type: "file" },
  { action: "suspend_process", role: "target", type: "process" },
  { action: "notify", role: "destination", type: "host" },
] as const satisfies readonly { action: ActionName; role: EntityRole; type: EntityType }[];
type Recommended = (typeof recommended)[number];

export const recommendedActions: readonly ActionName[] = recommended.map(({ action }) => action);
export const assetClasses = [
  "server", "workstation", "executive_laptop", "domain_controller", "database", "web_server", "mail_server", "printer",
  "plc", "hmi", "camera", "phone", "kiosk", "build_agent", "jump_host", "hypervisor",
] as const; // biome-ignore format: a list reads better than a column
const tagCount = 600;
const originCount = 60;
const sensorCount = 60;
const ruleCount = 400;

const tagOf = (index: number): string => `attack.t${1000 + index}`;
const originOf = (index: number): string => (index === 0 ? "known_ioc" : `ruleset_${index}`);
const sensorOf = (index: number): string => `sensor-${index}`;

const ruleIdOf = (index: number): string => String(2_000_000 + index);
export const ruleIds: readonly string[] = Array.from({ length: ruleCount }, (_, index) => ruleIdOf(index));

// ---- policies

/** Share of the policies that have a condition on the field; the sum is the mean number of conditions. */
const conditionMakers: readonly {
  readonly share: number;
  readonly make: (dice: Dice, about: Recommended) => Condition;
}[] = [
  { share: 0.9, make: (_, about) => ({ field: "recommended_action", op: "in", value: about.action }) },
  {
    share: 0.65,
    make: (dice) => ({ field: "confidence", op: dice.chance(0.85) ? "gte" : "lt", value: (50 + dice.below(49)) / 100 }),
  },
  { share: 0.3, make: (dice) => ({ field: "severity", op: "gte", value: severities[1 + dice.below(3)] ?? "high" }) },
  { share: 0.4, make: (dice) => ({ field: "tags", op: "has_any", value: tagOf(dice.skewed(tagCount)) }) },
  { share: 0.3, make: (dice) => ({ field: "src.net", op: "in_cidr", value: createCidr(dice) }) },
  { share: 0.35, make: (dice) => ({ field: "dst.class", op: "in", value: createClasses(dice) }) },
  { share: 0.45, make: (dice) => ({ field: "rule.origin", op: "in", value: originOf(dice.skewed(originCount)) }) },
  {
    share: 0.25,
    make: (dice) => ({
      field: "source.sensor",
      op: dice.chance(0.7) ? "in" : "not_in",
      value: sensorOf(dice.skewed(sensorCount)),
    }),
  },
];

const createPolicy = (dice: Dice, index: number): Policy => {
  const about = recommended[dice.skewed(recommended.length)] ?? recommended[0];
  const match = createMatch(dice, about);
  const layer = layerOf(dice, index);
  const number = String(index).padStart(5, "0");
  const named = {
    id: `${layer}/p-${number}`,
    layer,
    why: `Benchmark policy ${number}.`,
    match,
    unless: [],
    shadow: false,
  };
  if (layer === "action") {
    return {
      ...named,
      kind: "permit",
      do: { action: about.action, target: `${about.role}.${about.type}`, ttl_seconds: 3_600 },
    };
  }
  // Global guards are caps, as real ones are; whether they match does not depend on the cap.
  // biome-ignore lint/suspicious/noThenProperty: the word of the policy language
  if (layer === "global") return { ...named, kind: "guard", then: "deny", limit: subnetLimit };
  const thens = ["deny", "require_approval", "restrict"] as const;
  const effect = thens[dice.below(thens.length)] ?? "deny";
  // biome-ignore lint/suspicious/noThenProperty: the word of the policy language
  const guard = { ...named, kind: "guard" as const, then: effect };
  if (effect === "restrict") return { ...guard, ttl_max_seconds: 600 + 60 * dice.below(60) };
  if (effect === "deny") return guard;
  return { ...guard, approval: { from: "analyst", quorum: 1, expires_seconds: 1_800, on_timeout: "deny" } };
};

const subnetLimit = { count: "targets", per: "subnet", max_percent: 5, window_seconds: 3_600 } as const;

const createMatch = (dice: Dice, about: Recommended): Condition[] => {
  const made = conditionMakers.map(({ share, make }) => ({
    isChosen: dice.chance(share),
    condition: make(dice, about),
  }));
  const fallback = dice.chance(0.5) ? "tags" : "rule.origin";
  const isNarrowed = made.some(({ isChosen, condition }) => isChosen && isNarrow(condition));
  return made
    .filter(({ isChosen, condition }) => isChosen || (!isNarrowed && condition.field === fallback))
    .map(({ condition }) => condition);
};

/** A policy that only says how sure and how bad catches everything: a mistake in any real set, so each has one of these. */
const isNarrow = ({ field, op }: Condition): boolean =>
  op !== "not_in" && ["tags", "src.net", "rule.origin", "source.sensor"].includes(field);

/** 2 % global (20 at most), 18 % domain, 30 % contextual, 50 % action. */
const layerOf = (dice: Dice, index: number): Layer => {
  const roll = dice.next();
  if (index % 50 === 7 && index < 1_000) return "global";
  if (roll < 0.2) return "domain";
  return roll < 0.5 ? "contextual" : "action";
};

const createClasses = (dice: Dice): string | string[] => {
  if (dice.chance(0.6)) return classOf(dice);
  return [...new Set([classOf(dice), classOf(dice), classOf(dice)])];
};
const classOf = (dice: Dice): string => assetClasses[dice.skewed(assetClasses.length)] ?? assetClasses[0];

const createCidr = (dice: Dice): string => {
  const bits = 12 + dice.below(17);
  const mask = (0xffff_ffff << (32 - bits)) >>> 0;
  return `${addressText((createAddress(dice) & mask) >>> 0)}/${bits}`;
};

/** Most traffic comes from a few busy networks of ours, the rest from anywhere. */
const createAddress = (dice: Dice): number => {
  if (dice.chance(0.3)) return (dice.below(223 - 11) + 11) * 0x100_0000 + dice.below(0x100_0000);
  return 0x0a00_0000 + dice.skewed(256) * 0x1_0000 + dice.skewed(256) * 0x100 + dice.below(256);
};

const addressText = (address: number): string =>
  `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;

// ---- detections

const streamStartMs = Date.UTC(2026, 0, 31, 12);

const createItem = (dice: Dice, index: number): WorkItem => {
  const about = recommended[dice.skewed(recommended.length)] ?? recommended[0];
  const classIndex = dice.skewed(assetClasses.length);
  const dstClass = assetClasses[classIndex] ?? assetClasses[0];
  const src = addressText(createAddress(dice));
  const dst = hostOf(classIndex, dice.below(hostsPerClass));
  const ruleNumber = dice.skewed(ruleCount);
  const tags = [...new Set(Array.from({ length: 1 + dice.below(3) }, () => tagOf(dice.skewed(tagCount))))];
  const random = Uint8Array.from({ length: 10 }, () => dice.below(256));
  const detection: Detection = {
    event_id: uuidV7(streamStartMs + index, random),
    timestamp: new Date(streamStartMs + index).toISOString(),
    confidence: (30 + dice.below(70)) / 100,
    confidence_origin: "vendor",
    severity: severities[dice.below(4)] ?? "high",
    src_host: src,
    dst_host: dst,
    tags,
    recommended_action: about.action,
    entities: createEntities(about, src, dst, dice.below(500)),
    rule: {
      id: ruleIdOf(ruleNumber),
      name: `Benchmark rule ${ruleNumber}`,
      origin: originOf(dice.skewed(originCount)),
    },
    source: { kind: "native", domain: "network", sensor: sensorOf(dice.skewed(sensorCount)) },
    enrichment: {},
  };
  return { detection, dstClass };
};

export const hostsPerClass = 64;
/** Destinations are named after their class, so that an inventory of them is easy to write down. */
export const hostOf = (classIndex: number, number: number): string =>
  `${(assetClasses[classIndex] ?? assetClasses[0]).replaceAll("_", "-")}-${number}`;

const createEntities = (about: Recommended, src: string, dst: string, number: number): Entity[] => {
  const always: Entity[] = [
    { type: "address", value: src, role: "source" },
    { type: "host", value: dst, role: "destination" },
  ];
  switch (about.type) {
    case "user":
      return [...always, { type: "user", value: `user${number}@corp.example`, role: about.role }];
    case "domain":
      return [...always, { type: "domain", value: `c${number}.bad.example`, role: about.role }];
    case "file":
      return [...always, { type: "file", value: number.toString(16).padStart(64, "0"), role: about.role }];
    case "process":
      return [...always, { type: "process", value: String(1_000 + number), role: about.role }];
    default:
      return always;
  }
};
