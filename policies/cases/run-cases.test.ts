import type { BundleCase } from "@reflex/protocol/bundle";
import { Detection } from "@reflex/protocol/detection";
import Value from "typebox/value";
import { describe, expect, test } from "vitest";
import { caseDefaults, caseToBundleCase, caseToDetection } from "./case-detection.ts";
import { type CaseDecision, formatCaseReport, runCases } from "./run-cases.ts";

const bundleCase = (expectation: BundleCase["expect"]): BundleCase => ({
  policy: "action/a",
  name: "n",
  detection: caseDefaults,
  expect: expectation,
});
const decided: CaseDecision = {
  verdict: "act",
  justification: "because",
  candidates: [
    {
      action: "block_ip",
      target: { type: "address", value: "203.0.113.9" },
      verdict: "act",
      permits: [{ id: "action/a", layer: "action", effect: "allow" }],
      guards: [{ id: "global/g", layer: "global", effect: "restrict" }],
    },
    {
      action: "isolate_host",
      target: { type: "host", value: "dc01" },
      verdict: "refuse",
      permits: [{ id: "action/b", layer: "action", effect: "allow" }],
      guards: [],
    },
  ],
};
const differencesOf = (expectation: BundleCase["expect"]): readonly string[] =>
  runCases({ cases: [bundleCase(expectation)] }, () => decided).failures.flatMap(({ differences }) => differences);

describe("a case", () => {
  test("passes when verdict, actions and policies are as it says", () => {
    const expectation = {
      verdict: "act",
      actions: ["block_ip address 203.0.113.9"],
      policies: ["global/g", "action/b"],
    } as const;
    expect(
      differencesOf({ ...expectation, actions: [...expectation.actions], policies: [...expectation.policies] }),
    ).toEqual([]);
  });

  test("says exactly what differs", () => {
    expect(
      differencesOf({ verdict: "refuse", actions: ["block_ip address 203.0.113.9"], policies: ["global/x"] }),
    ).toEqual([
      "verdict is act, expected refuse (because)",
      "missing with verdict refuse: block_ip address 203.0.113.9",
      "not expected with verdict refuse: isolate_host host dc01",
      "global/x did not decide; decided by action/a, action/b, global/g",
    ]);
  });

  test("that expects no action fails when there is one", () => {
    expect(differencesOf({ verdict: "act", actions: [] })).toHaveLength(1);
  });

  test("fails when the engine throws, and the others still run", () => {
    const cases = [bundleCase({ verdict: "act" }), bundleCase({ verdict: "act" })];
    let calls = 0;
    const report = runCases({ cases }, () => {
      calls += 1;
      if (calls === 1) throw new Error("boom");
      return decided;
    });
    expect(report).toMatchObject({ passed: 1, failed: 1 });
    expect(formatCaseReport(report)).toBe("action/a: n\n  the engine failed: boom\n1 of 2 cases pass");
  });
});

describe("a case's short form", () => {
  test("is a legal detection whatever it leaves out", () => {
    expect(Value.Check(Detection, caseToDetection({}))).toBe(true);
    expect(caseToDetection({ rule: { origin: "known_ioc" }, tags: ["a"] })).toEqual({
      ...caseDefaults,
      tags: ["a"],
      rule: { ...caseDefaults.rule, origin: "known_ioc" },
    });
  });

  test("names groups of its own policy's limit by themselves, of others with the policy", () => {
    const { limits } = caseToBundleCase("global/a", {
      name: "n",
      detection: {},
      given: { limits: { servers: 3, "global/b|agent": 1 } },
      expect: { verdict: "act" },
    });
    expect(limits).toEqual({ "global/a|servers": 3, "global/b|agent": 1 });
  });
});
