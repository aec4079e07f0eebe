import { type AddressKey, type AddressRange, addressKey, isPoint, networkOf, overlaps } from "./address.ts";

/** Which of many networks hold an address: one look-up per prefix length in use, however many networks there are. */
export type CidrIndex = {
  /** Positions of the networks that hold the whole range, widest first. */
  readonly containing: (range: AddressRange) => number[];
  /** Positions of the networks that share an address with the range. */
  readonly overlapping: (range: AddressRange) => number[];
};

export const createCidrIndex = (networks: readonly AddressRange[]): CidrIndex => {
  const byPrefix = new Map<string, { family: 4 | 6; prefix: number; byBase: Map<AddressKey, number[]> }>();
  for (const [position, network] of networks.entries()) {
    const prefix = prefixOf(network);
    const key = `${network.family}/${prefix}`;
    const level = byPrefix.get(key) ?? { family: network.family, prefix, byBase: new Map<AddressKey, number[]>() };
    byPrefix.set(key, level);
    const base = addressKey(network);
    const positions = level.byBase.get(base);
    if (positions === undefined) level.byBase.set(base, [position]);
    else positions.push(position);
  }
  const levels = [...byPrefix.values()].sort((a, b) => a.prefix - b.prefix);
  const containing = (range: AddressRange): number[] => {
    const found: number[] = [];
    const narrowest = isPoint(range) ? 128 : prefixOf(range);
    for (const { family, prefix, byBase } of levels) {
      if (family !== range.family) continue;
      if (!isPoint(range) && prefix > narrowest) break;
      const positions = byBase.get(baseOf(range, prefix));
      if (positions !== undefined) found.push(...positions);
    }
    return found;
  };
  return {
    containing,
    // A network target is rare (block_range), so it may look at each entry.
    overlapping: (range) =>
      isPoint(range)
        ? containing(range)
        : [...networks.keys()].filter((position) => touches(networks, position, range)),
  };
};

/** Key of the first address of the network of this prefix around the range's first address. */
const baseOf = (range: AddressRange, prefix: number): AddressKey =>
  range.family === 4
    ? (range.first[3] & (prefix === 0 ? 0 : 0xffff_ffff << (32 - prefix))) >>> 0
    : addressKey(networkOf({ family: 6, first: range.first, last: range.first }, prefix));

const touches = (networks: readonly AddressRange[], position: number, range: AddressRange): boolean => {
  const network = networks[position];
  return network !== undefined && overlaps(network, range);
};

/** Networks are aligned, so their prefix is the length of the common head of first and last. */
const prefixOf = (network: AddressRange): number => {
  let prefix = 0;
  for (let word = network.family === 4 ? 3 : 0; word < 4; word += 1) {
    const differing = ((network.first[word] ?? 0) ^ (network.last[word] ?? 0)) >>> 0;
    const same = Math.clz32(differing);
    prefix += same;
    if (same < 32) break;
  }
  return prefix;
};
