import { type Entity, entityRoles, entityTypes } from "@reflex/protocol/entity";
import { createVectorPool, setBit, type VectorPool } from "./bit-vectors.ts";
import type { CompiledPolicy } from "./compile.ts";
import type { CheckedCondition } from "./conditions.ts";
import type { FieldFacts } from "./field-facts.ts";
import { buildField, type FieldIndex, type FieldRow } from "./field-index.ts";
import { holds, type Matcher, selects } from "./match.ts";
import { createPicked, createPicker, type Picker } from "./picker.ts";
import { orderRows } from "./row-order.ts";

/**
 * Bit-vector classification (Lakshman & Stiliadis 1998; Baboescu & Varghese 2001): each field picks the vector of its value,
 * and the policies that match are the intersection. The work is bounded by rows / 32 words per field, so no author of
 * policies can make it slow.
 */
export const createVectorMatcher = (policies: readonly CompiledPolicy[]): Matcher => {
  const { positions, guardFrom } = orderRows(policies);
  const rowCount = positions.length;
  const pool = createVectorPool(rowCount);
  const allRows = new Int32Array(pool.words);
  for (const [row, position] of positions.entries()) if (position >= 0) setBit(allRows, row);

  const rowsByField = new Map<number, FieldRow[]>();
  const entries = Array.from(positions, (position) => policies[position]);
  for (const [row, entry] of entries.entries()) {
    if (entry === undefined) continue;
    const isGuard = entry.policy.kind === "guard";
    for (const condition of entry.match) {
      let rows = rowsByField.get(condition.index);
      if (rows === undefined) {
        rows = [];
        rowsByField.set(condition.index, rows);
      }
      const last = rows.at(-1);
      if (last !== undefined && last.row === row) last.conditions.push(condition);
      else rows.push({ row, isGuard, conditions: [condition] });
    }
  }
  const built = [...rowsByField].map(([field, rows]) => buildField(pool, allRows, field, rows, guardFrom));
  const residual = new Array<CheckedCondition[] | undefined>(rowCount).fill(undefined);
  for (const [row, entry] of entries.entries()) if (entry !== undefined && entry.unless.length > 0) residual[row] = [];
  for (const field of built)
    for (const { row, condition } of field.residual) {
      const conditions = residual[row] ?? [];
      residual[row] = conditions;
      conditions.push(condition);
    }
  const selectors = buildSelectors(pool, entries, allRows, guardFrom);
  const everything = pool.add(allRows);
  const indexes = built.map(({ index }) => index).sort((a, b) => a.density - b.density || a.field - b.field);
  const data = pool.finish();

  const pickers = indexes.map((index) => createPicker(data, pool, index));
  const only = (wanted: (index: FieldIndex) => boolean): Picker[] =>
    pickers.filter((_, at) => wanted(indexes[at] as FieldIndex));
  const detectionPickers = only((index) => !index.isCandidateField);
  const permitPickers = only((index) => index.isCandidateField && index.asksPermits);
  const guardPickers = only((index) => index.isCandidateField && index.asksGuards);

  const found = new Int32Array(policies.length);
  const picked = createPicked(pickers.length);
  const { offsets, either, groupEnds } = picked;
  const { words, summaryWords } = pool;
  const guardWord = guardFrom >> 5;
  // What is left after the detection's own facts: words that are not zero, and their bits.
  const leftWords = new Int32Array(words);
  const leftBits = new Int32Array(words);
  let left = 0;
  let leftPermits = 0;

  const pick = (chosen: readonly Picker[], facts: FieldFacts, first: number): void => {
    let count = 0;
    picked.groups = 0;
    if (first >= 0) offsets[count++] = first;
    for (let at = 0; at < chosen.length; at += 1) {
      const offset = (chosen[at] as Picker)(facts, picked);
      if (offset >= 0) offsets[count++] = offset;
    }
    picked.count = count;
  };

  /** Bits that pass every picked vector, and one of each group, at this distance from the vectors' starts. */
  const passing = (bits: number, distance: number): number => {
    let passed = bits;
    const { count, groups } = picked;
    for (let at = 0; at < count && passed !== 0; at += 1) passed &= data[(offsets[at] as number) + distance] as number;
    let from = 0;
    for (let group = 0; group < groups && passed !== 0; group += 1) {
      const end = groupEnds[group] as number;
      let any = 0;
      for (; from < end; from += 1) any |= data[(either[from] as number) + distance] as number;
      passed &= any;
    }
    return passed;
  };

  const intersect = (chosen: readonly Picker[], facts: FieldFacts): void => {
    pick(chosen, facts, chosen.length === 0 ? everything : -1);
    left = 0;
    leftPermits = -1;
    for (let group = 0; group < summaryWords; group += 1) {
      let summary = passing(-1, words + group);
      while (summary !== 0) {
        const lowest = summary & -summary;
        summary ^= lowest;
        const word = (group << 5) + (31 - Math.clz32(lowest));
        const bits = passing(-1, word);
        if (bits === 0) continue;
        if (leftPermits < 0 && word >= guardWord) leftPermits = left;
        leftWords[left] = word;
        leftBits[left] = bits;
        left += 1;
      }
    }
    if (leftPermits < 0) leftPermits = left;
  };

  /** Writes the policies of the words left between `from` and `to` that also pass what is picked; positions ascend. */
  const collect = (from: number, to: number, facts: FieldFacts): number => {
    let total = 0;
    for (let at = from; at < to; at += 1) {
      const word = leftWords[at] as number;
      let bits = passing(leftBits[at] as number, word);
      while (bits !== 0) {
        const lowest = bits & -bits;
        bits ^= lowest;
        const row = (word << 5) + (31 - Math.clz32(lowest));
        const conditions = residual[row];
        if (conditions !== undefined) {
          const { policy, unless } = entries[row] as CompiledPolicy;
          if (!holds(conditions, unless, policy.kind === "guard", facts)) continue;
        }
        found[total++] = positions[row] as number;
      }
    }
    if (total > 1) sortFound(found, total);
    return total;
  };

  return {
    found,
    all: (facts) => {
      intersect(pickers, facts);
      picked.count = 0;
      picked.groups = 0;
      return collect(0, left, facts);
    },
    begin: (facts) => intersect(detectionPickers, facts),
    canGrant: (target) => leftPermits !== 0 && selectors(target) >= 0,
    permits: (facts, target) => {
      const selector = leftPermits === 0 ? -1 : selectors(target);
      if (selector < 0) return 0;
      pick(permitPickers, facts, selector);
      return collect(0, leftPermits, facts);
    },
    guards: (facts) => {
      if (leftPermits === left) return 0;
      pick(guardPickers, facts, -1);
      return collect(leftPermits, left, facts);
    },
  };
};

/** Permits by target selector, for each type and role an entity can have; -1 where no permit means such a target. */
const buildSelectors = (
  pool: VectorPool,
  entries: readonly (CompiledPolicy | undefined)[],
  allRows: Int32Array,
  guardFrom: number,
): ((target: Entity) => number) => {
  const roles = [undefined, ...entityRoles];
  const rowsBySelector = new Map<string, number[]>();
  for (let row = 0; row < Math.min(guardFrom, entries.length); row += 1) {
    const policy = entries[row]?.policy;
    if (policy?.kind !== "permit") continue;
    const rows = rowsBySelector.get(policy.do.target);
    if (rows === undefined) rowsBySelector.set(policy.do.target, [row]);
    else rows.push(row);
  }
  const offsets = new Map<string, Map<string | undefined, number>>();
  for (const type of entityTypes) {
    const byRole = new Map<string | undefined, number>();
    offsets.set(type, byRole);
    for (const role of roles) {
      const target = { type, value: "", ...(role !== undefined && { role }) };
      const bits = new Int32Array(allRows.length);
      let any = false;
      for (const [selector, rows] of rowsBySelector) {
        if (!selects(selector, target)) continue;
        any = true;
        for (const row of rows) setBit(bits, row);
      }
      byRole.set(role, any ? pool.add(bits) : -1);
    }
  }
  return (target) => offsets.get(target.type)?.get(target.role) ?? -1;
};

/** Few are found as a rule; the sort of typed arrays costs more than it saves below this. */
const insertionSortMax = 48;

const sortFound = (found: Int32Array, count: number): void => {
  if (count > insertionSortMax) {
    found.subarray(0, count).sort();
    return;
  }
  for (let at = 1; at < count; at += 1) {
    const value = found[at] as number;
    let to = at - 1;
    while (to >= 0 && (found[to] as number) > value) {
      found[to + 1] = found[to] as number;
      to -= 1;
    }
    found[to + 1] = value;
  }
};
