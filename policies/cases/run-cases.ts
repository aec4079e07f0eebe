import type { Bundle, BundleCase } from "@reflex/protocol/bundle";
import type { Candidate, Decision } from "@reflex/protocol/decision";
import { entityText } from "@reflex/protocol/entity";

/** What a case can be compared with; a whole decision fits. */
export type CaseDecision = {
  readonly verdict: Decision["verdict"];
  readonly candidates: readonly Pick<Candidate, "action" | "target" | "verdict" | "permits" | "guards">[];
  readonly justification?: string;
};
/** The engine's part: decides a case's detection in the context the case gives. */
export type DecideCase = (bundleCase: BundleCase) => CaseDecision;

export type CaseFailure = {
  readonly policy: string;
  readonly name: string;
  /** One sentence per difference, never empty. */
  readonly differences: readonly string[];
};
export type CaseReport = {
  readonly passed: number;
  readonly failed: number;
  readonly failures: readonly CaseFailure[];
};

/** Runs every case of a bundle. An engine that throws on a case fails the case, never the run. */
export const runCases = (bundle: Pick<Bundle, "cases">, decideCase: DecideCase): CaseReport => {
  const failures = bundle.cases.flatMap((bundleCase) => {
    const differences = differencesOf(bundleCase, decideCase);
    return differences.length === 0 ? [] : [{ policy: bundleCase.policy, name: bundleCase.name, differences }];
  });
  return { passed: bundle.cases.length - failures.length, failed: failures.length, failures };
};

const differencesOf = (bundleCase: BundleCase, decideCase: DecideCase): string[] => {
  try {
    return compare(bundleCase.expect, decideCase(bundleCase));
  } catch (error) {
    return [`the engine failed: ${error instanceof Error ? error.message : "unknown error"}`];
  }
};

const compare = (expect: BundleCase["expect"], decision: CaseDecision): string[] => {
  const differences: string[] = [];
  if (decision.verdict !== expect.verdict) {
    const reason = decision.justification === undefined ? "" : ` (${decision.justification})`;
    differences.push(`verdict is ${decision.verdict}, expected ${expect.verdict}${reason}`);
  }
  if (expect.actions !== undefined) {
    const actual = decision.candidates.filter(({ verdict }) => verdict === expect.verdict).map(actionText);
    differences.push(
      ...expect.actions
        .filter((action) => !actual.includes(action))
        .map((action) => `missing with verdict ${expect.verdict}: ${action}`),
      ...actual
        .filter((action) => !expect.actions?.includes(action))
        .map((action) => `not expected with verdict ${expect.verdict}: ${action}`),
    );
  }
  if (expect.policies !== undefined) {
    const determining = new Set(
      decision.candidates.flatMap(({ permits, guards }) => [...permits, ...guards].map(({ id }) => id)),
    );
    const others = determining.size === 0 ? "none decided" : `decided by ${[...determining].sort().join(", ")}`;
    differences.push(
      ...expect.policies.filter((id) => !determining.has(id)).map((id) => `${id} did not decide; ${others}`),
    );
  }
  return differences;
};

const actionText = ({ action, target }: CaseDecision["candidates"][number]): string =>
  `${action} ${entityText(target)}`;

/** One line per failing case, for terminals and logs. */
export const formatCaseReport = ({ passed, failed, failures }: CaseReport): string =>
  [
    ...failures.map(
      ({ policy, name, differences }) => `${policy}: ${name}\n${differences.map((line) => `  ${line}`).join("\n")}`,
    ),
    `${passed} of ${passed + failed} cases pass`,
  ].join("\n");
