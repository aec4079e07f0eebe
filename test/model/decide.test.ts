import { createHash } from "node:crypto";
import { type CompiledBundle, compileBundle } from "@reflex/policies/engine/compile";
import { type DecideResult, decide } from "@reflex/policies/engine/decide";
import { replayToken } from "@reflex/policies/engine/replay";
import { scoreDetection } from "@reflex/policies/engine/score";
import { cutSlice } from "@reflex/policies/engine/slice";
import { sealToken } from "@reflex/policies/engine/token";
import type { Bundle } from "@reflex/protocol/bundle";
import { Decision } from "@reflex/protocol/decision";
import { newDecisionId } from "@reflex/protocol/ids";
import { firstPrevious, Slice, Token } from "@reflex/protocol/token";
import fc from "fast-check";
import { Errors } from "typebox/value";
import { describe, expect, test } from "vitest";
import { decideByReference } from "./decide-reference.ts";
import { bundleOf, guardWithout, neverTouch, policySet, type World, weights, world } from "./decide-worlds.ts";

const compiledOf = (bundle: Bundle): CompiledBundle => {
  const compiled = compileBundle(bundle, weights);
  if (!compiled.ok) throw new Error(compiled.error.detail);
  return compiled.value;
};

const nowMs = Date.UTC(2026, 0, 31, 12, 0, 2);
const decideIn = (compiled: CompiledBundle, { detection, context, used, site }: World): DecideResult =>
  decide({
    detection,
    context,
    limits: { used: (key) => used[key] },
    compiled,
    site,
    nowMs,
    decisionId: newDecisionId(0, new Uint8Array(10)),
  });

const told = ({ verdict, code, candidates }: Decision) => ({
  verdict,
  code,
  candidates: candidates.map((candidate) => ({
    action: candidate.action,
    target: `${candidate.target.type}|${candidate.target.value}`,
    verdict: candidate.verdict,
    code: candidate.code,
    permits: candidate.permits.map((permit) => (permit.code === "shadow" ? `${permit.id}:shadow` : permit.id)),
    guards: candidate.guards.map((guard) => `${guard.id}:${guard.effect}:${guard.code ?? ""}`),
    ttl: candidate.ttl_seconds,
    limits: candidate.limits,
  })),
});

const sha256Hex = (text: string): string => createHash("sha256").update(text).digest("hex");
const strictness = ["act", "ask", "observe", "refuse"];

const agrees = (bundle: Bundle, drawn: World): void => {
  const { score, confidence } = scoreDetection(weights, drawn.site, drawn.detection, drawn.context);
  const expected = decideByReference({ bundle, ...drawn, score, confidence });
  expect(told(decideIn(compiledOf(bundle), drawn).decision)).toEqual(expected);
};

describe("the engine decides what the reference decides", () => {
  test("with few policies, which are asked in turn", () => {
    fc.assert(
      fc.property(policySet({ permits: 6, guards: 6 }), neverTouch, world, (policies, untouchable, drawn) =>
        agrees(bundleOf(policies, untouchable), drawn),
      ),
      { numRuns: 2_000 },
    );
  });

  test("with many policies, which are bit vectors", () => {
    fc.assert(
      fc.property(
        policySet({ permits: 120, guards: 120 }),
        neverTouch,
        fc.array(world, { minLength: 4, maxLength: 8 }),
        (policies, untouchable, worlds) => {
          const padded = policies.length > 64 ? policies : [...policies, ...inert(65)];
          const bundle = bundleOf(padded, untouchable);
          const compiled = compiledOf(bundle);
          // One compiled bundle for all: scratch space must carry nothing from one detection to the next.
          for (const drawn of worlds) {
            const { score, confidence } = scoreDetection(weights, drawn.site, drawn.detection, drawn.context);
            expect(told(decideIn(compiled, drawn).decision)).toEqual(
              decideByReference({ bundle, ...drawn, score, confidence }),
            );
          }
        },
      ),
      { numRuns: 250 },
    );
  });

  const inert = (count: number): Bundle["policies"] =>
    Array.from({ length: count }, (_, index) => ({
      id: `domain/inert${index}`,
      layer: "domain" as const,
      kind: "guard" as const,
      why: "because",
      match: [{ field: "rule.id", op: "in" as const, value: `none${index}` }],
      unless: [],
      shadow: false,
      // biome-ignore lint/suspicious/noThenProperty: the word of the policy language
      then: "deny" as const,
    }));
});

describe("what a decision guarantees", () => {
  test("a decision has the shape of the protocol", () => {
    fc.assert(
      fc.property(policySet({ permits: 6, guards: 6 }), world, (policies, drawn) => {
        expect([...Errors(Decision, decideIn(compiledOf(bundleOf(policies)), drawn).decision)]).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  test("adding a guard never loosens", () => {
    fc.assert(
      fc.property(
        policySet({ permits: 8, guards: 5 }),
        guardWithout,
        neverTouch,
        world,
        (policies, guard, untouchable, drawn) => {
          const before = decideIn(compiledOf(bundleOf(policies, untouchable)), drawn).decision;
          const after = decideIn(
            compiledOf(bundleOf([...policies, { id: `${guard.layer}/g5`, ...guard }], untouchable)),
            drawn,
          ).decision;
          expect(after.candidates.length).toBe(before.candidates.length);
          for (const [index, candidate] of after.candidates.entries()) {
            const former = before.candidates[index];
            expect(strictness.indexOf(candidate.verdict)).toBeGreaterThanOrEqual(
              strictness.indexOf(former?.verdict ?? ""),
            );
            expect(candidate.ttl_seconds).toBeLessThanOrEqual(former?.ttl_seconds ?? 0);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test("order of files never matters", () => {
    const shuffled = policySet({ permits: 6, guards: 6 }).chain((policies) =>
      fc.tuple(fc.constant(policies), fc.shuffledSubarray(policies, { minLength: policies.length })),
    );
    fc.assert(
      fc.property(shuffled, world, ([policies, other], drawn) => {
        const [one, two] = [policies, other].map((set) => decideIn(compiledOf(bundleOf(set)), drawn).decision);
        expect(JSON.stringify(two)).toBe(JSON.stringify(one));
      }),
      { numRuns: 500 },
    );
  });

  test("a forbid beats any number of permits", () => {
    const forbid = {
      id: "global/g9",
      layer: "global" as const,
      kind: "guard" as const,
      why: "because",
      match: [],
      unless: [],
      shadow: false,
      // biome-ignore lint/suspicious/noThenProperty: the word of the policy language
      then: "deny" as const,
    };
    fc.assert(
      fc.property(policySet({ permits: 30, guards: 3 }), world, (policies, drawn) => {
        const { candidates } = decideIn(compiledOf(bundleOf([...policies, forbid])), drawn).decision;
        for (const { verdict } of candidates) expect(verdict).toBe("refuse");
      }),
      { numRuns: 300 },
    );
  });

  test("deny by default", () => {
    fc.assert(
      fc.property(policySet({ permits: 0, guards: 12 }), world, (policies, drawn) => {
        const { verdict, code, exception, candidates } = decideIn(compiledOf(bundleOf(policies)), drawn).decision;
        expect({ verdict, code, exception, candidates }).toEqual({
          verdict: "hold",
          code: "no-permit",
          exception: "unmatched",
          candidates: [],
        });
      }),
      { numRuns: 200 },
    );
  });
});

const seal = (compiled: CompiledBundle, drawn: World) => {
  const { decision, limitsRead, matched } = decideIn(compiled, drawn);
  return sealToken(
    {
      header: {
        org: "acme",
        site: drawn.site,
        agent: "a1",
        sequence: 1,
        decided_at: new Date(nowMs).toISOString(),
        bundle: { version: 1, hash: "a".repeat(64) },
        weights: { version: 0, hash: "b".repeat(64) },
      },
      detection: drawn.detection,
      context: { ...drawn.context, limits: limitsRead },
      slice: cutSlice(compiled, matched, drawn.detection, drawn.context.assets),
      decision,
      previous: firstPrevious,
    },
    sha256Hex,
  );
};

describe("tokens", () => {
  test("a replayed decision equals its token", () => {
    fc.assert(
      fc.property(policySet({ permits: 10, guards: 10 }), neverTouch, world, (policies, untouchable, drawn) => {
        const bundle = bundleOf(policies, untouchable);
        const { token, json } = seal(compiledOf(bundle), drawn);
        expect(JSON.stringify(token)).toBe(json);
        expect([...Errors(Slice, token.slice)]).toEqual([]);
        expect([...Errors(Token, JSON.parse(json))]).toEqual([]);
        expect(replayToken(json, sha256Hex, { bundle, weights })).toEqual({ same: true, findings: [] });
      }),
      { numRuns: 400 },
    );
  });

  test("any changed byte of a token is found", () => {
    fc.assert(
      fc.property(
        policySet({ permits: 4, guards: 4 }),
        world,
        fc.nat(),
        fc.integer({ min: 32, max: 126 }),
        (policies, drawn, where, code) => {
          const { json } = seal(compiledOf(bundleOf(policies)), drawn);
          const at = where % json.length;
          const changed = `${json.slice(0, at)}${String.fromCharCode(code)}${json.slice(at + 1)}`;
          fc.pre(changed !== json);
          const { same, findings } = replayToken(changed, sha256Hex);
          expect(same).toBe(false);
          expect(findings.length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
