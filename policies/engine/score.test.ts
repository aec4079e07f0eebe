import type { Detection } from "@reflex/protocol/detection";
import type { AssetFacts } from "@reflex/protocol/token";
import { emptyWeights } from "@reflex/protocol/weights";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { exp, log, logistic, logit } from "./arithmetic.ts";
import { calibrate, evidenceMin, guessedConfidenceMax, scoreDetection } from "./score.ts";

const detection: Detection = {
  event_id: "e1",
  timestamp: "2026-01-31T12:00:00.000Z",
  confidence: 0.95,
  confidence_origin: "vendor",
  severity: "high",
  tags: [],
  entities: [],
  rule: { id: "r1", name: "rule", origin: "known_ioc" },
  source: { kind: "suricata", domain: "network" },
  enrichment: {},
};
const quiet = {
  assets: [] as AssetFacts[],
  history: { detections: 0, distinct_rules: 0, actions: 0 },
  agreement: ["network" as const],
  prior: { confirmed: 0, failed: 0, overridden: 0 },
};
const none = emptyWeights("acme");

describe("arithmetic", () => {
  test("exp and log agree with the machine's to far below what is kept", () => {
    fc.assert(
      fc.property(fc.double({ min: -40, max: 40, noNaN: true }), (x) => {
        expect(Math.abs(exp(x) / Math.exp(x) - 1)).toBeLessThan(1e-13);
        expect(Math.abs(log(Math.exp(x)) - x)).toBeLessThan(1e-12);
      }),
    );
  });

  // Written down once: a result that differs by one bit on some node or engine breaks every token there.
  test("gives these bits on every node", () => {
    expect([exp(1), exp(-3.7), log(2), log(1e-6), logit(0.85), logistic(1.734601)].map(String)).toEqual([
      "2.7182818284590455",
      "0.024723526470339388",
      "0.6931471805599453",
      "-13.815510557964274",
      "1.7346010553881064",
      "0.8499999929380163",
    ]);
  });
});

describe("confidence", () => {
  test("without feedback it is what came with the detection, and a guess counts at most 0.6", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom("vendor", "learned", "mapped", "default"),
        (confidence, origin) => {
          const { confidence: calibrated } = calibrate(
            none,
            "hq",
            { ...detection, confidence, confidence_origin: origin },
            undefined,
          );
          const guessed = origin === "mapped" || origin === "default";
          expect(calibrated).toBeCloseTo(guessed ? Math.min(confidence, guessedConfidenceMax) : confidence, 5);
        },
      ),
    );
  });

  test("a mapped or default confidence never clears 0.6 without verdicts on this very rule", () => {
    const count = fc.double({ min: 0, max: 500, noNaN: true });
    const cell = fc.record({ k: count, n: count, m: fc.double({ min: 0, max: 200, noNaN: true }) });
    fc.assert(
      fc.property(cell, cell, cell, (site, rule, narrow) => {
        const few = { ...rule, n: Math.min(rule.n, evidenceMin - 0.001) };
        const fewNarrow = { ...narrow, n: Math.min(narrow.n, evidenceMin - 0.001) };
        const weights = { ...none, cells: { hq: site, "hq|suricata|r1": few, "hq|suricata|r1|server": fewNarrow } };
        const guessed = { ...detection, confidence: 1, confidence_origin: "mapped" as const };
        expect(calibrate(weights, "hq", guessed, "server").confidence).toBeLessThanOrEqual(guessedConfidenceMax);
      }),
    );
  });

  test("verdicts move it from site to rule to class, each shrunk towards the one before", () => {
    const cells = {
      hq: { k: 0, n: 5, m: 9 },
      "hq|suricata|r1": { k: 20, n: 20, m: 20 },
      "hq|suricata|r1|server": { k: 0, n: 30, m: 10 },
    };
    const site = (0 + 5 * 0.95) / (5 + 5);
    const rule = (20 + 20 * site) / 40;
    const narrow = (0 + 10 * rule) / 40;
    const calibrated = (assetClass: string | undefined) =>
      calibrate({ prior_strength: 5, cells }, "hq", detection, assetClass);
    expect(calibrated(undefined)).toEqual({
      confidence: Math.round(rule * 1e6) / 1e6,
      cells: ["hq", "hq|suricata|r1"],
    });
    expect(calibrated("server").confidence).toBe(Math.round(narrow * 1e6) / 1e6);
    expect(calibrated("laptop").cells).toEqual(["hq", "hq|suricata|r1"]);
  });
});

describe("score", () => {
  const counts = fc.record({ detections: fc.nat(50), distinct_rules: fc.nat(5), actions: fc.nat(5) });
  const outcomes = fc.record({ confirmed: fc.nat(50), failed: fc.nat(50), overridden: fc.nat(50) });
  const context = fc.record({
    assets: fc.constant(quiet.assets),
    history: counts,
    agreement: fc.subarray(["network", "host", "identity"] as const).map((all) => [...all]),
    prior: outcomes,
  });

  test("is the logistic of the sum of its factors, so shares can be shown", () => {
    fc.assert(
      fc.property(context, fc.double({ min: 0, max: 1, noNaN: true }), (around, confidence) => {
        const { score, factors } = scoreDetection(none, "hq", { ...detection, confidence }, around);
        const sum = factors.reduce((total, factor) => total + factor.log_odds, 0);
        expect(Math.abs(1 / (1 + Math.exp(-sum)) - score)).toBeLessThanOrEqual(1e-6);
      }),
    );
  });

  test("another domain that agrees raises it; repetition within one does not count as agreement", () => {
    const alone = scoreDetection(none, "hq", detection, quiet).score;
    expect(
      scoreDetection(none, "hq", detection, { ...quiet, agreement: ["network", "network"] as "network"[] }).score,
    ).toBe(alone);
    expect(scoreDetection(none, "hq", detection, { ...quiet, agreement: ["network", "host"] }).score).toBeGreaterThan(
      alone,
    );
  });

  test("failed and overridden actions on this pattern lower it, an override more", () => {
    const after = (prior: typeof quiet.prior): number =>
      scoreDetection(none, "hq", detection, { ...quiet, prior }).score;
    const untouched = after(quiet.prior);
    expect(after({ confirmed: 0, failed: 2, overridden: 0 })).toBeLessThan(untouched);
    expect(after({ confirmed: 0, failed: 0, overridden: 2 })).toBeLessThan(
      after({ confirmed: 0, failed: 2, overridden: 0 }),
    );
    expect(after({ confirmed: 9, failed: 0, overridden: 0 })).toBeGreaterThan(untouched);
  });

  test("inventory of something that matches several entries says nothing", () => {
    const vague: AssetFacts = { entity: "host|web1", matches: 2, class: "server", criticality: "critical" };
    expect(scoreDetection(none, "hq", detection, { ...quiet, assets: [vague] }).score).toBe(
      scoreDetection(none, "hq", detection, quiet).score,
    );
  });
});
