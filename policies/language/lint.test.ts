import { describe, expect, test } from "vitest";
import { lintDraft } from "./lint.ts";
import { parsePolicySet } from "./parse-set.ts";
import { formatPolicyError } from "./policy-error.ts";

const cases = "cases:\n  - { name: n, detection: {}, expect: hold }\n";
const routing = { "routing.yaml": "- { action: [block_ip, isolate_host], connector: c }\n" };
const permit = (name: string, match: string, grant = "action: block_ip, target: attacker.address, ttl: 1h") => ({
  [`policies/action/${name}.yaml`]: `policy: action/${name}\nmatch: ${match}\ndo: { ${grant} }\nwhy: w\n${cases}`,
});
const guard = (name: string, match: string, rest = "then: deny") => ({
  [`policies/domain/${name}.yaml`]: `policy: domain/${name}\nmatch: ${match}\n${rest}\nwhy: w\n${cases}`,
});
const sure = "{ confidence: { gt: 0.9 } }";
const inventory = {
  "inventory.yaml":
    "assets:\n  - { name: a, class: web_server, groups: g }\nsubnets:\n  - { name: big, cidr: 10.0.0.0/24, hosts: 40 }\n  - { name: small, cidr: 10.0.1.0/24, hosts: 19 }\n  - { name: odd, cidr: 10.0.2.0/24 }\n",
};

const warningsOf = (...parts: readonly Readonly<Record<string, string>>[]): string[] => {
  const set = parsePolicySet(new Map(parts.flatMap((part) => Object.entries(part))));
  if (!set.ok) throw new Error(set.error.map(formatPolicyError).join("\n"));
  return lintDraft(set.value).map(formatPolicyError);
};

describe("what is legal but probably not meant is said", () => {
  test("nothing is said about what is sound", () => {
    const sound = warningsOf(
      routing,
      inventory,
      permit("a", sure),
      guard("g", "{ action: block_ip, asset.class: web_server }"),
    );
    expect(sound).toEqual([]);
  });

  test("a permit that acts however uncertain", () => {
    expect(warningsOf(routing, permit("a", "{ severity: high }"))).toEqual([
      "policies/action/a.yaml:2:1: the permit acts however uncertain the detection is; add confidence: { gt: 0.85 } or score: { gte: 0.9 }",
    ]);
    expect(warningsOf(routing, permit("a", "{ confidence: { lt: 0.9 } }"))).toHaveLength(1);
  });

  test("a percent that rounds down to none, and a subnet of unknown size", () => {
    const limit = "limit: { count: targets, per: subnet, max: 5%, window: 1h }\nthen: deny";
    const isolate = permit("a", sure, "action: isolate_host, target: victim.host, ttl: 1h");
    const found = warningsOf(routing, inventory, isolate, guard("g", "{ action: isolate_host }", limit));
    expect(found).toHaveLength(2);
    expect(found[0]).toContain("the subnet odd has no host count");
    expect(found[1]).toContain("5 % of the 19 hosts of small rounds down to none");
  });

  test("a guard that no permit can reach", () => {
    expect(warningsOf(routing, permit("a", sure), guard("g", "{ action: isolate_host }"))[0]).toContain(
      "no permit grants",
    );
    expect(warningsOf(routing, permit("a", sure), guard("g", "{ action: { not: block_ip } }"))[0]).toContain(
      "no permit grants",
    );
  });

  test("a policy without cases", () => {
    const files = permit("a", sure);
    const bare = Object.fromEntries(Object.entries(files).map(([path, text]) => [path, text.replace(cases, "")]));
    expect(warningsOf(routing, bare)[0]).toContain("action/a has no cases");
  });

  test("a block that outlives its reason", () => {
    const long = permit("a", sure, "action: block_ip, target: attacker.address, ttl: 2d");
    expect(warningsOf(routing, long)[0]).toContain("a block of 48h outlives its reason; write ttl: 24h");
  });

  test("an action that no connector carries out", () => {
    expect(warningsOf(permit("a", sure))[0]).toContain("no connector is routed for block_ip");
  });

  test("a class that the inventory does not have", () => {
    const found = warningsOf(routing, inventory, permit("a", sure), guard("g", "{ asset.class: webserver }"));
    expect(found).toEqual([
      'policies/domain/g.yaml:2:10: nothing in the inventory has asset.class "webserver"; write "web_server", or add it to the inventory',
    ]);
  });

  test("a pattern where letters are compared", () => {
    const found = warningsOf(routing, permit("a", '{ confidence: { gt: 0.9 }, rule.name: "ET SCAN *" }'));
    expect(found[0]).toContain("is compared letter by letter");
  });

  test("an origin that no source gives", () => {
    const found = warningsOf(routing, permit("a", "{ confidence: { gt: 0.9 }, rule.origin: known_ico }"));
    expect(found).toEqual([expect.stringContaining('no source gives the origin "known_ico"; write "known_ioc"')]);
    expect(warningsOf(routing, permit("a", "{ confidence: { gt: 0.9 }, rule.origin: deception }"))).toEqual([]);
  });

  describe("a policy that another one covers", () => {
    const broad = guard("broad", "{ action: [block_ip, isolate_host] }");
    const shadowed = (...parts: readonly Readonly<Record<string, string>>[]) =>
      warningsOf(routing, permit("a", sure), ...parts).filter((line) => /covers it|says the same/.test(line));

    test.each([
      ["{ action: block_ip }"],
      ["{ action: isolate_host, severity: low }"],
      ["{ action: [isolate_host, block_ip], site: a }"],
    ])("deny covers %s", (match) => {
      expect(shadowed(broad, guard("narrow", match))[0]).toContain(
        "domain/narrow never changes anything: domain/broad",
      );
    });

    test.each([["{ action: [block_ip, disable_user] }"], ["{}"], ["{ severity: low }"]])("but not %s", (match) => {
      expect(shadowed(broad, guard("narrow", match)).filter((line) => line.includes("domain/narrow never"))).toEqual(
        [],
      );
    });

    test("asking never covers denying, a limit covers nothing, and an exception is no cover", () => {
      const ask = guard("broad", "{ action: block_ip }", "then: require_approval");
      expect(shadowed(ask, guard("narrow", "{ action: block_ip, site: a }"))).toEqual([]);
      const limited = guard(
        "broad",
        "{ action: block_ip }",
        "limit: { count: actions, per: site, max: 1, window: 1h }\nthen: deny",
      );
      expect(shadowed(limited, guard("narrow", "{ action: block_ip, site: a }"))).toEqual([]);
      const excepting = guard("broad", "{ action: block_ip }", "unless: { site: a }\nthen: deny");
      expect(shadowed(excepting, guard("narrow", "{ action: block_ip, site: [a, b] }"))).toEqual([]);
    });

    test("of two that say the same, one is named", () => {
      expect(shadowed(guard("x", "{ site: a }"), guard("y", "{ site: a }"))).toEqual([
        expect.stringContaining("domain/y says the same as domain/x"),
      ]);
    });

    test.each([
      ["{ confidence: { gt: 0.9 } }", "{ confidence: { gte: 0.9 } }", "{ confidence: { gt: 0.95 } }"],
      [
        "{ score: { gte: 0.5 } }",
        "{ score: { gte: 0.5 }, severity: { gte: high } }",
        "{ score: { gte: 0.5 }, severity: critical }",
      ],
    ])("a bound covers what lies beyond it: %s", (base, wide, narrow) => {
      const found = warningsOf(routing, permit("base", base), permit("narrow", narrow)).join("\n");
      expect(found).toContain("action/narrow never changes anything: action/base");
      expect(warningsOf(routing, permit("wide", wide), permit("narrow", narrow)).join("\n")).toContain("action/wide");
      expect(warningsOf(routing, permit("base", narrow), permit("wide", wide)).join("\n")).not.toContain(
        "action/wide never",
      );
    });
  });
});
