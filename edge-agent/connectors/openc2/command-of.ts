import { hash } from "node:crypto";
import type { ActionName } from "@reflex/protocol/action";
import type { Entity } from "@reflex/protocol/entity";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { readBlockDomain, readBlockTarget } from "../block-target.ts";
import type { ConnectorCall } from "../contract.ts";
import type { OpenC2Command } from "./message.ts";

/**
 * Packet filter: the profile `pf` 1.0 or its forerunner `slpf` 1.0 (addresses only).
 * Endpoint: the profile `er` (Endpoint Response).
 */
export type Profiles = {
  readonly filter?: FilterProfile;
  readonly endpoint?: EndpointProfile;
};
export type FilterProfile = {
  readonly profile: "pf" | "slpf";
  readonly dropProcess?: "none" | "reject" | "false_ack";
  readonly direction?: "both" | "ingress" | "egress";
  /** The consumer ends the rule by itself (argument `duration`); otherwise only our own undo does. */
  readonly nativeTtl?: boolean;
  /** Rule numbers that are ours alone at this consumer. */
  readonly ruleNumbers?: { readonly from: number; readonly to: number };
  /** Which of several packet filters behind one consumer, e.g. `{ asset_id: "fw-1" }`. */
  readonly specifiers?: Readonly<Record<string, string>>;
};
export type EndpointProfile = {
  readonly containment?: "network_isolation" | "disable_nic";
  /** What a host that is cut off may still reach: the EDR's own servers, ours. */
  readonly permitted?: {
    readonly domain_name?: readonly string[];
    readonly ipv4_net?: readonly string[];
    readonly ipv6_net?: readonly string[];
  };
  /** On which endpoints files are quarantined; without it this connector does not quarantine files. */
  readonly deviceGroups?: readonly string[];
};

/** A command to put in force, and what takes it back, asks for it and names it at the far end. */
export type Commands = {
  readonly apply: OpenC2Command;
  readonly undo: OpenC2Command;
  /** Absent: the profile has no way to ask. */
  readonly query?: OpenC2Command;
  readonly ruleNumber?: number;
};

/** So wide that two targets never share a number; the profile sets no upper bound. */
const rulesOfOurs = { from: 2 ** 32, to: Number.MAX_SAFE_INTEGER } as const;

export const actionsOf = ({ filter, endpoint }: Profiles): readonly ActionName[] => [
  ...(filter === undefined ? [] : (["block_ip", "block_range"] as const)),
  // SLPF knows no domain names.
  ...(filter?.profile === "pf" ? (["block_domain"] as const) : []),
  ...(endpoint === undefined ? [] : (["isolate_host"] as const)),
  ...(endpoint?.deviceGroups === undefined ? [] : (["quarantine_file"] as const)),
];

/** `producer` is part of each rule number, so that two agents behind one consumer keep out of each other's rules. */
export const commandsOf = (profiles: Profiles, producer: string, call: ConnectorCall): Result<Commands, Refusal> => {
  if (!actionsOf(profiles).includes(call.action))
    return err(refusal("connector-unknown", `this consumer is not configured to ${call.action}`));
  const { filter, endpoint } = profiles;
  switch (call.action) {
    case "block_ip":
    case "block_range":
    case "block_domain": {
      const target = filterTarget(call.action, call.target);
      return target.ok && filter !== undefined
        ? ok(filterCommands(filter, producer, call, target.value))
        : asRefusal(target);
    }
    case "isolate_host": {
      const target = deviceTarget(call.target);
      return target.ok && endpoint !== undefined ? ok(deviceCommands(endpoint, call, target.value)) : asRefusal(target);
    }
    case "quarantine_file": {
      const target = fileTarget(call.target);
      return target.ok && endpoint !== undefined ? ok(fileCommands(endpoint, call, target.value)) : asRefusal(target);
    }
    default:
      return err(refusal("connector-unknown", `OpenC2 has no way to ${call.action}`));
  }
};

type Target = Readonly<Record<string, unknown>>;
const asRefusal = (target: Result<Target, Refusal>): Result<never, Refusal> =>
  target.ok ? err(refusal("connector-unknown", "the profile is not configured")) : target;

const filterTarget = (action: ActionName, entity: Entity): Result<Target, Refusal> => {
  if (action === "block_domain") {
    const name = readBlockDomain(entity);
    return name.ok ? ok({ domain_name: name.value }) : name;
  }
  if ((action === "block_range") !== (entity.type === "network"))
    return err(refusal("target-unresolved", `${action} is not for a ${entity.type}`));
  const read = readBlockTarget(entity);
  if (!read.ok) return read;
  const { text, family, prefixBits } = read.value;
  const net = text.includes("/") ? text : `${text}/${prefixBits}`;
  return ok(family === 4 ? { ipv4_net: net } : { ipv6_net: net });
};

/**
 * We choose the rule number (argument `insert_rule`), from what the rule is about: a second try finds it taken instead of making a
 * second rule, and undo knows which one to delete without having heard the answer. Deleting it restores exactly what was before;
 * `allow` would leave a rule that lets through what nothing let through before.
 */
const filterCommands = (filter: FilterProfile, producer: string, call: ConnectorCall, target: Target): Commands => {
  const { profile, ruleNumbers = rulesOfOurs, specifiers } = filter;
  const ruleNumber = ruleNumberOf(ruleNumbers, [
    producer,
    profile,
    JSON.stringify(specifiers ?? {}),
    JSON.stringify(target),
  ]);
  const actuator = { [profile]: specifiers ?? {} };
  const rule = { [`${profile}:rule_number`]: ruleNumber };
  return {
    ruleNumber,
    apply: {
      action: "deny",
      target,
      args: {
        response_requested: "complete",
        ...(filter.nativeTtl === true ? { duration: Math.max(1, call.ttlSeconds) * 1_000 } : {}),
        [profile]: {
          insert_rule: ruleNumber,
          drop_process: filter.dropProcess ?? "none",
          ...directionOf(filter),
        },
      },
      actuator,
      command_id: commandIdOf("apply", call.idempotencyKey),
    },
    undo: {
      action: "delete",
      target: rule,
      args: { response_requested: "complete" },
      actuator,
      command_id: commandIdOf("undo", call.idempotencyKey),
    },
    query: { action: "query", target: rule, args: { response_requested: "complete" }, actuator },
  };
};

/** Left out, `slpf` means both ways and `pf` incoming packets only. */
const directionOf = ({ profile, direction = "both" }: FilterProfile): Target =>
  profile === "slpf" && direction === "both" ? {} : { direction };

const ruleNumberOf = ({ from, to }: { from: number; to: number }, parts: readonly string[]): number =>
  from + Number(BigInt(`0x${hash("sha256", parts.join("\n"), "hex").slice(0, 16)}`) % BigInt(to - from + 1));

const hostname = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;

const deviceTarget = (entity: Entity): Result<Target, Refusal> => {
  if (entity.type !== "host") return err(refusal("target-unresolved", `a ${entity.type} cannot be isolated`));
  return hostname.test(entity.value)
    ? ok({ device: { hostname: entity.value.toLowerCase() } })
    : err(refusal("entity-malformed", "not a host name"));
};

const deviceCommands = (endpoint: EndpointProfile, call: ConnectorCall, target: Target): Commands => ({
  apply: {
    action: "contain",
    target,
    args: {
      response_requested: "complete",
      er: {
        device_containment: endpoint.containment ?? "network_isolation",
        ...(endpoint.permitted === undefined ? {} : { permitted_addresses: endpoint.permitted }),
      },
    },
    actuator: { er: {} },
    command_id: commandIdOf("apply", call.idempotencyKey),
  },
  undo: {
    action: "allow",
    target,
    args: { response_requested: "complete" },
    actuator: { er: {} },
    command_id: commandIdOf("undo", call.idempotencyKey),
  },
});

const fileTarget = (entity: Entity): Result<Target, Refusal> =>
  entity.type === "file" && /^[0-9a-f]{64}$/i.test(entity.value)
    ? ok({ file: { hashes: { sha256: entity.value.toLowerCase() } } })
    : err(refusal("entity-malformed", "not a file's SHA-256"));

const fileCommands = (endpoint: EndpointProfile, call: ConnectorCall, target: Target): Commands => {
  const args = {
    response_requested: "complete",
    er: { downstream_device: { device_groups: endpoint.deviceGroups ?? [] } },
  };
  const actuator = { er: {} };
  return {
    apply: { action: "contain", target, args, actuator, command_id: commandIdOf("apply", call.idempotencyKey) },
    undo: { action: "allow", target, args, actuator, command_id: commandIdOf("undo", call.idempotencyKey) },
  };
};

/** 36 characters at most, so the key's digest is cut to the shape of a UUID. */
export const commandIdOf = (verb: "apply" | "undo", idempotencyKey: string): string => {
  const digest = hash("sha256", `${verb} ${idempotencyKey}`, "hex");
  return [
    digest.slice(0, 8),
    digest.slice(8, 12),
    digest.slice(12, 16),
    digest.slice(16, 20),
    digest.slice(20, 32),
  ].join("-");
};
