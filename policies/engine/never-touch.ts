import type { NeverTouch } from "@reflex/protocol/bundle";
import type { Entity } from "@reflex/protocol/entity";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { AssetFacts } from "@reflex/protocol/token";
import { type AddressRange, parseAddress, parseNetwork } from "./address.ts";
import { createCidrIndex } from "./cidr-index.ts";
import { foldName } from "./inventory.ts";

/** `hit`: the entry covers the target. `doubt`: it names classes or groups, and what the target is cannot be told. */
export type NeverTouchFinding = { readonly kind: "hit" | "doubt"; readonly position: number };
export type NeverTouchList = {
  readonly entries: readonly NeverTouch[];
  /** First entry (by type and value) that covers the target or anything it resolves to. */
  readonly check: (target: Entity, asset: AssetFacts | undefined) => NeverTouchFinding | undefined;
};

/** Fails on an entry that cannot be read: ignoring it would leave something unprotected that somebody listed. */
export const createNeverTouch = (list: readonly NeverTouch[]): Result<NeverTouchList, string> => {
  const entries = [...list].sort(
    (a, b) => compareText(a.type, b.type) || compareText(a.value, b.value) || compareText(a.why, b.why),
  );
  const byName = new Map<string, number>();
  const ranges: AddressRange[] = [];
  const rangePositions: number[] = [];
  const firstOfType = new Map<NeverTouch["type"], number>();
  const note = (key: string, position: number): void => {
    if (!byName.has(key)) byName.set(key, position);
  };
  for (const [position, { type, value }] of entries.entries()) {
    if (!firstOfType.has(type)) firstOfType.set(type, position);
    if (type === "address" || type === "network") {
      const range = type === "address" ? parseAddress(value) : parseNetwork(value);
      if (range === undefined) return err(`never-touch ${type} ${value} cannot be read`);
      ranges.push(range);
      rangePositions.push(position);
    } else if (type === "domain") {
      const name = foldName(value).replace(/^\*\./, "");
      note(`domain|${name}`, position);
      // Blocking a parent blocks the child, so every parent of a listed domain is covered as a target too.
      for (const parent of parentsOf(name)) note(`parent|${parent}`, position);
    } else {
      note(`${type}|${foldName(value)}`, position);
      if (type === "host" || type === "user") note(`short ${type}|${shortName(type, foldName(value))}`, position);
    }
  }
  if (entries.length === 0) return ok({ entries, check: () => undefined });
  const index = createCidrIndex(ranges);

  const check = (target: Entity, asset: AssetFacts | undefined): NeverTouchFinding | undefined => {
    let first = entries.length;
    const hit = (position: number | undefined): void => {
      if (position !== undefined && position < first) first = position;
    };
    const hitRange = (range: AddressRange | undefined): void => {
      if (range === undefined || ranges.length === 0) return;
      for (const found of index.overlapping(range)) hit(rangePositions[found]);
    };
    const hitDomain = (name: string): void => {
      hit(byName.get(`domain|${name}`));
      for (const parent of parentsOf(name)) hit(byName.get(`domain|${parent}`));
    };
    const hitName = (type: "host" | "user", value: string): void => {
      const name = foldName(value);
      hit(byName.get(`${type}|${name}`));
      // `dc1` and `dc1.corp.example` may be one machine: in doubt they are.
      const short = shortName(type, name);
      if (short === name) hit(byName.get(`short ${type}|${name}`));
      else hit(byName.get(`${type}|${short}`));
      if (type !== "host") return;
      hitRange(parseAddress(value));
      if (name.includes(".")) hitDomain(name);
    };
    const hitThing = (type: Entity["type"], value: string): void => {
      if (type === "address") hitRange(parseAddress(value));
      else if (type === "network") hitRange(parseNetwork(value));
      else if (type === "host" || type === "user") hitName(type, value);
      else if (type === "domain") {
        const name = foldName(value).replace(/^\*\./, "");
        hitDomain(name);
        hit(byName.get(`parent|${name}`));
      }
    };
    hitThing(target.type, target.value);
    for (const other of asset?.also ?? []) hitThing(other.type, other.value);
    if (asset?.class !== undefined) hit(byName.get(`class|${foldName(asset.class)}`));
    for (const group of asset?.groups ?? []) hit(byName.get(`group|${foldName(group)}`));
    if (first < entries.length) return { kind: "hit", position: first };
    return doubt(target, asset, firstOfType);
  };
  return ok({ entries, check });
};

/**
 * What the inventory owns but does not describe may be what an entry means. Several things under one target: refused
 * outright. One thing without class (or a user without groups): a human looks. Things that are not ours have neither.
 */
const doubt = (
  target: Entity,
  asset: AssetFacts | undefined,
  firstOfType: ReadonlyMap<NeverTouch["type"], number>,
): NeverTouchFinding | undefined => {
  if (asset === undefined || asset.matches === 0) return undefined;
  const classes = firstOfType.get("class");
  const groups = firstOfType.get("group");
  if (asset.matches > 1) {
    const position = classes ?? groups;
    return position === undefined ? undefined : { kind: "hit", position };
  }
  if (target.type !== "user" && asset.class === undefined && classes !== undefined)
    return { kind: "doubt", position: classes };
  if (target.type === "user" && asset.groups === undefined && groups !== undefined)
    return { kind: "doubt", position: groups };
  return undefined;
};

/** `www.example.com` -> `example.com`, `com`. */
const parentsOf = (name: string): string[] => {
  const parents: string[] = [];
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) parents.push(name.slice(dot + 1));
  return parents;
};

/** `dc1.corp.example` -> `dc1`; `corp\\alice` and `alice@corp.example` -> `alice`. */
const shortName = (type: "host" | "user", name: string): string => {
  if (type === "host") return name.split(".", 1)[0] ?? name;
  const local = name.slice(name.lastIndexOf("\\") + 1);
  const at = local.indexOf("@");
  return at > 0 ? local.slice(0, at) : local;
};

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
