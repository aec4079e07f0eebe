import { readFileSync } from "node:fs";
import type { Detection } from "@reflex/protocol/detection";
import { checkDetection } from "@reflex/protocol/validate";
import { describe, expect, test } from "vitest";
import { defaultHomeNets } from "../address.ts";
import { type JsonFormat, normalisers, recogniseFormat } from "./recognise.ts";

type Case = {
  readonly name: string;
  readonly record: unknown;
  readonly expect: {
    readonly kind: string;
    readonly reason?: string;
    readonly code?: string;
    /** Fields that must be exactly so. */
    readonly detection?: Partial<Detection>;
    readonly absent?: readonly string[];
    readonly tags?: readonly string[];
    /** All entities, `role value`. */
    readonly roles?: readonly string[];
    readonly origin?: string;
    readonly ruleId?: string;
    readonly ruleName?: string;
    readonly domain?: string;
  };
};

const casesOf = (format: JsonFormat): readonly Case[] =>
  JSON.parse(readFileSync(new URL(`../fixtures/${format}.json`, import.meta.url), "utf8")) as Case[];

for (const format of ["native", "suricata", "wazuh"] as const) {
  describe(format, () => {
    test.each(casesOf(format).map((one) => [one.name, one] as const))("%s", (_name, { record, expect: expected }) => {
      const normalised = normalisers[format](record, { homeNets: defaultHomeNets });
      expect(normalised.kind).toBe(expected.kind);
      if (normalised.kind === "not_detection") expect(normalised.reason).toBe(expected.reason);
      if (normalised.kind === "dead_letter") expect(normalised.refusal.code).toBe(expected.code);
      if (normalised.kind !== "detection") return;
      const { detection } = normalised;
      expect(checkDetection(detection)).toEqual({ ok: true, value: detection });
      expect(recogniseFormat(record)).toBe(format);
      expect(detection).toMatchObject(expected.detection ?? {});
      for (const field of expected.absent ?? []) expect(detection).not.toHaveProperty(field);
      expect(detection.tags).toEqual(expect.arrayContaining([...(expected.tags ?? [])]));
      const roles = detection.entities.map(({ role, value }) => `${role} ${value}`);
      if (expected.roles !== undefined) expect(roles).toEqual(expected.roles);
      const { rule, source } = detection;
      const said = { origin: rule.origin, ruleId: rule.id, ruleName: rule.name, domain: source.domain };
      for (const [key, value] of Object.entries(said)) {
        if (key in expected) expect(value).toBe(expected[key as keyof typeof expected]);
      }
    });
  });
}

test("a shape that is nobody's is not guessed", () => {
  for (const value of [null, 7, "x", [], {}, { timestamp: "2026-03-01T10:00:00Z" }, { rule: { level: 3 } }]) {
    expect(recogniseFormat(value)).toBeUndefined();
  }
});

test("every list and name is bounded, and says where it was cut", () => {
  const long = "x".repeat(5_000);
  const normalised = normalisers.native(
    {
      event_id: "e",
      timestamp: "2026-03-01T10:00:00Z",
      tags: Array.from({ length: 200 }, (_, index) => `${index}-${long}`),
      rule: { id: long, name: long, origin: long },
      recommended_action: long,
      policy_scope: long,
      enrichment: Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`k${index}`, long])),
    },
    { homeNets: [] },
  );
  if (normalised.kind !== "detection") throw new Error(normalised.kind);
  expect(checkDetection(normalised.detection).ok).toBe(true);
  expect(normalised.detection.tags).toHaveLength(64);
  expect(normalised.detection.tags.at(-1)).toBe("tags:cut");
});
