import { engine } from "@reflex/policies/engine/engine";
import { lintDraft } from "@reflex/policies/language/lint";
import { draftToBundle } from "@reflex/policies/language/parse-set";
import { type Arguments, UsageError } from "../arguments.ts";
import { parsePolicyFolder, testBundle } from "../policy-folder.ts";

const folderOf = (args: Arguments): string => {
  const dir = args.words[2] ?? args.text("dir");
  if (dir === undefined)
    throw new UsageError(`which folder? reflexctl policy ${args.words[1]} policies/library/starter`);
  return dir;
};

/** Parses and lints a policy folder. Errors end with exit code 1; warnings do not. */
export const policyCheck = (args: Arguments): string => {
  const draft = parsePolicyFolder(folderOf(args));
  const warnings = lintDraft(draft);
  return [
    ...warnings.map(
      (warning) => `warning: ${warning.file}:${warning.line}:${warning.column}: ${warning.message}; ${warning.fix}`,
    ),
    `${draft.policies.length} policies, no errors, ${warnings.length} warnings`,
  ].join("\n");
};

/** Runs every case of the folder on this engine, as the controller and each agent do again. */
export const policyTest = (args: Arguments, now: Date): { readonly text: string; readonly failed: number } => {
  const draft = parsePolicyFolder(folderOf(args));
  const site = args.texts("site")[0] ?? "any";
  const bundle = draftToBundle(draft, {
    org: args.text("org") ?? "any",
    sites: ["*"],
    version: 1,
    issuedAt: now.toISOString(),
    changelog: "",
    engine,
  });
  const report = testBundle(bundle, site);
  const lines = report.failures.map(
    (failure) =>
      `FAIL ${failure.policy}: ${failure.name}\n${failure.differences.map((difference) => `     ${difference}`).join("\n")}`,
  );
  return {
    text: [...lines, `${report.passed} cases passed, ${report.failed} failed`].join("\n"),
    failed: report.failed,
  };
};
