import type { NeverTouch } from "@reflex/protocol/bundle";
import { emptyWeights } from "@reflex/protocol/weights";
import { describe, expect, test } from "vitest";
import { compileBundle } from "./compile.ts";
import { attacker, blockAttacker, bundleOf, decideIn, host, isolate, outcome, permit } from "./example-world.ts";

describe("never touch means never", () => {
  const touch = (type: NeverTouch["type"], value: string) => ({ never_touch: [{ type, value, why: "because" }] });
  test.each([
    ["address", "10.1.0.5", host("web1")],
    ["address", "2001:DB8:0::5", host("web1.corp.example")],
    ["network", "10.0.0.0/8", host("WEB1")],
    ["host", "web1", host("web1.corp.example")],
    ["host", "Web1.Corp.Example", host("web1")],
    ["domain", "corp.example", host("web1")],
    ["class", "server", host("web1")],
    ["host", "10.1.0.5", { type: "host", value: "10.1.0.5" }],
    ["host", "web1", { type: "address", value: "10.1.0.5", role: "attacker" }],
    ["network", "10.1.0.0/30", { type: "network", value: "10.1.0.0/16" }],
    ["address", "10.1.0.1", { type: "network", value: "10.0.0.0/8" }],
    ["network", "203.0.113.0/24", attacker],
    ["network", "203.0.113.0/24", { type: "address", value: "::ffff:203.0.113.9", role: "attacker" }],
    ["domain", "example.com", { type: "domain", value: "WWW.Example.com." }],
    ["domain", "www.example.com", { type: "domain", value: "example.com" }],
  ] as const)("%s %s covers %j", (type, value, target) => {
    const policies = [
      blockAttacker,
      isolate,
      permit("r", "block_range", "network"),
      permit("d", "block_domain", "domain"),
    ];
    const decision = decideIn({ policies, entities: [target], bundle: touch(type, value) });
    expect(outcome(decision)).toEqual(["refuse", "never-touch", undefined]);
  });

  test("an entry that cannot be read refuses the whole bundle", () => {
    for (const [type, value] of [
      ["address", "10.0.0"],
      ["network", "10.0.0.0/99"],
    ] as const)
      expect(compileBundle(bundleOf({ policies: [], bundle: touch(type, value) }), emptyWeights("acme"))).toMatchObject(
        { ok: false, error: { code: "bundle-invalid" } },
      );
  });

  test("where the inventory does not say what a machine is, a human looks", () => {
    const inventory = { assets: [{ name: "web1", hosts: [], addresses: [] }], users: [], subnets: [] };
    const decision = decideIn({
      policies: [isolate],
      entities: [host("web1")],
      bundle: { ...touch("class", "domain_controller"), inventory },
    });
    expect(outcome(decision)).toEqual(["ask", "never-touch", "contradictory"]);
  });

  test("a name of two machines is refused, never all of them", () => {
    expect(outcome(decideIn({ policies: [isolate], entities: [host("twin")] }))).toEqual([
      "refuse",
      "target-unresolved",
      "unexecutable",
    ]);
  });

  test("a target that cannot be read is refused", () => {
    expect(outcome(decideIn({ policies: [blockAttacker], entities: [{ ...attacker, value: "203.0.113" }] }))).toEqual([
      "refuse",
      "target-unresolved",
      "unexecutable",
    ]);
  });
});
