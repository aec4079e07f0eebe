// One cell of the benchmark in a process of its own, so that no engine runs in the heap or the optimised code of another.
// The job comes as JSON in the first argument; the result goes out as one line of JSON.
import { type Agreement, checkAgreement } from "./agreement.ts";
import { loadEngine } from "./engines.ts";
import { type Budget, type Measured, measure } from "./measure.ts";
import type { WholeDecision } from "./whole-decision.ts";
import { createWorkload } from "./workload.ts";

export type Job = {
  readonly kind: "match" | "whole";
  readonly engine: string;
  readonly policies: number;
  readonly seed: number;
  readonly budget: Budget;
};
export type MatchCell = Measured & {
  readonly kind: "match";
  readonly engine: string;
  readonly policies: number;
  readonly given: string;
  readonly buildMs: number;
  readonly agreement: Agreement;
};
export type WholeCell = WholeDecision & { readonly kind: "whole"; readonly engine: string; readonly policies: number };
export type Cell = MatchCell | WholeCell;

const measureMatching = async ({ engine: name, policies, seed, budget }: Job): Promise<MatchCell> => {
  const workload = createWorkload(policies, seed);
  const engine = await loadEngine(name);
  const loaded = await engine.load(workload);
  const agreement = await checkAgreement(workload, loaded, {
    budgetMs: budget.checkMs,
    checkedMin: budget.checkedMin,
  });
  const subject = { call: loaded.match, inFlight: loaded.inFlight, streamLength: workload.items.length };
  const measured = await measure(subject, budget);
  return {
    kind: "match",
    engine: name,
    policies,
    given: engine.given,
    buildMs: loaded.buildMs,
    agreement,
    ...measured,
  };
};

const measureWhole = async ({ engine, policies, seed, budget }: Job): Promise<WholeCell> => {
  const { measureWholeDecision } = await import("./whole-decision.ts");
  return { kind: "whole", engine, policies, ...(await measureWholeDecision(createWorkload(policies, seed), budget)) };
};

const job = JSON.parse(process.argv[2] ?? "") as Job;
const cell: Cell = job.kind === "match" ? await measureMatching(job) : await measureWhole(job);
// Some engines keep threads that would hold the process open.
process.stdout.write(`${JSON.stringify(cell)}\n`, () => process.exit(0));
