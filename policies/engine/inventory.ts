import type { Bundle, InventoryAsset, InventorySubnet, InventoryUser } from "@reflex/protocol/bundle";
import { type EntityType, entityTypes } from "@reflex/protocol/entity";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { AssetFacts } from "@reflex/protocol/token";
import { type AddressKey, type AddressRange, addressKey, parseAddress, parseNetwork } from "./address.ts";
import { createCidrIndex } from "./cidr-index.ts";

/** Look-ups by every name a thing goes by. Names ignore case; addresses ignore spelling. */
export type Inventory = {
  readonly assetsByHost: (name: string) => readonly InventoryAsset[];
  readonly assetsByAddress: (address: AddressRange) => readonly InventoryAsset[];
  readonly usersByName: (name: string) => readonly InventoryUser[];
  /** Subnet with the longest prefix that holds the range. */
  readonly subnetOf: (range: AddressRange) => InventorySubnet | undefined;
  /** How many assets have the class: the population of percent limits per asset class. */
  readonly classMembers: (assetClass: string) => number;
  /** Facts told before, by type and value: they depend on nothing but this inventory. */
  readonly remembered: Readonly<Record<EntityType, Map<string, AssetFacts>>>;
};

/** Fails on an address or network that cannot be read: a typing error must not make a subnet silently unknown. */
export const createInventory = (inventory: Bundle["inventory"]): Result<Inventory, string> => {
  const byHost = new Map<string, InventoryAsset[]>();
  const byAddress = new Map<AddressKey, InventoryAsset[]>();
  const byUser = new Map<string, InventoryUser[]>();
  const members = new Map<string, number>();
  for (const asset of inventory.assets) {
    for (const name of new Set([asset.name, ...asset.hosts].map(foldName))) push(byHost, name, asset);
    const keys = new Set<AddressKey>();
    for (const text of asset.addresses) {
      const address = parseAddress(text);
      if (address === undefined) return err(`asset ${asset.name}: ${text} is not an address`);
      keys.add(addressKey(address));
    }
    for (const key of keys) push(byAddress, key, asset);
    if (asset.class !== undefined) members.set(asset.class, (members.get(asset.class) ?? 0) + 1);
  }
  for (const user of inventory.users) push(byUser, foldName(user.name), user);
  const ranges: AddressRange[] = [];
  for (const subnet of inventory.subnets) {
    const range = parseNetwork(subnet.cidr);
    if (range === undefined) return err(`subnet ${subnet.name}: ${subnet.cidr} is not a network`);
    ranges.push(range);
  }
  const subnets = createCidrIndex(ranges);
  return ok({
    assetsByHost: (name) => byHost.get(foldName(name)) ?? none,
    assetsByAddress: (address) => byAddress.get(addressKey(address)) ?? none,
    usersByName: (name) => byUser.get(foldName(name)) ?? none,
    subnetOf: (range) => {
      const longest = subnets.containing(range).at(-1);
      return longest === undefined ? undefined : inventory.subnets[longest];
    },
    classMembers: (assetClass) => members.get(assetClass) ?? 0,
    remembered: Object.fromEntries(
      entityTypes.map((type) => [type, new Map<string, AssetFacts>()]),
    ) as Inventory["remembered"],
  });
};

/** Host, user and domain names are compared without case and without the root dot. */
export const foldName = (name: string): string => {
  const lower = name.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
};

const none: readonly never[] = [];

const push = <K, T>(map: Map<K, T[]>, key: K, value: T): void => {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
};
