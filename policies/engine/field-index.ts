import { type FieldType, fieldNames, fields } from "../language/fields.ts";
import { type AddressCells, buildAddressCells } from "./address-intervals.ts";
import { clearBit, type Patch, patchOf, setBit, type VectorPool } from "./bit-vectors.ts";
import { type CheckedCondition, type OperandSet, yes } from "./conditions.ts";
import { decimalScale, emptyFieldFacts, type Fact } from "./field-facts.ts";

/** What one row asks of one field. */
export type FieldRow = {
  readonly row: number;
  readonly isGuard: boolean;
  readonly conditions: CheckedCondition[];
};

/** A value's vector: its offset in the pool, or -1 - n for the field's n-th patch. One kind of number, so V8 keeps it plain. */
export type Cell = number;
/** Cell of a value that no policy names. */
export const noCell = -0x8000_0000;

/**
 * One field's answer to every policy at once. `base` is for a known value that no policy names, `missing` for an unknown
 * one: there guards stay in and permits drop out, which costs nothing at run time.
 */
export type FieldIndex = {
  readonly field: number;
  readonly type: FieldType;
  readonly isCandidateField: boolean;
  readonly asksPermits: boolean;
  readonly asksGuards: boolean;
  readonly base: number;
  readonly missing: number;
  /** Room for one patched copy of the base. */
  readonly scratch: number;
  /** Low = few policies pass, so it is intersected first. */
  readonly density: number;
  readonly byWord: ReadonlyMap<Fact, Cell>;
  readonly patches: readonly Patch[];
  readonly decimals: DecimalCells;
  readonly addresses: AddressCells;
  /** Rows and tests for a target that is a whole network, which lies in many intervals. */
  readonly rows: readonly FieldRow[];
};

export type BuiltField = {
  readonly index: FieldIndex;
  /** Conditions the vectors do not answer by themselves; checked one by one after the intersection. */
  readonly residual: readonly { readonly row: number; readonly condition: CheckedCondition }[];
};

/** 4 096 vectors of 10 000 policies are 5 MB. What more values there are share the field's base and are patched in. */
const vectorsMax = 8_192;

export const buildField = (
  pool: VectorPool,
  allRows: Int32Array,
  field: number,
  rows: readonly FieldRow[],
  guardFrom: number,
): BuiltField => {
  const name = fieldNames[field] ?? "confidence";
  const { type, from } = fields[name];
  const base = allRows.slice();
  const missing = allRows.slice();
  const residual: { row: number; condition: CheckedCondition }[] = [];
  const asking: FieldRow[] = [];
  for (const fieldRow of rows) {
    const { row, isGuard, conditions } = fieldRow;
    if (!conditions.some(({ op }) => op === "present")) {
      if (!isGuard) clearBit(missing, row);
      asking.push(fieldRow);
      continue;
    }
    const others = conditions.filter(({ op }) => op !== "present");
    const wants = (known: boolean): boolean =>
      conditions.some(({ op, values }) => op === "present" && values[0] === known);
    if (wants(true) || (!isGuard && others.length > 0)) clearBit(missing, row);
    if (wants(false)) clearBit(base, row);
    else if (others.length > 0) asking.push({ row, isGuard, conditions: others });
  }
  const build: Build = { pool, base, asking, field, residual, patches: [] };
  const cells = builders[type](build);
  const index: FieldIndex = {
    field,
    type,
    isCandidateField: from === "candidate",
    asksPermits: rows.some(({ row }) => row < guardFrom),
    asksGuards: rows.some(({ row }) => row >= guardFrom),
    base: pool.add(base),
    missing: pool.add(missing),
    scratch: pool.add(base),
    density: 1 - (rows.length / Math.max(1, allRows.length * 32)) * (1 - 1 / Math.max(2, cells.distinct)),
    byWord: cells.byWord ?? new Map<Fact, Cell>(),
    patches: build.patches,
    decimals: cells.decimals ?? decimalCells([0], [noCell]),
    addresses: cells.addresses ?? buildAddressCells([], () => noCell),
    rows: asking,
  };
  return { index, residual };
};

type Build = {
  readonly pool: VectorPool;
  /** Bits of a value nobody names; builders clear the rows that want a named one. */
  readonly base: Int32Array;
  readonly asking: readonly FieldRow[];
  readonly field: number;
  readonly residual: { row: number; condition: CheckedCondition }[];
  readonly patches: Patch[];
};
type Cells = {
  readonly distinct: number;
  readonly byWord?: ReadonlyMap<Fact, Cell>;
  readonly decimals?: FieldIndex["decimals"];
  readonly addresses?: AddressCells;
};

/** A named set of values, and the rows that want a value inside it (`set`) or outside it (`clear`). */
export type NamedSet = { readonly values: OperandSet["values"]; readonly set: number[]; readonly clear: number[] };

/** One condition per row goes into the vectors; a second one on the same field is rare and becomes residual. */
const namedSets = (build: Build, isExcluding: (condition: CheckedCondition) => boolean): NamedSet[] => {
  const byKey = new Map<string, NamedSet>();
  for (const { row, conditions } of build.asking) {
    const first = conditions.find((condition) => !isExcluding(condition)) ?? conditions[0];
    if (first === undefined) continue;
    for (const condition of conditions) if (condition !== first) build.residual.push({ row, condition });
    const excluding = isExcluding(first);
    if (!excluding) clearBit(build.base, row);
    // All of several words: one of them is looked up, all are checked after.
    const sets = first.op === "has_all" ? first.sets.filter(({ values }) => values.length > 0).slice(0, 1) : first.sets;
    if (first.op === "has_all" && first.values.length === 0) setBit(build.base, row);
    if (first.op === "has_all" && first.values.length > 1) build.residual.push({ row, condition: first });
    for (const { key, values } of sets) {
      let named = byKey.get(key);
      if (named === undefined) {
        named = { values, set: [], clear: [] };
        byKey.set(key, named);
      }
      (excluding ? named.clear : named.set).push(row);
    }
  }
  return [...byKey.values()];
};

/** Cell for a combination of sets; equal combinations share one, so a list of 100 000 values costs one cell. */
const createCellMaker = ({ pool, base, patches }: Build, sets: readonly NamedSet[]) => {
  const byCombination = new Map<string | number, Cell>();
  return (combination: readonly number[]): Cell => {
    const key = combination.length === 1 ? (combination[0] ?? 0) : combination.join();
    const known = byCombination.get(key);
    if (known !== undefined) return known;
    const cell = pool.size() < vectorsMax ? pool.add(combine(base, sets, combination)) : -1 - patches.length;
    if (cell < 0) patches.push(patchOf(base, combine(base, sets, combination)));
    byCombination.set(key, cell);
    return cell;
  };
};

const combine = (base: Int32Array, sets: readonly NamedSet[], combination: readonly number[]): Int32Array => {
  const bits = base.slice();
  for (const set of combination) {
    for (const row of sets[set]?.set ?? []) setBit(bits, row);
    for (const row of sets[set]?.clear ?? []) clearBit(bits, row);
  }
  return bits;
};

const buildWords = (build: Build): Cells => {
  const sets = namedSets(build, ({ op }) => op === "not_in");
  const setsByValue = new Map<Fact, number[]>();
  for (const [set, { values }] of sets.entries())
    for (const value of values) {
      const known = setsByValue.get(value);
      if (known === undefined) setsByValue.set(value, [set]);
      else if (known.at(-1) !== set) known.push(set);
    }
  const cellOf = createCellMaker(build, sets);
  const byWord = new Map<Fact, Cell>();
  for (const [value, combination] of setsByValue) byWord.set(value, cellOf(combination));
  return { distinct: byWord.size, byWord };
};

/** Few possible values: each gets the exact vector, from the conditions' own tests. */
const buildEach = (build: Build, values: readonly Fact[]): Cells => {
  const facts = emptyFieldFacts();
  const byWord = new Map<Fact, Cell>();
  for (const value of values) {
    facts[build.field] = value;
    const bits = build.base.slice();
    for (const { row, conditions } of build.asking)
      if (!conditions.every(({ test }) => test(facts) === yes)) clearBit(bits, row);
    byWord.set(value, build.pool.add(bits));
  }
  return { distinct: values.length, byWord };
};

/** Every row wants one interval; between two neighbouring cut points nothing changes. */
const buildDecimals = (build: Build): Cells => {
  const opening = new Map<number, number[]>();
  const closing = new Map<number, number[]>();
  const note = (map: Map<number, number[]>, at: number, row: number): void => {
    const rows = map.get(at);
    if (rows === undefined) map.set(at, [row]);
    else rows.push(row);
  };
  for (const { row, conditions } of build.asking) {
    clearBit(build.base, row);
    const [from, to] = intervalOf(conditions);
    if (from >= to) continue;
    note(opening, from, row);
    note(closing, to, row);
  }
  const cuts = [...new Set([0, ...opening.keys(), ...closing.keys()])].sort((a, b) => a - b);
  const bits = build.base.slice();
  const offsets = cuts.map((cut) => {
    for (const row of closing.get(cut) ?? []) clearBit(bits, row);
    for (const row of opening.get(cut) ?? []) setBit(bits, row);
    return build.pool.add(bits);
  });
  return { distinct: 2, decimals: decimalCells(cuts, offsets) };
};

/** Vector of each stretch between cut points; the first cut is 0. */
export type DecimalCells = {
  readonly cuts: Int32Array;
  readonly offsets: Int32Array;
  /** Last cut at or before the start of each bucket of 1 024 scaled steps: a look-up instead of a binary search. */
  readonly buckets: Int32Array;
};
const bucketBits = 10;

const decimalCells = (cuts: readonly number[], offsets: readonly number[]): DecimalCells => {
  const buckets = new Int32Array(((decimalScale + 1) >> bucketBits) + 1);
  let at = 0;
  for (let bucket = 0; bucket < buckets.length; bucket += 1) {
    while ((cuts[at + 1] ?? Number.POSITIVE_INFINITY) <= bucket << bucketBits) at += 1;
    buckets[bucket] = at;
  }
  return { cuts: Int32Array.from(cuts), offsets: Int32Array.from(offsets), buckets };
};

export const findDecimal = ({ cuts, offsets, buckets }: DecimalCells, value: number): Cell => {
  let at = buckets[value >> bucketBits] as number;
  while (at + 1 < cuts.length && (cuts[at + 1] as number) <= value) at += 1;
  return offsets[at] as number;
};

/** `[from, to)` in scaled integers. */
const intervalOf = (conditions: readonly CheckedCondition[]): readonly [number, number] => {
  let from = 0;
  let to = decimalScale + 1;
  for (const { op, values } of conditions) {
    const bound = Math.min(decimalScale + 1, Math.max(-1, Math.round(Number(values[0]) * decimalScale)));
    if (op === "gt") from = Math.max(from, bound + 1);
    if (op === "gte") from = Math.max(from, bound);
    if (op === "lt") to = Math.min(to, bound);
    if (op === "lte") to = Math.min(to, bound + 1);
  }
  return [from, to];
};

const builders: Readonly<Record<FieldType, (build: Build) => Cells>> = {
  word: buildWords,
  words: buildWords,
  ordinal: (build) => buildEach(build, [0, 1, 2, 3]),
  flag: (build) => buildEach(build, [true, false]),
  decimal: buildDecimals,
  address: (build) => {
    const sets = namedSets(build, ({ op }) => op === "outside");
    const addresses = buildAddressCells(sets, createCellMaker(build, sets));
    return { distinct: sets.length, addresses };
  },
};
