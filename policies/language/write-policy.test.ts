import { actionNames, actions } from "@reflex/protocol/action";
import { type Condition, Policy } from "@reflex/protocol/policy";
import fc from "fast-check";
import Schema from "typebox/schema";
import Value from "typebox/value";
import { describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { explainPolicy } from "./explain.ts";
import { type Field, type FieldName, fieldNames, fields, operatorsByType } from "./fields.ts";
import { policyFileSchema } from "./json-schema.ts";
import { canonicalConditions } from "./match-shape.ts";
import { operatorTable } from "./operators.ts";
import { parsePolicy } from "./parse.ts";
import { formatPolicyError } from "./policy-error.ts";
import { editPolicyText, writePolicy } from "./write-policy.ts";

const word = fc.oneof(
  fc.constantFrom("no", "true", "007", "1e3", "~", "a: b", "- x", "#x", "'", '"', "*x", "&x", "!x", "%x", "{", "null"),
  fc.string({ minLength: 1, maxLength: 12 }).filter((text) => text.trim() === text && !text.startsWith("$")),
);
const address = fc.constantFrom("10.0.0.0/8", "203.0.113.9", "2001:db8::/32", "fe80::1", "$internal");

const fieldValue = (name: FieldName, field: Field): fc.Arbitrary<string | number | boolean> => {
  if (field.type === "decimal")
    return fc.integer({ min: 0, max: 1_000_000 }).map((millionths) => millionths / 1_000_000);
  if (field.type === "flag") return fc.boolean();
  if (field.type === "address") return address;
  if (field.values !== undefined) return fc.constantFrom(...field.values);
  return name === "tags" ? word.filter((text) => text === text.toLowerCase()) : word;
};

/** Conditions as the parser would give them: one per field and operator, values sorted; no upper and lower bound together. */
const condition = (name: FieldName): fc.Arbitrary<Condition> => {
  const field: Field = fields[name];
  return fc.constantFrom(...operatorsByType[field.type]).chain((op): fc.Arbitrary<Condition> => {
    const { operand } = operatorTable[op];
    if (operand === "flag") return fc.boolean().map((value) => ({ field: name, op, value }));
    const value = fieldValue(name, field);
    if (operand === "one") return value.map((one) => ({ field: name, op, value: one }));
    return fc
      .uniqueArray(value, { minLength: 1, maxLength: field.type === "flag" ? 1 : 4 })
      .map((values) => ({ field: name, op, value: values.sort((a, b) => (String(a) < String(b) ? -1 : 1)) }));
  });
};

const block = (names: readonly FieldName[], minLength: number): fc.Arbitrary<Condition[]> =>
  fc
    .uniqueArray(fc.constantFrom(...names), { minLength, maxLength: 5 })
    .chain((chosen) => fc.tuple(...chosen.map(condition)))
    .map(canonicalConditions);

const unless = fc
  .uniqueArray(block(fieldNames, 1), { maxLength: 2, selector: (one) => JSON.stringify(one) })
  .map((blocks) => blocks.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)));
const seconds = fc.oneof(fc.integer({ min: 60, max: 604_800 }), fc.constantFrom(60, 3_600, 86_400, 172_800, 604_800));
const common = { why: word, unless, shadow: fc.boolean() };

const permit: fc.Arbitrary<Policy> = fc.record({
  ...common,
  id: fc.constant("action/p"),
  layer: fc.constant("action" as const),
  kind: fc.constant("permit" as const),
  match: block(
    fieldNames.filter((name) => name !== "action"),
    1,
  ),
  do: fc.constantFrom(...actionNames).chain((action) =>
    fc.record({
      action: fc.constant(action),
      target: fc.constantFrom(...actions[action].targets.flatMap((type) => [type, `victim.${type}`])),
      ttl_seconds: seconds,
    }),
  ),
});

const most = fc.oneof(
  fc.record({ max: fc.nat(1_000) }),
  fc.record({ max_percent: fc.integer({ min: 0, max: 1_000 }).map((tenths) => tenths / 10) }),
  fc.record({ max: fc.nat(1_000), max_percent: fc.nat(100) }),
);
const limit = fc
  .tuple(
    fc.constantFrom("actions" as const, "targets" as const),
    fc.constantFrom("subnet" as const, "asset_class" as const),
    most,
    seconds,
  )
  .map(([count, per, caps, window_seconds]) => ({ count, per, ...caps, window_seconds }));
const approval = fc.record({
  from: word,
  quorum: fc.integer({ min: 1, max: 5 }),
  expires_seconds: seconds,
  on_timeout: fc.constant("deny" as const),
});

const guardEffect = fc.oneof(
  fc.record({ then: fc.constant("deny" as const), limit }, { requiredKeys: ["then"] }),
  fc.record(
    { then: fc.constant("require_approval" as const), limit, approval, ttl_max_seconds: seconds },
    { requiredKeys: ["then", "approval"] },
  ),
  fc.record({ then: fc.constant("restrict" as const), ttl_max_seconds: seconds }),
);
const guard: fc.Arbitrary<Policy> = fc
  .tuple(
    fc.record({
      ...common,
      id: fc.constant("domain/g"),
      layer: fc.constant("domain" as const),
      kind: fc.constant("guard" as const),
      match: block(fieldNames, 0),
    }),
    guardEffect,
  )
  .map(([rest, effect]) => ({ ...rest, ...effect }) as Policy);
const policy = fc.oneof(permit, guard);

const schema = Schema.Compile(policyFileSchema() as Record<string, unknown>);

describe("a policy and its text say the same", () => {
  test("reading what was written gives the same policy, whatever its words look like to YAML", () => {
    fc.assert(
      fc.property(policy, (written) => {
        const text = writePolicy(written);
        const read = parsePolicy("x.yaml", text);
        if (!read.ok) throw new Error(`${text}\n${read.error.map(formatPolicyError).join("\n")}`);
        expect(read.value.policy).toEqual(written);
        expect(writePolicy(read.value.policy)).toBe(text);
      }),
      { numRuns: 600 },
    );
  });

  test("what the parser reads is a legal policy of a bundle, and editors accept it too", () => {
    fc.assert(
      fc.property(policy, (written) => {
        const text = writePolicy(written);
        expect(Value.Check(Policy, written)).toBe(true);
        expect(schema.Check(parseYaml(text)), text).toBe(true);
      }),
      { numRuns: 400 },
    );
  });

  test("every policy is one sentence", () => {
    fc.assert(
      fc.property(policy, (written) => {
        expect(explainPolicy(written)).toMatch(/^(May|Never|Ask a human before Reflex may|Let Reflex) [\s\S]+\.$/);
      }),
      { numRuns: 200 },
    );
  });
});

describe("explaining", () => {
  const explained = (text: string): string => {
    const read = parsePolicy("x.yaml", text);
    return read.ok ? explainPolicy(read.value.policy) : read.error.map(formatPolicyError).join("\n");
  };

  test("a permit", () => {
    expect(
      explained(
        "policy: action/a\nmatch: { confidence: { gt: 0.85 }, rule.origin: known_ioc }\nunless: { site: [plant, lab] }\ndo: { action: block_ip, target: attacker.address, ttl: 24h }\nwhy: w\n",
      ),
    ).toBe(
      "May block traffic with the attacker's address for 24 hours when confidence is above 0.85 and rule.origin is known_ioc, unless site is lab or plant.",
    );
  });

  test("a limit", () => {
    expect(
      explained(
        "policy: global/a\nmatch: { action: isolate_host }\nlimit: { count: targets, per: subnet, max: [20, 5%], window: 60m }\nthen: deny\nwhy: w\n",
      ),
    ).toBe("Never isolate host beyond 20 targets in one subnet or 5 % of one subnet within 1 hour.");
  });
});

describe("a proposal changes one value and nothing else", () => {
  const text =
    "# ours\npolicy: action/a\nmatch:\n  confidence: { gt: 0.85 } # measured in May\n  rule.origin: [known_ioc, signature]\ndo: { action: block_ip, target: attacker.address, ttl: 24h }\nwhy: w # short\n";

  test.each([
    [["match", "confidence", "gt"], 0.9, "{ gt: 0.85 }", "{ gt: 0.9 }"],
    [["do", "ttl"], "1h", "ttl: 24h", 'ttl: "1h"'],
    [["match", "rule.origin", 0], "anomaly", "[known_ioc", "[anomaly"],
    [["match", "rule.origin"], ["anomaly"], "[known_ioc, signature]", '["anomaly"]'],
  ])("%j", (path, value, before, after) => {
    const edited = editPolicyText(text, path as (string | number)[], value);
    expect(edited).toBe(text.replace(before, after));
    expect(parsePolicy("x.yaml", edited ?? "").ok).toBe(true);
  });

  test("a value that is not there is not invented", () => {
    expect(editPolicyText(text, ["match", "score", "gt"], 0.9)).toBeUndefined();
    expect(editPolicyText("a: [", ["a"], 1)).toBeUndefined();
  });
});
