import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { actions } from "@reflex/protocol/action";
import { Bundle, type BundleCase } from "@reflex/protocol/bundle";
import { layers, type Policy } from "@reflex/protocol/policy";
import { emptyWeights } from "@reflex/protocol/weights";
import Schema from "typebox/schema";
import Value from "typebox/value";
import { describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { formatCaseReport, runCases } from "../cases/run-cases.ts";
import { compileBundle } from "../engine/compile.ts";
import { decideForCase } from "../engine/decide-case.ts";
import { engine } from "../engine/engine.ts";
import { repositorySchemas } from "../language/json-schema.ts";
import { lintDraft } from "../language/lint.ts";
import { draftToBundle, parsePolicySet } from "../language/parse-set.ts";
import { formatPolicyError } from "../language/policy-error.ts";

const folder = join(dirname(fileURLToPath(import.meta.url)), "starter");
const files = new Map(
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => [path.slice(folder.length + 1).replaceAll("\\", "/"), readFileSync(path, "utf8")]),
);

const draftOf = () => {
  const set = parsePolicySet(files);
  if (!set.ok) throw new Error(set.error.map(formatPolicyError).join("\n"));
  return set.value;
};
const draft = draftOf();
const bundle = draftToBundle(draft, {
  org: "example",
  sites: ["*"],
  version: 1,
  issuedAt: "2026-01-01T00:00:00.000Z",
  changelog: "",
  engine,
});

const reportOf = (policies: readonly Policy[], site: string) => {
  const compiled = compileBundle({ ...bundle, policies: [...policies] }, emptyWeights("example"));
  if (!compiled.ok) throw new Error(compiled.error.detail);
  return runCases(bundle, (one: BundleCase) => decideForCase(compiled.value, site, one));
};

describe("the starter repository", () => {
  test("has no errors and no warnings", () => {
    expect(lintDraft(draft).map(formatPolicyError)).toEqual([]);
  });

  test("is a legal bundle", () => {
    expect([...Value.Errors(Bundle, bundle)]).toEqual([]);
  });

  test.each(["hq", "plant"])("passes its own cases on an agent of site %s", (site) => {
    const report = reportOf(bundle.policies, site);
    expect(report.failed, formatCaseReport(report)).toBe(0);
    expect(report.passed).toBeGreaterThanOrEqual(2 * 12);
  });

  test("speaks in all four layers", () => {
    expect(new Set(bundle.policies.map(({ layer }) => layer))).toEqual(new Set(layers));
  });

  test("routes every action there is", () => {
    const routed = new Set<string>(bundle.routing.map(({ action }) => action));
    expect(Object.keys(actions).filter((action) => !routed.has(action))).toEqual([]);
  });

  test.each(bundle.policies.map((policy) => [policy.id]))("%s is needed: without it a case fails", (id) => {
    expect(
      reportOf(
        bundle.policies.filter((policy) => policy.id !== id),
        "hq",
      ).failed,
    ).toBeGreaterThan(0);
  });

  test("says the same to an editor: every file fits its JSON Schema", () => {
    const schemas = repositorySchemas();
    const compiled = new Map(
      Object.entries(schemas).map(([name, schema]) => [name, Schema.Compile(schema as Record<string, unknown>)]),
    );
    const schemaName = (path: string): string =>
      path.startsWith("policies/")
        ? "policy.schema.json"
        : path.startsWith("lists/")
          ? "list.schema.json"
          : path.replace(".yaml", ".schema.json");
    const unfit = [...files].filter(([path, text]) => compiled.get(schemaName(path))?.Check(parseYaml(text)) !== true);
    expect(unfit.map(([path]) => path)).toEqual([]);
  });

  test("tells editors where the schema is", () => {
    const untold = [...files].filter(
      ([path, text]) =>
        path.startsWith("policies/") &&
        !text.startsWith("# yaml-language-server: $schema=../../../../schema/policy.schema.json\n"),
    );
    expect(untold.map(([path]) => path)).toEqual([]);
  });
});
