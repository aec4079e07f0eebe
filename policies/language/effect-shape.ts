import { actionNames, actions, isActionName } from "@reflex/protocol/action";
import { type EntityType, entityRoles, entityTypes } from "@reflex/protocol/entity";
import { ttlSecondsMax, ttlSecondsMin } from "@reflex/protocol/limits";
import type { Limit } from "@reflex/protocol/policy";
import type { Problems } from "./policy-error.ts";
import { parsePercent, percentPattern } from "./quantities.ts";
import type { Located } from "./read-yaml.ts";
import { block, duration, integer, name, type Shape, scalarOf, text } from "./shape.ts";
import { listed, writeInstead } from "./suggest.ts";

const week = 7 * 24 * 3_600;

export const actionHints: Readonly<Record<string, string>> = {
  block: 'write "block_ip", "block_range" or "block_domain"',
  ban: 'write "block_ip"',
  isolate: 'write "isolate_host"',
  contain: 'write "isolate_host"',
  quarantine: 'write "quarantine_file", or "isolate_host" for a whole host',
  delete_file: 'write "quarantine_file": what cannot be undone is not an action',
  wipe_host: 'write "isolate_host": what cannot be undone is not an action',
  kill_process: 'write "suspend_process": what cannot be undone is not an action',
  delete_user: 'write "disable_user": what cannot be undone is not an action',
  lock_account: 'write "suspend_account"',
};

export const targetPattern = `^((${entityRoles.filter((role) => role !== "observer").join("|")})\\.)?(${entityTypes.join("|")})$`;

const targetRoles = entityRoles.filter((role) => role !== "observer");

/** `<role>.<type>` or `<type>`: names entities of the detection. */
export const targetSelector: Shape<string> = {
  schema: { type: "string", pattern: targetPattern },
  read: (node, problems) => {
    const scalar = scalarOf(node, problems, "a target such as attacker.address");
    if (scalar === undefined) return undefined;
    const parts = scalar.text.split(".");
    const type = parts.at(-1) ?? "";
    const role = parts.length > 1 ? parts[0] : undefined;
    if (parts.length > 2) {
      return problems.report(
        scalar.at,
        `${JSON.stringify(scalar.text)} is not a target`,
        "write role.type or type, such as attacker.address",
      );
    }
    if (role === "observer") {
      return problems.report(
        scalar.at,
        "the observer is the sensor and never a target",
        "write another role, such as attacker or victim",
      );
    }
    if (!entityTypes.some((known) => known === type)) {
      const hint = { ip: "address", cidr: "network", range: "network", hash: "file", account: "user", pid: "process" }[
        type
      ];
      const fix = hint === undefined ? writeInstead(type, entityTypes) : `write "${hint}"`;
      return problems.report(scalar.at, `"${type}" is not a type of entity`, fix);
    }
    if (role !== undefined && !targetRoles.some((known) => known === role)) {
      return problems.report(scalar.at, `"${role}" is not a role of an entity`, writeInstead(role, targetRoles));
    }
    return scalar.text;
  },
};

const grantKeys = {
  action: {
    shape: name("an action", actionNames, actionHints),
    about: `what is done: ${actionNames.join(", ")}`,
    missing: "write action: block_ip",
  },
  target: {
    shape: targetSelector,
    about: "which entity of the detection, as role.type or type: attacker.address, victim.host, user",
    missing: "write target: attacker.address",
  },
  ttl: {
    shape: duration("a ttl", ttlSecondsMin, ttlSecondsMax),
    about: "how long it stays in force; it is undone then (10s to 30d)",
    missing: "write ttl: 1h; everything is undone at some time",
  },
} as const;

export type Grant = {
  readonly action: (typeof actionNames)[number];
  readonly target: string;
  readonly ttl_seconds: number;
};

const grantBlock = block("do", grantKeys, {
  duration: 'write "ttl"',
  expires: 'write "ttl"',
  connector: "connectors are chosen in routing.yaml",
  on: 'write "target"',
});

/** `do:` of a permit. */
export const grant: Shape<Grant> = {
  schema: grantBlock.schema,
  read: (node, problems) => {
    if (node.kind === "list") {
      return problems.report(
        node.at,
        "a permit grants one action",
        "write one `do` block, and a second policy for the other action",
      );
    }
    if (node.kind === "scalar") {
      const action = isActionName(node.text) ? node.text : "block_ip";
      return problems.report(
        node.at,
        "do must say action, target and ttl",
        `write do: { action: ${action}, target: attacker.address, ttl: 1h }`,
      );
    }
    const { action, target, ttl } = grantBlock.read(node, problems) ?? {};
    if (action === undefined || target === undefined || ttl === undefined) return undefined;
    const types: readonly EntityType[] = actions[action].targets;
    const type = target.split(".").at(-1) ?? "";
    if (!types.some((known) => known === type)) {
      const at = node.entries.find(({ key }) => key === "target")?.value.at ?? node.at;
      const role = target.includes(".") ? `${target.split(".")[0]}.` : "";
      return problems.report(
        at,
        `${action} acts on ${listed(types)}, not on ${type}`,
        `write target: ${role}${types[0]}`,
      );
    }
    return { action, target, ttl_seconds: ttl };
  },
};

const populations = ["subnet", "asset_class"] as const;
export const limitCountMax = 100_000;

type Most = { readonly max?: number; readonly max_percent?: number };

/** `20`, `5%` or `[20, 5%]` (both hold). */
const most: Shape<Most> = {
  schema: {
    anyOf: [
      { type: "integer", minimum: 0, maximum: limitCountMax },
      { type: "string", pattern: percentPattern },
      {
        type: "array",
        minItems: 2,
        maxItems: 2,
        items: {
          anyOf: [
            { type: "integer", minimum: 0, maximum: limitCountMax },
            { type: "string", pattern: percentPattern },
          ],
        },
      },
    ],
  },
  read: (node, problems) => {
    if (node.kind !== "list") return readMost(node, problems);
    const parts = node.items.map((item) => readMost(item, problems));
    if (parts.some((part) => part === undefined)) return undefined;
    const joined: Most = Object.assign({}, ...parts);
    if (parts.length === 2 && Object.keys(joined).length === 2) return joined;
    return problems.report(node.at, "a list here is one number and one percent", "write max: [20, 5%], or one of them");
  },
};

const readMost = (node: Located, problems: Problems): Most | undefined => {
  const scalar = scalarOf(node, problems, "a number or percent");
  if (scalar === undefined) return undefined;
  const { value, text: written } = scalar;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= limitCountMax)
    return { max: value };
  const percent = parsePercent(written);
  if (percent !== undefined) return { max_percent: percent };
  const fix =
    typeof value === "number" && value > 0 && value < 1
      ? `write ${Number((value * 100).toFixed(3))}%`
      : "write a whole number such as 20, or a percent such as 5%";
  return problems.report(scalar.at, `${JSON.stringify(written)} is not a number or percent`, fix);
};

const limitKeys = {
  count: {
    shape: name("what is counted", ["actions", "targets"] as const, {
      action: 'write "actions"',
      hosts: 'write "targets"',
      users: 'write "targets"',
    }),
    about: "actions: every action counts; targets: a target counts once",
    missing: "write count: targets, or count: actions",
  },
  per: {
    shape: name("a group", ["agent", "site", "fleet", "subnet", "asset_class", "connector", "target"] as const, {
      org: 'write "fleet"',
      global: 'write "fleet"',
      class: 'write "asset_class"',
      host: 'write "target"',
      user: 'write "target"',
    }),
    about: "each group has its own count",
    missing: "write per: site",
  },
  max: {
    shape: most,
    about: "a number, a percent of the group's population, or [number, percent]; percents round down",
    missing: "write max: 20, or max: 5%",
  },
  window: {
    shape: duration("a window", 1, week),
    about: "over the last so much time (1s to 7d)",
    missing: "write window: 60m",
  },
} as const;

const limitBlock = block("limit", limitKeys, {
  within: 'write "window"',
  rate: 'write "max" and "window"',
  duration: 'write "window"',
});

export const limit: Shape<Limit> = {
  schema: limitBlock.schema,
  read: (node, problems) => {
    const { count, per, max, window } = limitBlock.read(node, problems) ?? {};
    if (count === undefined || per === undefined || max === undefined || window === undefined) return undefined;
    if (max.max_percent !== undefined && !populations.some((known) => known === per)) {
      const at = node.kind === "map" ? (node.entries.find(({ key }) => key === "max")?.value.at ?? node.at) : node.at;
      return problems.report(
        at,
        `a percent needs a population, and "per: ${per}" has none`,
        "write a number, or per: subnet or per: asset_class",
      );
    }
    return { count, per, ...max, window_seconds: window };
  },
};

const approvalKeys = {
  from: {
    shape: text({ expected: "a role such as analyst or soc-lead", lengthMax: 64 }),
    about: "role whose consent is needed (default analyst)",
  },
  quorum: { shape: integer("a quorum", 1, 5), about: "how many different people (default 1)" },
  expires: { shape: duration("an expiry", 60, week), about: "how long the question stays open (default 30m)" },
  on_timeout: {
    shape: name("an answer to silence", ["deny"] as const, {
      allow: 'write "deny": silence is never consent',
      approve: 'write "deny": silence is never consent',
    }),
    about: "silence is never consent",
  },
} as const;

export const approval = block("approval", approvalKeys, {
  role: 'write "from"',
  timeout: 'write "expires"',
  approvers: 'write "quorum"',
});

export const approvalDefaults = { from: "analyst", quorum: 1, expires: 30 * 60, on_timeout: "deny" } as const;
export const ttlMax = duration("a ttl_max", ttlSecondsMin, ttlSecondsMax);
