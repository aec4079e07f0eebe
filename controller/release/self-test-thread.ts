import { parentPort, workerData } from "node:worker_threads";
import { runCases } from "@reflex/policies/cases/run-cases";
import { compileBundle } from "@reflex/policies/engine/compile";
import { decideForCase } from "@reflex/policies/engine/decide-case";
import { refusal } from "@reflex/protocol/refusal";
import { checkBundle } from "@reflex/protocol/validate";
import { emptyWeights } from "@reflex/protocol/weights";

// Compiles and runs a bundle's own cases on this engine, beside the process that serves agents. Answers a refusal or null.
const { payload, sites }: { readonly payload: string; readonly sites: readonly string[] } = workerData;

const answer = () => {
  const bundle = checkBundle(JSON.parse(payload));
  if (!bundle.ok) return bundle.error;
  const compiled = compileBundle(bundle.value, emptyWeights(bundle.value.aud.org));
  if (!compiled.ok) return compiled.error;
  for (const site of sites) {
    const report = runCases(bundle.value, (bundleCase) => decideForCase(compiled.value, site, bundleCase));
    const first = report.failures[0];
    if (first !== undefined) {
      const what = `${report.failed} of ${report.passed + report.failed} cases fail at site ${site}`;
      return refusal(
        "self-test-failed",
        `${what}; ${first.policy}: ${first.name}: ${first.differences[0]}`.slice(0, 512),
      );
    }
  }
  return null;
};
parentPort?.postMessage(answer());
