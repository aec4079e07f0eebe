import { Bundle } from "@reflex/protocol/bundle";
import fc from "fast-check";
import Value from "typebox/value";
import { describe, expect, test } from "vitest";
import { draftToBundle, parsePolicySet } from "./parse-set.ts";
import { formatPolicyError } from "./policy-error.ts";

const guard = (id: string, match = "{ action: block_ip }"): string =>
  `policy: ${id}\nmatch: ${match}\nthen: deny\nwhy: w\ncases:\n  - { name: n, detection: {}, expect: { verdict: hold, policies: [${id}] } }\n`;

const errorsOf = (files: Readonly<Record<string, string>>): string[] => {
  const set = parsePolicySet(new Map(Object.entries(files)));
  return set.ok ? [] : set.error.map(formatPolicyError);
};

const repository: Readonly<Record<string, string>> = {
  "README.md": "# ours",
  ".github/workflows/check.yaml": "on: push",
  "policies/domain/a.yaml": guard("domain/a", "{ action: block_ip, target.net: { overlaps: $internal } }"),
  "policies/global/b.yaml": guard("global/b"),
  "lists/internal.yaml": "- 10.0.0.0/8\n- 10.0.0.0/8\n",
  "lists.yaml": "tags: [a, b]\n",
  "inventory.yaml":
    "assets:\n  - { name: dc01, addresses: 10.0.0.1 }\nusers:\n  - { name: alice }\nsubnets:\n  - { name: s, cidr: 10.0.0.0/24, hosts: 40 }\n",
  "inventory/more.yaml": "assets:\n  - { name: dc02, hosts: [dc02, dc02.corp.example] }\n",
  "never-touch.yaml": "- { type: network, value: 192.0.2.0/29, why: ours }\n",
  "routing.yaml":
    "- { action: [block_ip, block_range], connector: edl }\n- { action: isolate_host, connector: edr, sites: hq }\n",
  "settings.yaml": "freshness: 10m\nmode: approve\n",
};

const wrong: readonly (readonly [files: Readonly<Record<string, string>>, error: string])[] = [
  [
    { "policies/domain/a.yaml": guard("domain/b") },
    "policies/domain/a.yaml:1:1: the id domain/b does not fit the path; write policy: domain/a",
  ],
  [
    { "policies/domain/c.yaml": guard("domain/a") },
    "policies/domain/c.yaml:1:1: domain/a is also the id of policies/domain/a.yaml; write policy: domain/c",
  ],
  [
    { "policies/domain/a.yaml": guard("domain/a", "{ target.net: { overlaps: $intrenal } }") },
    'policies/domain/a.yaml:2:10: there is no list $intrenal; write "$internal", or add lists/intrenal.yaml',
  ],
  [
    { "lists/internal.yaml": "- 10.0.0.0/8\n- dc01\n" },
    'lists/internal.yaml:1:1: domain/a compares addresses with $internal, and "dc01" is none; write addresses and ranges only',
  ],
  [{ "lists/internal.yaml": "- 10.0.0.1/8\n" }, "write 10.0.0.0/8"],
  [{ "lists/My-List.yaml": "[a]" }, 'lists/My-List.yaml:1:1: "My-List" is not a name for a list'],
  [
    { "lists.yaml": "internal: [a]" },
    "lists/internal.yaml:1:1: the list internal is also in lists.yaml; keep one of them",
  ],
  [{ "lists.yaml": "- a" }, "lists.yaml:1:1: lists.yaml must be a block of lists"],
  [{ "polices/domain/a.yaml": guard("domain/a") }, "polices/domain/a.yaml:1:1: nothing reads this file"],
  [
    { "domain/a.yaml": guard("domain/a") },
    "domain/a.yaml:1:1: nothing reads this file; move it to policies/domain/a.yaml",
  ],
  [{ "nevertouch.yaml": "[]" }, 'nothing reads this file; policies go into policies/; beside it: "never-touch.yaml"'],
  [{ "policies/global/c.yml": guard("global/c") }, "policies/global/c.yml:1:1: the file ends with .yml; rename it"],
  [
    { "policies/domain/a.yaml": guard("domain/a").replace("policies: [domain/a]", "policies: [global/bb]") },
    'there is no policy global/bb; write "global/b"',
  ],
  [
    { "inventory.yaml": "assets:\n  - { name: a, ip: 10.0.0.1 }\n" },
    'inventory.yaml:2:16: "ip" is not a key of an asset; write "addresses"',
  ],
  [{ "inventory.yaml": "assets:\n  - { name: a, addresses: 10.0.0.0/24 }\n" }, "is not one address"],
  [{ "inventory.yaml": "subnets:\n  - { name: a, cidr: 10.0.0.1/24 }\n" }, "write 10.0.0.0/24"],
  [{ "inventory.yaml": "assets:\n  name: a\n" }, "inventory.yaml:2:3: assets must be a list"],
  [{ "inventory.yaml": "assets:\n  - { name: a, criticality: hihg }\n" }, 'write "high"'],
  [{ "never-touch.yaml": "- { type: ip, value: 10.0.0.1, why: w }\n" }, 'write "address"'],
  [{ "never-touch.yaml": "- { type: network, value: 10.0.0.1/8, why: w }\n" }, "write 10.0.0.0/8"],
  [{ "never-touch.yaml": "- { type: host, value: dc01 }\n" }, 'never-touch.yaml:1:3: a never-touch entry has no "why"'],
  [
    { "routing.yaml": "- { action: blok_ip, connector: edl }\n" },
    'routing.yaml:1:13: "blok_ip" is not an action; write "block_ip"',
  ],
  [{ "routing.yaml": "- { action: block_ip, connector: My Firewall }\n" }, "is not a connector name"],
  [
    { "settings.yaml": "freshness_seconds: 3600\n" },
    'settings.yaml:1:1: "freshness_seconds" is not a key of the settings; write freshness: 1h',
  ],
  [{ "settings.yaml": "mode: enforced\n" }, 'write "enforce"'],
  [{ "settings.yaml": "- a\n" }, "settings.yaml:1:1: the settings must be a block"],
];

describe("a repository that does not fit together says where and what to write", () => {
  for (const [changed, error] of wrong) {
    test(error, () => {
      const found = errorsOf({ ...repository, ...changed });
      expect(
        found.some((line) => line.includes(error)),
        found.join("\n"),
      ).toBe(true);
    });
  }

  test("errors of all files come at once, by file and place", () => {
    const found = errorsOf({
      ...repository,
      "settings.yaml": "mode: x",
      "policies/global/b.yaml": "policy: global/b\n",
    });
    expect(found.map((line) => line.split(":")[0])).toEqual([...found.map((line) => line.split(":")[0])].sort());
    expect(new Set(found.map((line) => line.split(":")[0])).size).toBe(2);
  });

  test("a policy that cannot be read is named once, not again by the cases that expect it", () => {
    const found = errorsOf({
      ...repository,
      "policies/global/b.yaml": "policy: global/b\nmatch: {}\nthen: allow\nwhy: w\n",
      "policies/domain/a.yaml": guard("domain/a").replace("policies: [domain/a]", "policies: [global/b]"),
    });
    expect(found).toHaveLength(1);
  });
});

const edition = {
  org: "example",
  sites: ["*"],
  version: 3,
  issuedAt: "2026-01-01T00:00:00.000Z",
  changelog: "c",
  engine: "reflex/1",
};
const bundleOf = (files: Iterable<readonly [string, string]>): Bundle => {
  const set = parsePolicySet(new Map(files));
  if (!set.ok) throw new Error(set.error.map(formatPolicyError).join("\n"));
  return draftToBundle(set.value, edition);
};

describe("a repository becomes a bundle", () => {
  test("that is legal and holds what the files say", () => {
    const bundle = bundleOf(Object.entries(repository));
    expect([...Value.Errors(Bundle, bundle)]).toEqual([]);
    expect(bundle.policies.map(({ id }) => id)).toEqual(["domain/a", "global/b"]);
    expect(bundle.lists).toEqual({ internal: ["10.0.0.0/8"], tags: ["a", "b"] });
    expect(bundle.inventory.assets).toEqual([
      { name: "dc01", hosts: ["dc01"], addresses: ["10.0.0.1"] },
      { name: "dc02", hosts: ["dc02", "dc02.corp.example"], addresses: [] },
    ]);
    expect(bundle.routing).toEqual([
      { action: "block_ip", connector: "edl" },
      { action: "block_range", connector: "edl" },
      { action: "isolate_host", connector: "edr", sites: ["hq"] },
    ]);
    expect(bundle.settings).toMatchObject({ freshness_seconds: 600, lease_seconds: 86_400, mode: "approve" });
    expect(bundle.cases).toHaveLength(2);
  });

  test("the same bytes, in whatever order the files were read", () => {
    const expected = JSON.stringify(bundleOf(Object.entries(repository)));
    const shuffled = fc.shuffledSubarray(Object.entries(repository), { minLength: Object.keys(repository).length });
    fc.assert(
      fc.property(shuffled, (files) => JSON.stringify(bundleOf(files)) === expected),
      { numRuns: 50 },
    );
  });

  test("an empty repository is a bundle that permits nothing", () => {
    expect(bundleOf([]).policies).toEqual([]);
  });

  test("an empty file is an empty list, because people comment entries out", () => {
    const empty = Object.fromEntries(
      Object.keys(repository)
        .filter((path) => !path.startsWith("policies/"))
        .map((path) => [path, "# - x\n"]),
    );
    expect(bundleOf(Object.entries(empty)).never_touch).toEqual([]);
  });

  test("no text of any file makes reading throw", () => {
    const anyFile = fc.constantFrom(
      ...Object.keys(repository),
      "lists/x.yaml",
      "policies/a.yaml",
      "x.yaml",
      "lists/.yaml",
    );
    fc.assert(
      fc.property(
        fc.dictionary(anyFile, fc.oneof(fc.string(), fc.constantFrom(...Object.values(repository)))),
        (files) => {
          parsePolicySet(new Map(Object.entries(files)));
        },
      ),
      { numRuns: 500 },
    );
  });
});
