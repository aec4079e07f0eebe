import { createHash } from "node:crypto";
import { firstPrevious, type Token } from "@reflex/protocol/token";
import { emptyWeights } from "@reflex/protocol/weights";
import { describe, expect, test } from "vitest";
import { blockAttacker, bundleOf, guard, isolate, permit, run, type World } from "./example-world.ts";
import { replayToken } from "./replay.ts";

const sha256Hex = (text: string): string => createHash("sha256").update(text).digest("hex");

describe("tokens", () => {
  const bigList = Array.from({ length: 5_000 }, (_, index) => `10.${index >> 8}.${index & 255}.0/24`);
  const listed: World = {
    policies: [
      permit("listed", "block_ip", "address", {
        match: [{ field: "target.net", op: "in_cidr", value: "$nets" }],
        unless: [[{ field: "tags", op: "has_all", value: "$tags" }]],
      }),
      guard("other", "deny", { match: [{ field: "target.net", op: "outside", value: "$nets" }] }),
    ],
    entities: [{ type: "address", value: "10.1.7.9" }],
    bundle: { lists: { nets: bigList, tags: ["t1", ...Array.from({ length: 50 }, (_, index) => `x${index}`)] } },
  };

  test("a list is cut to the entries the facts touch, and the decision stays the same", () => {
    const { decision, token, json } = run(listed, sha256Hex);
    expect(decision.verdict).toBe("act");
    expect(token.slice.lists["nets"]).toEqual(["10.1.7.0/24"]);
    expect(token.slice.lists["tags"]).toHaveLength(51);
    expect(replayToken(json, sha256Hex, { bundle: bundleOf(listed), weights: emptyWeights("acme") })).toEqual({
      same: true,
      findings: [],
    });
  });

  test("policies, routes and entries that did not matter are not in the token", () => {
    const { token } = run(
      {
        policies: [
          blockAttacker,
          isolate,
          guard("g", "deny", { match: [{ field: "rule.id", op: "in", value: "other" }] }),
        ],
        bundle: { never_touch: [{ type: "host", value: "dc1", why: "because" }] },
      },
      sha256Hex,
    );
    expect(token.slice.policies.map(({ id }) => id)).toEqual(["action/block"]);
    expect(token.slice.routing).toEqual([{ action: "block_ip", connector: "fw" }]);
    expect(token.slice.never_touch).toEqual([]);
  });

  const sealed = run(
    {
      policies: [
        blockAttacker,
        guard("cap", "deny", { limit: { count: "actions", per: "site", max: 5, window_seconds: 60 } }),
      ],
      used: () => 3,
    },
    sha256Hex,
  );
  const alter = (change: (token: Token) => void) => {
    const token = structuredClone(sealed.token);
    change(token);
    return replayToken(token, sha256Hex).findings.map(({ code, path }) => `${code} ${path}`);
  };
  test("what was altered is named", () => {
    expect(
      alter((token) => {
        token.decision.score = 0.5;
      }),
    ).toEqual(["token-altered /decision", "replay-differs /decision/score"]);
    expect(
      alter((token) => {
        token.detection.severity = "low";
      }),
    ).toContain("token-altered /detection");
    expect(
      alter((token) => {
        token.detection.severity = "low";
      }),
    ).toContain("replay-differs /decision/score");
    expect(
      alter((token) => {
        token.context.limits["domain/cap|hq"] = 9;
      }),
    ).toContain("replay-differs /decision/candidates/0/verdict");
    expect(
      alter((token) => {
        token.slice.policies = [];
      }),
    ).toContain("replay-differs /decision/verdict");
    expect(
      alter((token) => {
        token.header.agent = "a2";
      }),
    ).toEqual(["token-altered /header"]);
    expect(
      alter((token) => {
        token.digests.context = "c".repeat(64);
      }),
    ).toEqual(["token-altered /digests/context"]);
    expect(
      alter((token) => {
        token.hash = "d".repeat(64);
      }),
    ).toEqual(["token-altered /hash"]);
    expect(
      alter((token) => {
        token.previous = "e".repeat(64);
      }),
    ).toEqual(["token-altered /hash", "chain-broken /previous"]);
    expect(
      alter((token) => {
        token.header.engine = "reflex/99";
      }),
    ).toEqual(["token-altered /header", "engine-unknown /header/engine"]);
  });

  test("a token that follows another one proves it", () => {
    const [finding] = replayToken(sealed.json, sha256Hex, { previous: "f".repeat(64) }).findings;
    expect(finding).toEqual({
      code: "chain-broken",
      path: "/previous",
      stored: firstPrevious,
      recomputed: "f".repeat(64),
    });
  });

  test("what is no token at all is a finding, not a crash", () => {
    for (const odd of [
      "",
      "null",
      "{",
      7,
      null,
      [],
      {},
      { header: {}, detection: {}, context: {}, slice: {}, decision: {}, digests: {} },
    ])
      expect(replayToken(odd, sha256Hex).same).toBe(false);
  });

  test("another bundle that would have decided otherwise is told", () => {
    const bundle = bundleOf({ policies: [blockAttacker, guard("late", "deny")] });
    expect(
      replayToken(sealed.token, sha256Hex, { bundle, weights: emptyWeights("acme") }).findings.map(({ path }) => path),
    ).toContain("/decision/verdict");
  });
});
