import { type AddressRange, isPoint } from "./address.ts";
import { findAddress } from "./address-intervals.ts";
import { type Patch, patchOf, type VectorPool } from "./bit-vectors.ts";
import { yes } from "./conditions.ts";
import type { FieldFacts } from "./field-facts.ts";
import { type FieldIndex, findDecimal, noCell } from "./field-index.ts";

/**
 * Vectors picked for one set of facts: every one of `offsets[0..count)` has to pass, and of each group of `either` at least
 * one: a detection has several tags, and a policy wants one of them.
 */
export type Picked = {
  readonly offsets: Int32Array;
  count: number;
  readonly either: Int32Array;
  /** End of each group in `either`. */
  readonly groupEnds: Int32Array;
  groups: number;
};

export const createPicked = (fields: number): Picked => ({
  offsets: new Int32Array(fields + 2),
  count: 0,
  // More words than this are patched into one vector: how many a fact has is limited on the wire, not here.
  either: new Int32Array(256),
  groupEnds: new Int32Array(fields + 1),
  groups: 0,
});

/** Offset of the vector to intersect with, or -1 where a group was added to `picked` instead. */
export type Picker = (facts: FieldFacts, picked: Picked) => number;

/**
 * A value beyond the pool's bound is patched into the field's scratch copy of its base; the patch before is taken out first.
 * So what is picked is good until the same field is picked again.
 */
export const createPicker = (data: Int32Array, pool: VectorPool, index: FieldIndex): Picker => {
  const { field, base, missing, scratch, byWord, patches, decimals, addresses } = index;
  const bench = createScratch(data, pool, base, scratch);
  const vectorAt = (offset: number): Int32Array => data.subarray(offset, offset + pool.words);
  const vectorOf = (cell: number): number => {
    if (cell >= 0) return cell;
    if (cell === noCell) return base;
    bench.clean();
    bench.apply(patches[-1 - cell] as Patch);
    return scratch;
  };
  switch (index.type) {
    case "word":
    case "ordinal":
    case "flag":
      return (facts) => {
        const fact = facts[field];
        if (fact === undefined) return missing;
        const cell = byWord.get(fact);
        return cell === undefined ? base : vectorOf(cell);
      };
    case "decimal":
      return (facts) => {
        const fact = facts[field];
        return typeof fact === "number" ? vectorOf(findDecimal(decimals, fact)) : missing;
      };
    case "address":
      return (facts) => {
        const fact = facts[field] as AddressRange | undefined;
        if (fact === undefined) return missing;
        if (isPoint(fact)) return vectorOf(findAddress(addresses, fact));
        bench.clean();
        bench.apply(networkPatch(data, base, index, facts));
        return scratch;
      };
    case "words":
      return (facts, picked) => {
        const words = facts[field] as readonly string[] | undefined;
        return words === undefined ? missing : pickWords(words, picked);
      };
  }

  function pickWords(words: readonly string[], picked: Picked): number {
    const { either, groupEnds } = picked;
    const start = picked.groups === 0 ? 0 : (groupEnds[picked.groups - 1] as number);
    let end = start;
    let patched = false;
    for (let at = 0; at < words.length; at += 1) {
      const cell = byWord.get(words[at]);
      if (cell === undefined) continue;
      if (cell >= 0 && end < either.length - 1) either[end++] = cell;
      else {
        if (!patched) bench.clean();
        patched = true;
        bench.include(cell >= 0 ? patchOf(vectorAt(base), vectorAt(cell)) : (patches[-1 - cell] as Patch));
      }
    }
    // A value's vector holds the base as well, so the base need not be in the group beside it.
    if (end === start) return patched ? scratch : base;
    if (end === start + 1 && !patched) return either[start] as number;
    if (patched) either[end++] = scratch;
    groupEnds[picked.groups] = end;
    picked.groups += 1;
    return -1;
  }
};

type Scratch = {
  readonly clean: () => void;
  /** Words of the patch instead of the base's. */
  readonly apply: (patch: Patch) => void;
  /** Words of the patch together with what is there. */
  readonly include: (patch: Patch) => void;
};

const createScratch = (data: Int32Array, pool: VectorPool, base: number, scratch: number): Scratch => {
  const { words } = pool;
  let applied: Patch[] = [];
  const write = (word: number, bits: number): void => {
    data[scratch + word] = bits;
    // A word that became zero may keep its summary bit: the summary only spares looking.
    if (bits !== 0) {
      const group = scratch + words + (word >> 5);
      data[group] = (data[group] as number) | (1 << (word & 31));
    }
  };
  return {
    clean: () => {
      for (const patch of applied)
        for (let at = 0; at < patch.length; at += 2) {
          const word = patch[at] as number;
          data[scratch + word] = data[base + word] as number;
          const group = words + (word >> 5);
          data[scratch + group] = data[base + group] as number;
        }
      applied = [];
    },
    apply: (patch) => {
      for (let at = 0; at < patch.length; at += 2) write(patch[at] as number, patch[at + 1] as number);
      applied.push(patch);
    },
    include: (patch) => {
      for (let at = 0; at < patch.length; at += 2) {
        const word = patch[at] as number;
        write(word, (data[scratch + word] as number) | (patch[at + 1] as number));
      }
      applied.push(patch);
    },
  };
};

/** A whole network lies in many stretches, so each row's own conditions are asked; only block_range has such targets. */
const networkPatch = (data: Int32Array, base: number, index: FieldIndex, facts: FieldFacts): Patch => {
  const changed = new Map<number, number>();
  for (const { row, conditions } of index.rows) {
    const holds = conditions.every(({ test }) => test(facts) === yes);
    const word = row >> 5;
    const bits = changed.get(word) ?? (data[base + word] as number);
    changed.set(word, holds ? bits | (1 << (row & 31)) : bits & ~(1 << (row & 31)));
  }
  return Int32Array.from([...changed].flat());
};
