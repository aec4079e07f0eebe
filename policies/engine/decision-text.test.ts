import { actionNames } from "@reflex/protocol/action";
import type { Candidate, Decision, PolicyReference } from "@reflex/protocol/decision";
import type { DecisionId } from "@reflex/protocol/ids";
import { layers, type Policy } from "@reflex/protocol/policy";
import fc from "fast-check";
import { expect, test } from "vitest";
import { compilePolicies } from "./compile.ts";
import { decisionText } from "./decision-text.ts";
import { permit } from "./example-world.ts";
import { referenceTo } from "./references.ts";

/** Text that would break a writer: quotes, escapes, half surrogates, and what the writer itself looks for. */
const text = fc.oneof(
  fc.string(),
  fc.array(fc.nat(0xffff)).map((units) => String.fromCharCode(...units)),
  fc.constantFrom('"permits":[]', '"guards":[]', '","candidates":[],"', '\\"candidates":[]', "\u2028", "\ud800"),
);

const policies: Policy[] = Array.from({ length: 4 }, (_, index) => permit(`p${index}`, "block_ip", "address"));
const compiled = compilePolicies(policies, {});
if (!compiled.ok) throw new Error(compiled.error.detail);
const entries = compiled.value.policies;

const ownReference: fc.Arbitrary<PolicyReference> = fc.record(
  { id: text, layer: fc.constantFrom(...layers), effect: fc.constantFrom("allow", "deny"), detail: text },
  { requiredKeys: ["id", "layer", "effect"] },
);
const keptReference = fc
  .tuple(fc.constantFrom(...entries), fc.constantFrom("forbidden", "shadow", undefined), fc.option(text))
  .map(([entry, code, detail]) => referenceTo(entry, "deny", code, detail ?? undefined));
const references = fc.array(fc.oneof(ownReference, keptReference), { maxLength: 6 });

/** The same members in another order: a token read back may have been written by another hand. */
const shuffled = <T extends object>(value: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  value.chain((object) =>
    fc
      .shuffledSubarray(Object.keys(object), { minLength: Object.keys(object).length })
      .map((keys) => Object.fromEntries(keys.map((key) => [key, object[key as keyof T]])) as T),
  );

const candidate: fc.Arbitrary<Candidate> = shuffled(
  fc.record(
    {
      action: fc.constantFrom(...actionNames),
      target: fc.record({ type: fc.constant("host"), value: text }),
      connector: fc.option(text, { nil: undefined }) as fc.Arbitrary<string>,
      ttl_seconds: fc.nat(),
      verdict: fc.constantFrom("act", "ask"),
      permits: references,
      guards: references,
      limits: fc.array(text),
    },
    { requiredKeys: ["action", "target", "ttl_seconds", "verdict", "permits", "guards", "limits"] },
  ),
);
const decision: fc.Arbitrary<Decision> = shuffled(
  fc.record(
    {
      decision_id: text as unknown as fc.Arbitrary<DecisionId>,
      event_id: text,
      verdict: fc.constantFrom("act", "hold"),
      score: fc.double(),
      confidence: fc.double(),
      factors: fc.array(fc.record({ name: text, value: text, log_odds: fc.double() })),
      candidates: fc.array(candidate, { maxLength: 4 }),
      justification: text,
      undo: text,
      next_review_at: fc.option(text, { nil: undefined }) as fc.Arbitrary<string>,
    },
    {
      requiredKeys: [
        "decision_id",
        "event_id",
        "verdict",
        "score",
        "confidence",
        "factors",
        "candidates",
        "justification",
        "undo",
      ],
    },
  ),
);

test("a decision is written as JSON.stringify writes it, whatever is in it", () => {
  fc.assert(
    fc.property(decision, (each) => {
      expect(decisionText(each)).toBe(JSON.stringify(each));
    }),
    { numRuns: 500 },
  );
});
