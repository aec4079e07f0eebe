import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parsePolicy } from "./parse.ts";
import { errorsPerFileMax } from "./policy-error.ts";
import { policyFileLengthMax, readYaml } from "./read-yaml.ts";

const messages = (text: string): string[] => {
  const parsed = parsePolicy("x.yaml", text);
  return parsed.ok ? [] : parsed.error.map(({ message }) => message);
};

const laughs = `a: &a [x, x]\nb: &b [*a, *a]\nc: [${"*b, ".repeat(1_000)}*b]\n`;

describe("YAML that would mean trouble is refused, and says why", () => {
  test.each([
    ["a billion laughs", laughs, "anchors"],
    ["an alias", "policy: *x\n", "aliases"],
    ["a merge key", "policy: domain/x\n<<: { then: deny }\n", "merge keys"],
    ["a tag", "policy: !!str domain/x\n", "tag"],
    ["a tag of code", "policy: !!js/function 'x'\n", "tags"],
    ["a key written twice", "then: deny\nthen: restrict\n", "written twice"],
    ["two documents", "policy: domain/x\n---\npolicy: domain/y\n", "several documents"],
    ["a tab", "match:\n\taction: block_ip\n", "tab"],
    ["an open bracket", "match: { action: [block_ip\n", "a bracket there is not closed"],
    ["a second colon", "why: one: two\n", "second `: `"],
    ["a directive", "%FOO bar\n---\npolicy: domain/x\n", "directives"],
    ["a list as key", "? [a]\n: b\n", "key must be a word"],
    ["too much text", `why: ${"x".repeat(policyFileLengthMax)}\n`, "allowed"],
    ["deep brackets", "[".repeat(30_000), "nests too deep"],
    ["deep dashes", "- ".repeat(30_000), "nests too deep"],
    ["nothing", "", "holds no policy"],
    ["only a comment", "# policy\n", "holds no policy"],
    ["a list", "- policy\n", "holds no policy"],
  ])("%s", (_, text, message) => {
    expect(messages(text).join("\n")).toContain(message);
  });

  test("a key of an object's prototype is just an unknown key", () => {
    for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      expect(
        messages(`policy: domain/x\n${key}: { then: deny }\nmatch: { ${key}: 1 }\nthen: ${key}\nwhy: w\n`),
      ).toEqual(expect.arrayContaining([`"${key}" is not a key of a policy`, `"${key}" is not a field`]));
    }
  });

  test("a file of nothing but mistakes does not flood the terminal", () => {
    const text = Array.from({ length: 1_000 }, (_, index) => `key${index}: 1`).join("\n");
    expect(messages(text)).toHaveLength(errorsPerFileMax);
  });
});

const sound = `policy: action/x
match: { confidence: { gt: 0.85 }, rule.origin: known_ioc, tags: [a, $b] }
unless: [{ src.net: { in_cidr: 10.0.0.0/8 } }]
do: { action: block_ip, target: attacker.address, ttl: 24h }
why: "Because."
cases:
  - name: n
    detection: { confidence: 0.9, entities: [attacker.address 203.0.113.9] }
    expect: { verdict: act, actions: [block_ip address 203.0.113.9] }
`;

const mistakesHavePlaces = (text: string): void => {
  const parsed = parsePolicy("x.yaml", text);
  if (parsed.ok) return;
  expect(parsed.error.length).toBeGreaterThan(0);
  const lines = text.split("\n").length;
  for (const { line, column, message } of parsed.error) {
    expect(line).toBeGreaterThanOrEqual(1);
    expect(line).toBeLessThanOrEqual(lines);
    expect(column).toBeGreaterThanOrEqual(1);
    expect(message).not.toBe("");
  }
};

describe("reading never throws, and every mistake has a place in the text", () => {
  test("on any text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), mistakesHavePlaces), { numRuns: 1_500 });
  });

  test("on text that looks like YAML", () => {
    const pieces = [
      "policy",
      "match",
      "then",
      "deny",
      ": ",
      ":",
      "{",
      "}",
      "[",
      "]",
      ", ",
      "\n",
      "\n  ",
      "- ",
      "&a",
      "*a",
      "!!x",
      "|",
      ">",
      "'",
      '"',
      "#",
      "$x",
      "0.5",
      "~",
      "? ",
      "<<",
      "%",
      "\t",
      "---",
    ];
    const text = fc.array(fc.constantFrom(...pieces), { maxLength: 60 }).map((parts) => parts.join(""));
    fc.assert(fc.property(text, mistakesHavePlaces), { numRuns: 2_000 });
  });

  test("on a sound policy with a piece changed", () => {
    const change = fc.tuple(fc.nat(sound.length), fc.nat(12), fc.string({ unit: "binary-ascii", maxLength: 6 }));
    fc.assert(
      fc.property(change, ([at, length, put]) =>
        mistakesHavePlaces(sound.slice(0, at) + put + sound.slice(at + length)),
      ),
      { numRuns: 2_000 },
    );
  });

  test("the sound policy is sound", () => {
    expect(messages(sound)).toEqual([]);
    expect(readYaml("x.yaml", sound).ok).toBe(true);
  });
});
