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
  const { inventory } = compiled;
  const found: AssetFacts[] = [];
  for (const entity of detection.entities) gather(inventory, found, entity.type, entity.value);
  gatherHost(inventory, found, detection.entities, detection.src_host);
  gatherHost(inventory, found, detection.entities, detection.dst_host);
  return found;
};

const gatherHost = (
  inventory: Inventory,
  found: AssetFacts[],
  entities: readonly Entity[],
  value: string | undefined,
): void => {
  if (value === undefined) return;
  // As a rule it is one of the entities, and need not be read again to be known.
  for (const { type, value: other } of entities) if ((type === "address" || type === "host") && other === value) return;
  gather(inventory, found, parseAddress(value) === undefined ? "host" : "address", value);
};

const gather = (inventory: Inventory, found: AssetFacts[], type: Entity["type"], value: string): void => {
  const remembered = inventory.remembered[type];
  let facts = remembered.get(value);
  if (facts === undefined) {
    const entity = { type, value };
    facts = assetFacts(inventory, entity, entityKey(entity));
    // What is not ours seldom comes again, so only what the inventory knows is worth remembering.
    if (facts.matches > 0) {
      if (remembered.size >= rememberedMax) remembered.clear();
      remembered.set(value, facts);
    }
  }
  for (const other of found) if (other === facts || (facts.matches === 0 && other.entity === facts.entity)) return;
  found.push(facts);
};

/** The same few machines are in most detections; a few MB at most. */
const rememberedMax = 5_000;

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
  if (assets.length === 0) return also;
  const seen = new Set<string>([`host|${address === undefined ? foldName(entity.value) : ""}`]);
  if (address !== undefined) seen.add(`address|${addressKey(address)}`);
  const add = (type: "host" | "address", value: string, folded: string | number): void => {
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
