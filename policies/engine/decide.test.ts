import type { Entity } from "@reflex/protocol/entity";
import type { Guard, Limit, Policy } from "@reflex/protocol/policy";
import { emptyWeights } from "@reflex/protocol/weights";
import { describe, expect, test } from "vitest";
import { compileBundle } from "./compile.ts";
import { decideForCase } from "./decide-case.ts";
import {
  attacker,
  blockAttacker,
  bundleOf,
  compiledOf,
  decideIn,
  detectionOf,
  guard,
  host,
  isolate,
  outcome,
  permit,
  verdicts,
} from "./example-world.ts";
import { gatherAssets } from "./facts.ts";

describe("granting", () => {
  test("a permit acts on the entity its selector means, and says so", () => {
    const decision = decideIn({ policies: [blockAttacker], entities: [host("web1"), attacker] });
    expect(outcome(decision)).toEqual(["act", undefined, undefined]);
    expect(decision.candidates).toMatchObject([
      { action: "block_ip", target: attacker, connector: "fw", ttl_seconds: 3_600 },
    ]);
    expect(decision.justification).toBe(
      "Act: block traffic with address 203.0.113.9: action/block permits it and no guard applies; confidence 0.95, score 0.96.",
    );
    expect(decision.undo).toBe("The agent takes it back after 1 hour, or at once when an analyst asks.");
    expect(decision.next_review_at).toBe("2026-01-31T13:00:01.000Z");
  });

  test("deny by default", () => {
    expect(outcome(decideIn({ policies: [] }))).toEqual(["hold", "no-permit", "unmatched"]);
    expect(outcome(decideIn({ policies: [guard("g", "restrict")] }))).toEqual(["hold", "no-permit", "unmatched"]);
  });

  test("the sensor is never a target, and an attacker is only who the source calls one", () => {
    const any = permit("any", "block_ip", "address");
    expect(decideIn({ policies: [any], entities: [{ ...attacker, role: "observer" }] }).verdict).toBe("hold");
    expect(decideIn({ policies: [blockAttacker], entities: [{ ...attacker, role: "source" }] }).verdict).toBe("hold");
  });

  test("a permit in shadow is recorded, not acted on", () => {
    expect(outcome(decideIn({ policies: [{ ...blockAttacker, shadow: true }] }))).toEqual([
      "observe",
      "shadow",
      undefined,
    ]);
  });

  test("only the action layer can grant", () => {
    const above = { ...blockAttacker, id: "global/block", layer: "global" as const };
    expect(compileBundle(bundleOf({ policies: [above] }), emptyWeights("acme"))).toMatchObject({
      ok: false,
      error: { code: "bundle-invalid" },
    });
  });
});

describe("guarding", () => {
  test("a forbid beats any number of permits", () => {
    const permits = Array.from({ length: 100 }, (_, index) => permit(`p${index}`, "block_ip", "address"));
    expect(outcome(decideIn({ policies: [...permits, guard("never", "deny")] }))).toEqual([
      "refuse",
      "forbidden",
      undefined,
    ]);
  });

  test("an erring guard still guards", () => {
    const unknowable = guard("scope", "deny", { match: [{ field: "policy_scope", op: "in", value: "lab" }] });
    const decision = decideIn({ policies: [blockAttacker, unknowable] });
    expect(outcome(decision)).toEqual(["refuse", "forbidden", "contradictory"]);
    expect(decision.candidates[0]?.guards[0]?.detail).toBe("unknown: policy_scope");
    const excused = guard("scope", "deny", { unless: [[{ field: "policy_scope", op: "in", value: "lab" }]] });
    expect(decideIn({ policies: [blockAttacker, excused] }).verdict).toBe("refuse");
    expect(decideIn({ policies: [blockAttacker, excused], detection: { policy_scope: "lab" } }).verdict).toBe("act");
  });

  test("a permit grants nothing on facts that are not known, in its conditions or its exceptions", () => {
    const known = permit("p", "block_ip", "address", {
      match: [{ field: "policy_scope", op: "not_in", value: "lab" }],
    });
    const excepted = permit("p", "block_ip", "address", {
      unless: [[{ field: "policy_scope", op: "in", value: "lab" }]],
    });
    for (const policy of [known, excepted]) {
      expect(decideIn({ policies: [policy] }).verdict).toBe("hold");
      expect(decideIn({ policies: [policy], detection: { policy_scope: "hq" } }).verdict).toBe("act");
      expect(decideIn({ policies: [policy], detection: { policy_scope: "lab" } }).verdict).toBe("hold");
    }
  });

  test("obligations join to the strictest: shortest lease, largest quorum, earliest expiry, every role", () => {
    const consent = (from: string, quorum: number, expires_seconds: number) => ({
      approval: { from, quorum, expires_seconds, on_timeout: "deny" as const },
    });
    const policies = [
      blockAttacker,
      guard("a", "require_approval", consent("lead", 1, 600)),
      guard("b", "require_approval", { ...consent("analyst", 2, 900), ttl_max_seconds: 300 }),
      guard("c", "restrict", { ttl_max_seconds: 120 }),
    ];
    const decision = decideIn({ policies });
    expect(outcome(decision)).toEqual(["ask", "approval-required", undefined]);
    expect(decision.candidates[0]).toMatchObject({
      ttl_seconds: 120,
      approval: { from: "analyst+lead", quorum: 2, expires_seconds: 600 },
    });
  });

  test("a guard in shadow is shown and restricts nothing", () => {
    const decision = decideIn({ policies: [blockAttacker, guard("g", "deny", { shadow: true, ttl_max_seconds: 60 })] });
    expect(decision.verdict).toBe("act");
    expect(decision.candidates[0]).toMatchObject({ ttl_seconds: 3_600, guards: [{ id: "domain/g", code: "shadow" }] });
  });

  test("granted actions that exclude each other ask, and both are shown", () => {
    const decision = decideIn({ policies: [blockAttacker, permit("allow", "allow_ip", "address")] });
    expect(outcome(decision)).toEqual(["ask", "contradiction", "contradictory"]);
    expect(verdicts(decision)).toEqual(["ask contradiction", "ask contradiction"]);
  });

  test("more grants than anyone can review ask", () => {
    const entities = Array.from(
      { length: 32 },
      (_, index): Entity => ({ type: "address", value: `192.0.2.${index}`, role: "attacker" }),
    );
    const decision = decideIn({ policies: [blockAttacker, permit("n", "notify", "address")], entities });
    expect(outcome(decision)).toEqual(["ask", "too-many-candidates", "unexecutable"]);
    expect(decision.candidates).toHaveLength(32);
  });
});

describe("limits", () => {
  const cap = (limit: Partial<Limit>, effect: Guard["then"] = "deny") =>
    guard("cap", effect, { limit: { count: "targets", per: "site", window_seconds: 3_600, ...limit } });
  const two = [host("web1"), host("web2")];

  test("count what was used, what this decision granted, and this one", () => {
    expect(verdicts(decideIn({ policies: [isolate, cap({ max: 3 })], entities: two, used: () => 2 }))).toEqual([
      "act",
      "refuse limit-exceeded",
    ]);
    expect(
      verdicts(decideIn({ policies: [isolate, cap({ max: 3 }, "require_approval")], entities: two, used: () => 2 })),
    ).toEqual(["act", "ask limit-exceeded"]);
  });

  test("percent rounds down: 5 % of 19 hosts is none, 11 % is two", () => {
    const percent = (max_percent: number, used: number) =>
      decideIn({
        policies: [isolate, cap({ per: "subnet", max_percent })],
        entities: [host("web1")],
        used: () => used,
        bundle: {
          inventory: {
            assets: [{ name: "web1", hosts: [], addresses: ["10.1.0.5"] }],
            users: [],
            subnets: [{ name: "office", cidr: "10.1.0.0/24", hosts: 19 }],
          },
        },
      });
    expect(outcome(percent(5, 0))).toEqual(["refuse", "limit-exceeded", undefined]);
    expect(outcome(percent(11, 1))).toEqual(["act", undefined, undefined]);
    expect(outcome(percent(11, 2))).toEqual(["refuse", "limit-exceeded", undefined]);
    expect(percent(11, 1).candidates[0]?.limits).toEqual(["domain/cap|office"]);
  });

  test("what cannot be counted fires", () => {
    expect(outcome(decideIn({ policies: [isolate, cap({ max: 9 })], entities: two, used: () => undefined }))).toEqual([
      "refuse",
      "limit-unknown",
      "contradictory",
    ]);
    expect(
      outcome(decideIn({ policies: [isolate, cap({ per: "subnet", max: 9 })], entities: [host("stranger")] })),
    ).toEqual(["refuse", "limit-unknown", "contradictory"]);
    expect(outcome(decideIn({ policies: [isolate, cap({ per: "site", max_percent: 50 })], entities: two }))).toEqual([
      "refuse",
      "limit-unknown",
      "contradictory",
    ]);
    expect(outcome(decideIn({ policies: [isolate, cap({})], entities: two }))).toEqual([
      "refuse",
      "limit-unknown",
      "contradictory",
    ]);
  });
});

describe("brakes", () => {
  test.each([
    [{ killed: true }, "observe", "kill-engaged"],
    [{ mode: "observe" }, "observe", "shadow"],
    [{ mode: "approve" }, "ask", "approval-required"],
    [{ lease_valid: false }, "ask", "lease-lapsed"],
    [{ circuit_closed: false }, "ask", "circuit-open"],
  ] as const)("%j turns act into %s", (context, verdict, code) => {
    expect(outcome(decideIn({ policies: [blockAttacker], context }))).toEqual([verdict, code, undefined]);
    expect(decideIn({ policies: [blockAttacker, guard("g", "deny")], context }).verdict).toBe("refuse");
  });

  test("an action without a route here asks", () => {
    expect(
      outcome(
        decideIn({
          policies: [blockAttacker],
          bundle: { routing: [{ action: "block_ip", connector: "fw", sites: ["lab"] }] },
        }),
      ),
    ).toEqual(["ask", "connector-unknown", "unexecutable"]);
  });
});

describe("a bundle that does not hold together is refused", () => {
  const on = (condition: Policy["match"][number]) => guard("g", "deny", { match: [condition] });
  test.each([
    [on({ field: "rule.origin", op: "in", value: "$nowhere" }), "list $nowhere does not exist"],
    [on({ field: "colour", op: "in", value: "red" }), "field colour does not exist"],
    [on({ field: "tags", op: "gt", value: 1 }), "tags does not take gt"],
    [on({ field: "severity", op: "gte", value: "awful" }), "names a value the field does not have"],
    [on({ field: "confidence", op: "gt", value: "0.8" }), "takes one number"],
    [on({ field: "src.net", op: "in_cidr", value: ["10.0.0.0/8", "office"] }), "office is not an address or network"],
  ] as const)("%#", (policy, detail) => {
    const compiled = compileBundle(bundleOf({ policies: [policy] }), emptyWeights("acme"));
    expect(compiled).toMatchObject({ ok: false, error: { code: "bundle-invalid" } });
    if (!compiled.ok) expect(compiled.error.detail).toContain(detail);
  });

  test("two policies under one id", () => {
    expect(compileBundle(bundleOf({ policies: [blockAttacker, blockAttacker] }), emptyWeights("acme")).ok).toBe(false);
  });
});

test("a case is decided as an enforcing agent would that has seen nothing else", () => {
  const capped = compiledOf({
    policies: [
      blockAttacker,
      guard("cap", "deny", { limit: { count: "actions", per: "site", max: 5, window_seconds: 60 } }),
    ],
  });
  const bundleCase = {
    policy: "action/block",
    name: "blocks",
    detection: detectionOf([attacker]),
    expect: { verdict: "act" as const },
  };
  expect(decideForCase(capped, "hq", bundleCase).verdict).toBe("act");
  expect(decideForCase(capped, "hq", { ...bundleCase, limits: { "domain/cap|hq": 5 } }).verdict).toBe("refuse");
});

test("inventory: names ignore case, subnets go by longest prefix, other names are told", () => {
  const compiled = compiledOf({ policies: [] });
  const about = (entity: Entity) => gatherAssets(compiled, detectionOf([entity]))[0];
  expect(about(host("WEB1.corp.example"))).toEqual({
    entity: "host|WEB1.corp.example",
    matches: 1,
    name: "web1",
    class: "server",
    class_members: 3,
    also: [
      { type: "host", value: "web1" },
      { type: "address", value: "10.1.0.5" },
      { type: "address", value: "2001:db8::5" },
    ],
  });
  expect(about({ type: "address", value: "10.1.0.5" })).toMatchObject({
    matches: 1,
    subnet: "office",
    subnet_hosts: 19,
  });
  expect(about({ type: "address", value: "10.2.0.5" })).toEqual({
    entity: "address|10.2.0.5",
    matches: 0,
    subnet: "all",
  });
  expect(about(host("twin"))).toMatchObject({ matches: 2 });
});
