import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { type CaseReport, runCases } from "@reflex/policies/cases/run-cases";
import { compileBundle } from "@reflex/policies/engine/compile";
import { decideForCase } from "@reflex/policies/engine/decide-case";
import { type BundleDraft, parsePolicySet } from "@reflex/policies/language/parse-set";
import { formatPolicyError } from "@reflex/policies/language/policy-error";
import type { Bundle } from "@reflex/protocol/bundle";
import { emptyWeights } from "@reflex/protocol/weights";
import { UsageError } from "./arguments.ts";

/** A policy repository is text; a file above this is not one. */
const fileBytesMax = 4 * 1024 * 1024;
const filesMax = 20_000;

/** Reads a policy repository: every YAML file below `dir` by its path with forward slashes. */
export const readPolicyFolder = (dir: string): ReadonlyMap<string, string> => {
  const files = new Map<string, string>();
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (/\.ya?ml$/.test(entry.name)) {
        if (statSync(path).size > fileBytesMax)
          throw new UsageError(`${path} is larger than ${fileBytesMax} bytes; a policy file is text written by people`);
        if (files.size >= filesMax)
          throw new UsageError(`${dir} holds more than ${filesMax} files; is it the right folder?`);
        files.set(relative(dir, path).split(sep).join("/"), readFileSync(path, "utf8"));
      }
    }
  };
  try {
    walk(dir);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(
      `cannot read the policy folder ${dir}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (files.size === 0)
    throw new UsageError(
      `no .yaml files below ${dir}; a policy repository has policies/, routing.yaml and settings.yaml`,
    );
  return files;
};

export const parsePolicyFolder = (dir: string): BundleDraft => {
  const parsed = parsePolicySet(readPolicyFolder(dir));
  if (parsed.ok) return parsed.value;
  throw new UsageError(parsed.error.map((error) => formatPolicyError(error)).join("\n"));
};

/** Runs every case of the bundle on this engine, as each agent will before it switches. */
export const testBundle = (bundle: Bundle, site: string): CaseReport => {
  const compiled = compileBundle(bundle, emptyWeights(bundle.aud.org));
  if (!compiled.ok) throw new UsageError(`${compiled.error.code}: ${compiled.error.detail}`);
  return runCases(bundle, (bundleCase) => decideForCase(compiled.value, site, bundleCase));
};
