import { type AddressRange, parseNetwork, type Words } from "./address.ts";
import type { Cell, NamedSet } from "./field-index.ts";

/** Sorted starts of stretches of addresses within which no network begins or ends, and what holds in each. */
export type AddressCells = {
  readonly v4: { readonly starts: Float64Array; readonly cells: readonly (Cell | undefined)[] };
  /** Four words per start. */
  readonly v6: { readonly starts: Uint32Array; readonly cells: readonly (Cell | undefined)[] };
};

/** The cell of the stretch the address lies in, by binary search. */
export const findInterval = (cells: AddressCells, address: AddressRange): Cell | undefined => {
  if (address.family === 4) {
    const { starts } = cells.v4;
    const wanted = address.first[3];
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] ?? 0) <= wanted) low = middle + 1;
      else high = middle;
    }
    return cells.v4.cells[low - 1];
  }
  const { starts } = cells.v6;
  let low = 0;
  let high = starts.length >>> 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isAtMost(starts, middle * 4, address.first)) low = middle + 1;
    else high = middle;
  }
  return cells.v6.cells[low - 1];
};

const isAtMost = (starts: Uint32Array, at: number, wanted: Words): boolean => {
  for (let word = 0; word < 4; word += 1) {
    const start = starts[at + word] ?? 0;
    const other = wanted[word] ?? 0;
    if (start !== other) return start < other;
  }
  return true;
};

type Edge = { readonly at: bigint; readonly set: number; readonly step: 1 | -1 };

export const buildAddressCells = (
  sets: readonly NamedSet[],
  cellOf: (combination: readonly number[]) => Cell,
): AddressCells => {
  const edges: { 4: Edge[]; 6: Edge[] } = { 4: [], 6: [] };
  for (const [set, { values }] of sets.entries())
    for (const value of values) {
      const network = parseNetwork(String(value));
      if (network === undefined) continue;
      edges[network.family].push(
        { at: toBigInt(network.first), set, step: 1 },
        { at: toBigInt(network.last) + 1n, set, step: -1 },
      );
    }
  const v4 = sweep(edges[4], cellOf);
  const v6 = sweep(edges[6], cellOf);
  return {
    v4: { starts: Float64Array.from(v4.starts, Number), cells: v4.cells },
    v6: { starts: Uint32Array.from(v6.starts.flatMap(toWords)), cells: v6.cells },
  };
};

const sweep = (
  edges: Edge[],
  cellOf: (combination: readonly number[]) => Cell,
): { starts: bigint[]; cells: (Cell | undefined)[] } => {
  edges.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  const starts: bigint[] = [];
  const cells: (Cell | undefined)[] = [];
  // One list may hold nested networks, so a set is left when as many ended as began.
  const depth = new Map<number, number>();
  for (const [index, { at, set, step }] of edges.entries()) {
    const now = (depth.get(set) ?? 0) + step;
    if (now === 0) depth.delete(set);
    else depth.set(set, now);
    if (edges[index + 1]?.at === at) continue;
    starts.push(at);
    cells.push(depth.size === 0 ? undefined : cellOf([...depth.keys()].sort((a, b) => a - b)));
  }
  return { starts, cells };
};

const toBigInt = (words: Words): bigint =>
  (BigInt(words[0]) << 96n) | (BigInt(words[1]) << 64n) | (BigInt(words[2]) << 32n) | BigInt(words[3]);

const toWords = (value: bigint): number[] =>
  // The first address after the last one there is: no address lies in it, so its words may wrap to nothing.
  value >> 128n === 0n ? [96n, 64n, 32n, 0n].map((shift) => Number((value >> shift) & 0xffffffffn)) : [];
