import { type AddressRange, parseNetwork, type Words } from "./address.ts";
import { type Cell, type NamedSet, noCell } from "./field-index.ts";

/** Sorted starts of stretches of addresses within which no network begins or ends, and the cell of each. */
export type AddressCells = {
  readonly v4: {
    readonly starts: Float64Array;
    readonly cells: Int32Array;
    /** First start in or after each stretch of 2^shift addresses, so that the binary search begins near its end. */
    readonly buckets: Int32Array;
    readonly shift: number;
  };
  /** Four words per start. */
  readonly v6: { readonly starts: Uint32Array; readonly cells: Int32Array };
};

/** The cell of the stretch that the address lies in. */
export const findAddress = (cells: AddressCells, address: AddressRange): Cell =>
  address.family === 4 ? findV4(cells.v4, address.first[3]) : findV6(cells.v6, address.first);

const findV4 = ({ starts, cells, buckets, shift }: AddressCells["v4"], wanted: number): Cell => {
  const bucket = wanted >>> shift;
  let low = buckets[bucket] as number;
  let high = buckets[bucket + 1] as number;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((starts[middle] as number) <= wanted) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? noCell : (cells[low - 1] as number);
};

const findV6 = ({ starts, cells }: AddressCells["v6"], wanted: Words): Cell => {
  let low = 0;
  let high = starts.length >>> 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isAtMost(starts, middle * 4, wanted)) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? noCell : (cells[low - 1] as number);
};

const isAtMost = (starts: Uint32Array, at: number, wanted: Words): boolean => {
  for (let word = 0; word < 4; word += 1) {
    const start = starts[at + word] as number;
    const other = wanted[word] as number;
    if (start !== other) return start < other;
  }
  return true;
};

/** Begin (`set`) or end (`-1 - set`) of one network of one set. */
type Edges<T> = { readonly at: T[]; readonly set: number[] };

export const buildAddressCells = (
  sets: readonly NamedSet[],
  cellOf: (combination: readonly number[]) => Cell,
): AddressCells => {
  const v4: Edges<number> = { at: [], set: [] };
  const v6: Edges<bigint> = { at: [], set: [] };
  for (const [set, { values }] of sets.entries())
    for (const value of values) {
      const network = parseNetwork(String(value));
      if (network === undefined) continue;
      if (network.family === 4) v4.at.push(network.first[3], network.last[3] + 1);
      else v6.at.push(toBigInt(network.first), toBigInt(network.last) + 1n);
      (network.family === 4 ? v4 : v6).set.push(set, -1 - set);
    }
  const swept4 = sweep(v4, cellOf);
  const swept6 = sweep(v6, cellOf);
  const starts = Float64Array.from(swept4.starts);
  return {
    v4: { starts, cells: Int32Array.from(swept4.cells), ...bucketsOf(starts) },
    v6: { starts: Uint32Array.from(swept6.starts.flatMap(toWords)), cells: Int32Array.from(swept6.cells) },
  };
};

const sweep = <T extends number | bigint>(
  edges: Edges<T>,
  cellOf: (combination: readonly number[]) => Cell,
): { starts: T[]; cells: Cell[] } => {
  const { at, set } = edges;
  const order = Array.from(at.keys()).sort((a, b) => ((at[a] as T) < (at[b] as T) ? -1 : at[a] === at[b] ? 0 : 1));
  const starts: T[] = [];
  const cells: Cell[] = [];
  // One list may hold nested networks, so a set is left when as many ended as began.
  const depth = new Map<number, number>();
  for (const [index, edge] of order.entries()) {
    const signed = set[edge] as number;
    const changed = signed < 0 ? -1 - signed : signed;
    const now = (depth.get(changed) ?? 0) + (signed < 0 ? -1 : 1);
    if (now === 0) depth.delete(changed);
    else depth.set(changed, now);
    const next = order[index + 1];
    if (next !== undefined && at[next] === at[edge]) continue;
    starts.push(at[edge] as T);
    cells.push(depth.size === 0 ? noCell : cellOf([...depth.keys()].sort((a, b) => a - b)));
  }
  return { starts, cells };
};

/** About two buckets a start: more would not fit the caches. */
const bucketsOf = (starts: Float64Array): { buckets: Int32Array; shift: number } => {
  const shift = Math.max(16, Math.min(31, Math.clz32(starts.length * 2)));
  const buckets = new Int32Array(2 ** (32 - shift) + 1);
  let at = 0;
  for (let bucket = 0; bucket < buckets.length; bucket += 1) {
    // Starts at exactly the first address of a bucket belong to the search inside it.
    while (at < starts.length && (starts[at] as number) < bucket * 2 ** shift) at += 1;
    buckets[bucket] = at;
  }
  return { buckets, shift };
};

const toBigInt = (words: Words): bigint =>
  (BigInt(words[0]) << 96n) | (BigInt(words[1]) << 64n) | (BigInt(words[2]) << 32n) | BigInt(words[3]);

const toWords = (value: bigint): number[] =>
  // The first address after the last one there is: no address lies in it, so it needs no words.
  value >> 128n === 0n ? [96n, 64n, 32n, 0n].map((shift) => Number((value >> shift) & 0xffffffffn)) : [];
