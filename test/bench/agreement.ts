import type { Loaded } from "./peers/engine.ts";
import { matchNaively } from "./reference.ts";
import type { Workload } from "./workload.ts";

export type Agreement = {
  readonly checked: number;
  readonly mismatches: number;
  /** Policies that matched, over the checked detections. */
  readonly matches: number;
  /** The first difference, for whoever has to explain it. */
  readonly first?: {
    readonly detection: number;
    readonly missing: readonly string[];
    readonly surplus: readonly string[];
  };
};

/** Compares an engine's answers with the obvious ones: up to `checkedMax` detections, fewer when time runs out, never below `checkedMin`. */
export const checkAgreement = async (
  { policies, items }: Workload,
  { match }: Loaded,
  { budgetMs, checkedMin, checkedMax = 1_000 }: { budgetMs: number; checkedMin: number; checkedMax?: number },
): Promise<Agreement> => {
  const deadlineMs = performance.now() + budgetMs;
  let checked = 0;
  let mismatches = 0;
  let matches = 0;
  let first: Agreement["first"];
  for (const [detection, item] of items.slice(0, checkedMax).entries()) {
    if (checked >= checkedMin && performance.now() > deadlineMs) break;
    const expected = matchNaively(policies, item);
    const answer = [...(await match(detection))].sort();
    checked += 1;
    matches += expected.length;
    // Joined, not as sets: naming a policy twice is a mistake too.
    if (answer.join() === expected.join()) continue;
    mismatches += 1;
    first ??= {
      detection,
      missing: expected.filter((id) => !answer.includes(id)),
      surplus: answer.filter((id, index) => !expected.includes(id) || answer.indexOf(id) !== index),
    };
  }
  return { checked, mismatches, matches, ...(first === undefined ? {} : { first }) };
};
