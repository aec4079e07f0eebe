import { describe, expect, test } from "vitest";
import { checkAgreement } from "./agreement.ts";
import { engineNames, loadEngine } from "./engines.ts";
import { matchNaively } from "./reference.ts";
import { createWorkload } from "./workload.ts";

const policyCount = 100;
const detectionCount = 200;
const everything = { budgetMs: Number.POSITIVE_INFINITY, checkedMin: detectionCount };
const workload = createWorkload(policyCount, undefined, detectionCount);

describe("a comparison compares like with like", () => {
  test.each(engineNames)("%s sees the same policies and detections as the obvious answer", async (name) => {
    const loaded = await (await loadEngine(name)).load(workload);
    const { checked, mismatches, first } = await checkAgreement(workload, loaded, everything);
    expect(first).toBeUndefined();
    expect({ checked, mismatches }).toEqual({ checked: detectionCount, mismatches: 0 });
  });

  test("the workload has something to agree about, on every field it uses", () => {
    const matchedIds = new Set(workload.items.flatMap((item) => matchNaively(workload.policies, item)));
    const matched = workload.policies.filter(({ id }) => matchedIds.has(id));
    const fields = (policies: typeof matched) =>
      new Set(policies.flatMap(({ match }) => match.map(({ field }) => field)));
    expect(matched.length).toBeGreaterThan(5);
    expect(fields(matched)).toEqual(fields([...workload.policies]));
  });

  test("an engine that misses, invents or repeats a match is found out", async () => {
    const answers = workload.items.map((item) => matchNaively(workload.policies, item));
    const wrongs = [
      (ids: readonly string[]) => ids.slice(1),
      (ids: readonly string[]) => [...ids, "action/p-99999"],
      (ids: readonly string[]) => [...ids, ...ids],
    ];
    for (const wrong of wrongs) {
      const loaded = { buildMs: 0, inFlight: 1, match: (index: number) => wrong(answers[index] ?? []) };
      const { mismatches } = await checkAgreement(workload, loaded, everything);
      expect(mismatches).toBeGreaterThan(0);
    }
  });

  test("the same seed gives the same workload, another seed another one", () => {
    expect(createWorkload(policyCount, undefined, detectionCount)).toEqual(workload);
    expect(createWorkload(policyCount, 7, detectionCount)).not.toEqual(workload);
  });

  test("a smaller set of policies is the beginning of a larger one", () => {
    expect(createWorkload(10, undefined, detectionCount).policies).toEqual(workload.policies.slice(0, 10));
  });
});
