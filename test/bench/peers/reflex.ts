import { type CompiledBundle, compileBundle, compilePolicies } from "@reflex/policies/engine/compile";
import { gatherAssets } from "@reflex/policies/engine/facts";
import { emptyFieldFacts, type FieldFacts, setDetectionFacts } from "@reflex/policies/engine/field-facts";
import { createBundle, createWeights, site } from "../bundle.ts";
import type { WorkItem } from "../workload.ts";
import type { Engine } from "./engine.ts";

/** Ours, used the way `decide` uses it. Like the peers it is given facts with their conversions done. */
export const reflex: Engine = {
  name: "reflex",
  given: "compilePolicies; matcher.all on facts, positions turned into ids",
  load: async (workload) => {
    const startedMs = performance.now();
    const compiled = compilePolicies(workload.policies, {});
    const buildMs = performance.now() - startedMs;
    const bundle = compileBundle(createBundle(workload), createWeights());
    if (!compiled.ok || !bundle.ok) throw new Error(JSON.stringify([compiled, bundle].find(({ ok }) => !ok)));
    const facts = workload.items.map((item) => factsOf(bundle.value, item));
    const { matcher, policies } = compiled.value;
    const ids = policies.map(({ policy }) => policy.id);
    const match = (index: number): string[] => {
      const count = matcher.all(facts[index] ?? unknownFacts);
      const matched: string[] = [];
      for (let position = 0; position < count; position += 1) matched.push(ids[matcher.found[position] ?? -1] ?? "");
      return matched;
    };
    return { buildMs, inFlight: 1, match };
  },
};

const unknownFacts = emptyFieldFacts();

/** The class of the destination is looked up in the inventory here, so agreement shows that the inventory knows it. */
const factsOf = (compiled: CompiledBundle, { detection }: WorkItem): FieldFacts => {
  const facts = emptyFieldFacts();
  const assets = gatherAssets(compiled, detection);
  const { confidence, source } = detection;
  // Policies of the benchmark do not ask for the score, and calibration is no part of matching.
  const noScore = 0;
  setDetectionFacts(facts, compiled.used, detection, assets, [source.domain], site, confidence, noScore);
  return facts;
};
