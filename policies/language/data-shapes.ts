import { actionNames } from "@reflex/protocol/action";
import {
  type BundleSettings,
  criticalities,
  exposures,
  type InventoryAsset,
  type InventorySubnet,
  type InventoryUser,
  type NeverTouch,
  type Route,
} from "@reflex/protocol/bundle";
import { segmentPattern } from "@reflex/protocol/ids";
import {
  entityValueLengthMax,
  inventoryEntriesMax,
  listEntriesMax,
  neverTouchMax,
  reasonLengthMax,
} from "@reflex/protocol/limits";
import { readAddressText } from "./address-text.ts";
import { actionHints } from "./effect-shape.ts";
import { block, duration, integer, list, name, oneOrMany, type Shape, scalarOf, text } from "./shape.ts";

/** The files beside policies/: lists, inventory, never-touch, routing and settings. Missing keys stay missing: unknown is unknown. */
const word = (expected: string) => text({ expected, lengthMax: entityValueLengthMax });
const sentence = (expected: string) => text({ expected, lengthMax: reasonLengthMax });
const day = 24 * 3_600;

const address: Shape<string> = {
  schema: { type: "string" },
  read: (node, problems) => {
    const scalar = scalarOf(node, problems, "an address");
    if (scalar === undefined) return undefined;
    const found = readAddressText(scalar.text);
    if (found.kind === "legal" && found.prefix === undefined) return found.text;
    return problems.report(
      scalar.at,
      `${JSON.stringify(scalar.text)} is not one address`,
      "write an address such as 10.20.0.10; ranges are in subnets",
    );
  },
};

const range: Shape<string> = {
  schema: { type: "string" },
  read: (node, problems) => {
    const scalar = scalarOf(node, problems, "a range");
    if (scalar === undefined) return undefined;
    const found = readAddressText(scalar.text);
    if (found.kind === "legal" && found.prefix !== undefined) return found.text;
    const fix = found.kind === "host-bits" ? `write ${found.text}` : "write a range such as 10.20.0.0/24";
    return problems.report(scalar.at, `${JSON.stringify(scalar.text)} is not a range`, fix);
  },
};

const groups = oneOrMany(word("a group"), { what: "groups", maxItems: 64 });
const criticality = { shape: name("a criticality", criticalities), about: "low, medium, high or critical" };
const exposure = { shape: name("an exposure", exposures), about: "internal, dmz or external" };

const assetBlock = block(
  "an asset",
  {
    name: { shape: word("a name"), about: "what people call it", missing: "write name: dc01" },
    hosts: {
      shape: oneOrMany(word("a host name"), { what: "hosts", maxItems: 16 }),
      about: "host names it has; default: its name",
    },
    addresses: { shape: oneOrMany(address, { what: "addresses", maxItems: 64 }), about: "its addresses" },
    class: {
      shape: word("a class"),
      about: "what kind of thing it is: domain_controller, web_server, executive_laptop, …",
    },
    criticality,
    owner: { shape: word("an owner"), about: "who answers for it" },
    groups: { shape: groups, about: "groups it is in" },
    exposure,
  },
  {
    ip: 'write "addresses"',
    ips: 'write "addresses"',
    hostname: 'write "hosts"',
    type: 'write "class"',
    tags: 'write "groups"',
  },
);

const asset: Shape<InventoryAsset> = {
  schema: assetBlock.schema,
  read: (node, problems) => {
    const { name: assetName, hosts, addresses, ...rest } = assetBlock.read(node, problems) ?? {};
    if (assetName === undefined) return undefined;
    return { name: assetName, hosts: hosts ?? [assetName], addresses: addresses ?? [], ...rest };
  },
};

const userBlock = block("a user", {
  name: { shape: word("an account name"), about: "account name as detections write it", missing: "write name: alice" },
  class: { shape: word("a class"), about: "what kind of account it is: employee, executive, service_account, …" },
  criticality,
  groups: { shape: groups, about: "groups it is in" },
});
const user: Shape<InventoryUser> = {
  schema: userBlock.schema,
  read: (node, problems) => {
    const { name: userName, ...rest } = userBlock.read(node, problems) ?? {};
    return userName === undefined ? undefined : { name: userName, ...rest };
  },
};

const subnetBlock = block(
  "a subnet",
  {
    name: { shape: word("a name"), about: "name, as limits show it", missing: "write name: office" },
    cidr: { shape: range, about: "its range", missing: "write cidr: 10.20.0.0/24" },
    hosts: {
      shape: integer("a number of hosts", 0, 1e8),
      about: "population for percent limits; without it a percent limit always applies",
    },
    exposure,
  },
  { range: 'write "cidr"', network: 'write "cidr"', population: 'write "hosts"', size: 'write "hosts"' },
);
const subnet: Shape<InventorySubnet> = {
  schema: subnetBlock.schema,
  read: (node, problems) => {
    const { name: subnetName, cidr, ...rest } = subnetBlock.read(node, problems) ?? {};
    return subnetName === undefined || cidr === undefined ? undefined : { name: subnetName, cidr, ...rest };
  },
};

export const inventoryFile = block("the inventory", {
  assets: { shape: list(asset, { what: "assets", maxItems: inventoryEntriesMax }), about: "hosts we own" },
  users: { shape: list(user, { what: "users", maxItems: inventoryEntriesMax }), about: "accounts we know" },
  subnets: { shape: list(subnet, { what: "subnets", maxItems: inventoryEntriesMax }), about: "our networks" },
});

const neverTouchTypes = ["address", "network", "host", "user", "domain", "class", "group"] as const;
const neverTouchBlock = block("a never-touch entry", {
  type: {
    shape: name("a type", neverTouchTypes, {
      ip: 'write "address"',
      cidr: 'write "network"',
      range: 'write "network"',
    }),
    about: neverTouchTypes.join(", "),
    missing: "write type: host",
  },
  value: { shape: word("a value"), about: "what is never touched", missing: "write value: and the thing itself" },
  why: { shape: sentence("a reason"), about: "one sentence", missing: "write why: and one sentence" },
});
const neverTouchEntry: Shape<NeverTouch> = {
  schema: neverTouchBlock.schema,
  read: (node, problems) => {
    const { type, value, why } = neverTouchBlock.read(node, problems) ?? {};
    if (type === undefined || value === undefined || why === undefined) return undefined;
    if (type !== "address" && type !== "network") return { type, value, why };
    const found = readAddressText(value);
    if (found.kind === "legal" && (found.prefix !== undefined) === (type === "network"))
      return { type, value: found.text, why };
    const fix =
      found.kind === "host-bits"
        ? `write ${found.text}`
        : type === "address"
          ? "write an address such as 10.20.0.10"
          : "write a range such as 10.20.0.0/24";
    return problems.report(node.at, `${JSON.stringify(value)} is not a legal ${type}`, fix);
  },
};
export const neverTouchFile = list(neverTouchEntry, { what: "never-touch.yaml", maxItems: neverTouchMax });

const routeBlock = block("a route", {
  action: {
    shape: oneOrMany(name("an action", actionNames, actionHints), { what: "action", maxItems: 64 }),
    about: "action, or several",
    missing: "write action: block_ip",
  },
  connector: {
    shape: text({
      expected: "a connector name such as edl or fw-dmz",
      lengthMax: 48,
      pattern: "^[a-z0-9][a-z0-9_-]{0,47}$",
    }),
    about: "connector as the agents of the site name it",
    missing: "write connector: edl",
  },
  sites: {
    shape: oneOrMany(text({ expected: "a site", lengthMax: 48, pattern: segmentPattern }), {
      what: "sites",
      maxItems: 1_000,
    }),
    about: "sites this route is for; default: all. The first route that fits wins",
  },
});
const route: Shape<Route[]> = {
  schema: routeBlock.schema,
  read: (node, problems) => {
    const { action, connector, sites } = routeBlock.read(node, problems) ?? {};
    if (action === undefined || connector === undefined) return undefined;
    return action.map((one) => ({ action: one, connector, ...(sites === undefined ? {} : { sites }) }));
  },
};
export const routingFile = list(route, { what: "routing.yaml", maxItems: 1_000 });

const settingsBlock = block(
  "the settings",
  {
    freshness: {
      shape: duration("a freshness", 10, 7 * day),
      about: "older detections go to the dead letters (default 1h)",
    },
    lease: {
      shape: duration("a lease", 60, 30 * day),
      about: "how long an agent may act without hearing the controller (default 24h)",
    },
    actions_per_minute_max: {
      shape: integer("a number of actions", 0, 10_000),
      about: "containment circuit: more pauses automation and calls a human (default 60)",
    },
    history: {
      shape: duration("a history", 60, 7 * day),
      about: "window of recent history and of agreement between sources (default 1h)",
    },
    mode: {
      shape: name("a mode", ["enforce", "approve", "observe"] as const),
      about: "observe: decide and record only; approve: ask before each action (default enforce)",
    },
    drift: {
      shape: name("what to do about drift", ["repair", "report"] as const),
      about:
        "when something in force is gone from its target: repair applies it again, report only says so (default repair)",
    },
  },
  { freshness_seconds: "write freshness: 1h", lease_seconds: "write lease: 24h", history_seconds: "write history: 1h" },
);
export const settingsFile: Shape<Partial<BundleSettings>> = {
  schema: settingsBlock.schema,
  read: (node, problems) => {
    const { freshness, lease, history, ...rest } = settingsBlock.read(node, problems) ?? {};
    return {
      ...rest,
      ...(freshness === undefined ? {} : { freshness_seconds: freshness }),
      ...(lease === undefined ? {} : { lease_seconds: lease }),
      ...(history === undefined ? {} : { history_seconds: history }),
    };
  },
};

export const listFile = list(word("a value"), { what: "a list", maxItems: listEntriesMax });
