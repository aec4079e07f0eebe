import type { InventoryAsset, InventorySubnet, InventoryUser } from "@reflex/protocol/bundle";
import type { Detection } from "@reflex/protocol/detection";
import { type Entity, entityKey } from "@reflex/protocol/entity";
import type { AssetFacts } from "@reflex/protocol/token";
import { type AddressRange, addressKey, parseAddress, parseNetwork } from "./address.ts";
import type { CompiledBundle } from "./compile.ts";
import { foldName, type Inventory } from "./inventory.ts";

/**
 * What the inventory says about each entity of the detection, and about its source and destination.
 * Gathered before deciding and stored in the token, so that a replay needs no inventory.
 */
export const gatherAssets = (compiled: Pick<CompiledBundle, "inventory">, detection: Detection): AssetFacts[] => {
  const found: AssetFacts[] = [];
  for (const entity of detection.entities) gather(compiled.inventory, found, entity);
  gatherHost(compiled.inventory, found, detection.src_host);
  gatherHost(compiled.inventory, found, detection.dst_host);
  return found;
};

const gatherHost = (inventory: Inventory, found: AssetFacts[], value: string | undefined): void => {
  if (value === undefined) return;
  // As a rule it is one of the entities, and need not be read again to be known.
  if (isFound(found, `address|${value}`) || isFound(found, `host|${value}`)) return;
  gather(inventory, found, { type: parseAddress(value) === undefined ? "host" : "address", value });
};

const gather = (inventory: Inventory, found: AssetFacts[], entity: Entity): void => {
  const key = entityKey(entity);
  if (isFound(found, key)) return;
  let facts = inventory.remembered.get(key);
  if (facts === undefined) {
    facts = assetFacts(inventory, entity, key);
    if (inventory.remembered.size >= rememberedMax) inventory.remembered.clear();
    inventory.remembered.set(key, facts);
  }
  found.push(facts);
};

const isFound = (found: readonly AssetFacts[], key: string): boolean => {
  for (const facts of found) if (facts.entity === key) return true;
  return false;
};

/** The same few machines are in most detections; a few MB at most. */
const rememberedMax = 10_000;

const assetFacts = (inventory: Inventory, entity: Entity, key: string): AssetFacts => {
  switch (entity.type) {
    case "host":
      return factsOfAssets(inventory, entity, key, inventory.assetsByHost(entity.value), undefined);
    case "address": {
      const address = parseAddress(entity.value);
      if (address === undefined) return { entity: key, matches: 0 };
      return factsOfAssets(inventory, entity, key, inventory.assetsByAddress(address), address);
    }
    case "network": {
      const network = parseNetwork(entity.value);
      return {
        entity: key,
        matches: 0,
        ...subnetFacts(network === undefined ? undefined : inventory.subnetOf(network), undefined),
      };
    }
    case "user":
      return factsOfUsers(key, inventory.usersByName(entity.value));
    default:
      return { entity: key, matches: 0 };
  }
};

const factsOfAssets = (
  inventory: Inventory,
  entity: Entity,
  key: string,
  assets: readonly InventoryAsset[],
  address: AddressRange | undefined,
): AssetFacts => {
  const [asset] = assets;
  const also = otherNames(entity, assets, address);
  if (asset === undefined || assets.length > 1) {
    const subnet = address === undefined ? undefined : inventory.subnetOf(address);
    return { entity: key, matches: assets.length, ...subnetFacts(subnet, undefined), ...(also.length > 0 && { also }) };
  }
  const subnet = address === undefined ? onlySubnet(inventory, asset) : inventory.subnetOf(address);
  return {
    entity: key,
    matches: 1,
    name: asset.name,
    ...(asset.class !== undefined && { class: asset.class, class_members: inventory.classMembers(asset.class) }),
    ...(asset.criticality !== undefined && { criticality: asset.criticality }),
    ...(asset.owner !== undefined && { owner: asset.owner }),
    ...(asset.groups !== undefined && { groups: asset.groups }),
    ...subnetFacts(subnet, asset.exposure),
    ...(also.length > 0 && { also }),
  };
};

const factsOfUsers = (key: string, users: readonly InventoryUser[]): AssetFacts => {
  const [user] = users;
  if (user === undefined || users.length > 1) return { entity: key, matches: users.length };
  return {
    entity: key,
    matches: 1,
    name: user.name,
    ...(user.class !== undefined && { class: user.class }),
    ...(user.criticality !== undefined && { criticality: user.criticality }),
    ...(user.groups !== undefined && { groups: user.groups }),
  };
};

const subnetFacts = (
  subnet: InventorySubnet | undefined,
  exposure: AssetFacts["exposure"],
): Pick<AssetFacts, "subnet" | "subnet_hosts" | "exposure"> => {
  const shown = exposure ?? subnet?.exposure;
  return {
    ...(shown !== undefined && { exposure: shown }),
    ...(subnet !== undefined && { subnet: subnet.name }),
    ...(subnet?.hosts !== undefined && { subnet_hosts: subnet.hosts }),
  };
};

/** A host with addresses in two subnets is in neither for a limit: its subnet is unknown, so the limit fires. */
const onlySubnet = (inventory: Inventory, asset: InventoryAsset): InventorySubnet | undefined => {
  let only: InventorySubnet | undefined;
  for (const [index, text] of asset.addresses.entries()) {
    const address = parseAddress(text);
    const subnet = address === undefined ? undefined : inventory.subnetOf(address);
    if (subnet === undefined || (index > 0 && subnet !== only)) return undefined;
    only = subnet;
  }
  return only;
};

/** Names of every match, also when there are several: the never-touch list must hold whichever of them is meant. */
const otherNames = (
  entity: Entity,
  assets: readonly InventoryAsset[],
  address: AddressRange | undefined,
): NonNullable<AssetFacts["also"]> => {
  const also: NonNullable<AssetFacts["also"]> = [];
  const seen = new Set<string>([`host|${address === undefined ? foldName(entity.value) : ""}`]);
  if (address !== undefined) seen.add(`address|${addressKey(address)}`);
  const add = (type: "host" | "address", value: string, folded: string): void => {
    if (seen.has(`${type}|${folded}`)) return;
    seen.add(`${type}|${folded}`);
    also.push({ type, value });
  };
  for (const asset of assets) {
    for (const name of [asset.name, ...asset.hosts]) add("host", name, foldName(name));
    for (const text of asset.addresses) {
      const parsed = parseAddress(text);
      add("address", text, parsed === undefined ? text : addressKey(parsed));
    }
  }
  return also;
};
