import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runCase } from "./cases.ts";
import { findSubjects } from "./find-subjects.ts";
import { caseNames } from "./subject.ts";

const subjects = await findSubjects(join(import.meta.dirname, "subjects"));

/** Most of a case is waiting for a far end that does not answer, so many wait at once. */
describe.concurrent("every connector proves itself", () => {
  for (const subject of subjects) {
    for (const name of caseNames) {
      // Each try opens everything anew: what is wrong fails twice, a busy machine does not.
      test(`${subject.name} ${subject.action}: ${name}`, { retry: 1 }, async (context) => {
        const result = await runCase(subject, name);
        if (result.kind === "missing") return context.skip(result.reason);
        if (result.kind === "not applicable") return expect(result.reason).toMatch(/\w+ \w+/);
        expect(result).toEqual({ kind: "pass" });
      });
    }
  }
});
