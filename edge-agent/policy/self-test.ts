import { runCases } from "@reflex/policies/cases/run-cases";
import { compileBundle } from "@reflex/policies/engine/compile";
import { decideForCase } from "@reflex/policies/engine/decide-case";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { checkBundle } from "@reflex/protocol/validate";
import { emptyWeights } from "@reflex/protocol/weights";
import type { Crypto } from "../ports.ts";
import { readJson } from "./open-signed.ts";

/**
 * Reads, compiles and decides as the agent will, from the signed bytes on, with this build of the engine. The publisher's own run
 * proves nothing here: CrowdStrike's validator of July 2024 passed 21 fields to an interpreter that had 20.
 */
export const selfTestBundle = (crypto: Crypto, payload: Uint8Array, site: string): Result<void, Refusal> => {
  const bundle = readJson(crypto, payload, checkBundle);
  if (!bundle.ok) return bundle;
  const compiled = compileBundle(bundle.value, emptyWeights(bundle.value.aud.org));
  if (!compiled.ok) return compiled;
  const report = runCases(bundle.value, (bundleCase) => decideForCase(compiled.value, site, bundleCase));
  if (report.failed === 0) return ok(undefined);
  const first = report.failures[0];
  const what = `${report.failed} of ${report.passed + report.failed} cases fail at site ${site}`;
  return err(
    refusal("self-test-failed", `${what}; ${first?.policy}: ${first?.name}: ${first?.differences[0]}`.slice(0, 512)),
  );
};
