import { type Entity, entityRoles, entityTypes } from "@reflex/protocol/entity";
import type { AddressRange } from "./address.ts";
import { isPoint } from "./address.ts";
import { createVectorPool, setBit, type VectorPool } from "./bit-vectors.ts";
import type { CompiledPolicy } from "./compile.ts";
import { type CheckedCondition, no, yes } from "./conditions.ts";
import type { FieldFacts } from "./field-facts.ts";
import { addressCell, buildField, type Cell, type FieldIndex, type FieldRow } from "./field-index.ts";
import { exceptionApplies, type Matcher, selects } from "./match.ts";
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
    const byField = new Map<number, CheckedCondition[]>();
    for (const condition of entry.match)
      byField.set(condition.index, [...(byField.get(condition.index) ?? []), condition]);
    for (const [field, conditions] of byField) {
      const rows = rowsByField.get(field) ?? [];
      rowsByField.set(field, rows);
      rows.push({ row, isGuard: entry.policy.kind === "guard", conditions });
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
  const offsets = new Int32Array(pickers.length + 1);
  const { words, summaryWords } = pool;
  const guardWord = guardFrom >> 5;
  // What is left after the detection's own facts: words that are not zero, and their bits.
  const leftWords = new Int32Array(words);
  const leftBits = new Int32Array(words);
  let left = 0;
  let leftPermits = 0;

  const intersect = (chosen: readonly Picker[], facts: FieldFacts): void => {
    let count = chosen.length;
    for (let at = 0; at < count; at += 1) offsets[at] = (chosen[at] as Picker)(facts);
    if (count === 0) offsets[count++] = everything;
    left = 0;
    leftPermits = -1;
    const first = offsets[0] as number;
    for (let group = 0; group < summaryWords; group += 1) {
      let summary = data[first + words + group] as number;
      for (let at = 1; at < count && summary !== 0; at += 1)
        summary &= data[(offsets[at] as number) + words + group] as number;
      while (summary !== 0) {
        const lowest = summary & -summary;
        summary ^= lowest;
        const word = (group << 5) + (31 - Math.clz32(lowest));
        let bits = data[first + word] as number;
        for (let at = 1; at < count && bits !== 0; at += 1) bits &= data[(offsets[at] as number) + word] as number;
        if (bits === 0) continue;
        if (leftPermits < 0 && word >= guardWord) leftPermits = left;
        leftWords[left] = word;
        leftBits[left] = bits;
        left += 1;
      }
    }
    if (leftPermits < 0) leftPermits = left;
  };

  /** Writes the policies of the words left between `from` and `to` that also pass `chosen`; positions ascend. */
  const collect = (from: number, to: number, count: number, facts: FieldFacts): number => {
    let total = 0;
    for (let at = from; at < to; at += 1) {
      const word = leftWords[at] as number;
      let bits = leftBits[at] as number;
      for (let picked = 0; picked < count && bits !== 0; picked += 1)
        bits &= data[(offsets[picked] as number) + word] as number;
      while (bits !== 0) {
        const lowest = bits & -bits;
        bits ^= lowest;
        const row = (word << 5) + (31 - Math.clz32(lowest));
        const conditions = residual[row];
        if (conditions !== undefined && !holdsResidual(entries[row], conditions, facts)) continue;
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
      return collect(0, left, 0, facts);
    },
    begin: (facts) => intersect(detectionPickers, facts),
    permits: (facts, target) => {
      const selector = selectors(target);
      if (selector < 0 || leftPermits === 0) return 0;
      offsets[0] = selector;
      for (let at = 0; at < permitPickers.length; at += 1) offsets[at + 1] = (permitPickers[at] as Picker)(facts);
      return collect(0, leftPermits, permitPickers.length + 1, facts);
    },
    guards: (facts) => {
      if (leftPermits === left) return 0;
      for (let at = 0; at < guardPickers.length; at += 1) offsets[at] = (guardPickers[at] as Picker)(facts);
      return collect(leftPermits, left, guardPickers.length, facts);
    },
  };
};

const holdsResidual = (
  entry: CompiledPolicy | undefined,
  conditions: readonly CheckedCondition[],
  facts: FieldFacts,
): boolean => {
  if (entry === undefined) return false;
  const isGuard = entry.policy.kind === "guard";
  for (const { test } of conditions) {
    const truth = test(facts);
    if (truth === no || (truth !== yes && !isGuard)) return false;
  }
  return !exceptionApplies(entry, facts, isGuard);
};

/** Offset of the vector of this fact. */
type Picker = (facts: FieldFacts) => number;

/**
 * A value that few policies name is patched into the field's scratch copy; the patch before is taken out first. So a picked
 * offset is good until the same field is picked again.
 */
const createPicker = (data: Int32Array, pool: VectorPool, index: FieldIndex): Picker => {
  const { words } = pool;
  const { field, base, missing, scratch, byWord } = index;
  let applied: Cell[] = [];
  const clean = (): void => {
    for (const patch of applied) {
      if (typeof patch === "number") continue;
      for (let at = 0; at < patch.length; at += 2) {
        const word = patch[at] as number;
        data[scratch + word] = data[base + word] as number;
        const group = words + (word >> 5);
        data[scratch + group] = data[base + group] as number;
      }
    }
    applied.length = 0;
  };
  const write = (word: number, bits: number): void => {
    data[scratch + word] = bits;
    if (bits !== 0) {
      const group = scratch + words + (word >> 5);
      data[group] = (data[group] as number) | (1 << (word & 31));
    }
  };
  const offsetOf = (cell: Cell | undefined): number => {
    if (cell === undefined) return base;
    if (typeof cell === "number") return cell;
    if (applied[0] === cell) return scratch;
    clean();
    for (let at = 0; at < cell.length; at += 2) write(cell[at] as number, cell[at + 1] as number);
    applied.push(cell);
    return scratch;
  };
  switch (index.type) {
    case "word":
    case "ordinal":
    case "flag":
      return (facts) => {
        const fact = facts[field];
        return fact === undefined ? missing : offsetOf(byWord.get(fact));
      };
    case "words":
      return (facts) => {
        const list = facts[field] as readonly string[] | undefined;
        if (list === undefined) return missing;
        if (applied.length > 0) clean();
        for (let each = 0; each < list.length; each += 1) {
          const patch = byWord.get(list[each]);
          if (patch === undefined || typeof patch === "number") continue;
          // Two words may touch one word of bits: both must stay in.
          for (let at = 0; at < patch.length; at += 2) {
            const word = patch[at] as number;
            write(word, (data[scratch + word] as number) | (patch[at + 1] as number));
          }
          applied.push(patch);
        }
        return applied.length === 0 ? base : scratch;
      };
    case "decimal": {
      const { cuts, offsets } = index.decimals ?? { cuts: new Int32Array(1), offsets: new Int32Array([base]) };
      return (facts) => {
        const value = facts[field];
        if (typeof value !== "number") return missing;
        let low = 0;
        let high = cuts.length;
        while (low < high) {
          const middle = (low + high) >>> 1;
          if ((cuts[middle] as number) <= value) low = middle + 1;
          else high = middle;
        }
        return offsets[low - 1] ?? base;
      };
    }
    case "address":
      return (facts) => {
        const fact = facts[field] as AddressRange | undefined;
        if (fact === undefined) return missing;
        if (isPoint(fact))
          return offsetOf(index.addresses === undefined ? undefined : addressCell(index.addresses, fact));
        clean();
        const patch = networkPatch(data, base, index, facts);
        for (let at = 0; at < patch.length; at += 2) write(patch[at] as number, patch[at + 1] as number);
        applied = [patch];
        return scratch;
      };
  }
};

/** A whole network lies in many stretches, so each row's own conditions are asked; only block_range has such targets. */
const networkPatch = (data: Int32Array, base: number, index: FieldIndex, facts: FieldFacts): Int32Array => {
  const changed = new Map<number, number>();
  for (const { row, conditions } of index.rows) {
    const holds = conditions.every(({ test }) => test(facts) === yes);
    const word = row >> 5;
    const bits = changed.get(word) ?? (data[base + word] as number);
    changed.set(word, holds ? bits | (1 << (row & 31)) : bits & ~(1 << (row & 31)));
  }
  return Int32Array.from([...changed].flat());
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
