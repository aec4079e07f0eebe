import { describe, expect, test } from "vitest";
import { parsePolicy } from "./parse.ts";
import { formatPolicyError } from "./policy-error.ts";

const guard = (lines: string): string =>
  `policy: domain/x\nmatch: { action: block_ip }\nthen: deny\nwhy: Because.\n${lines}`;
const permit = (lines: string): string =>
  `policy: action/x\nmatch: { confidence: { gt: 0.9 } }\ndo: { action: block_ip, target: attacker.address, ttl: 1h }\nwhy: Because.\n${lines}`;
const matching = (block: string): string => `policy: domain/x\nmatch:\n  ${block}\nthen: deny\nwhy: Because.\n`;
const granting = (block: string): string =>
  `policy: action/x\nmatch: { confidence: { gt: 0.9 } }\ndo: { ${block} }\nwhy: Because.\n`;
const limiting = (block: string): string => guard(`limit: { ${block} }`);
const withCase = (block: string): string => permit(`cases:\n  - ${block}\n`);

const errorsOf = (text: string): string[] => {
  const parsed = parsePolicy("domain/x.yaml", text);
  return parsed.ok ? [] : parsed.error.map(formatPolicyError);
};

/** What an author writes, where it is wrong, and what the message must say. */
const wrong: readonly (readonly [written: string, place: string, message: string, fix: string])[] = [
  // names
  [matching("confidance: { gt: 0.8 }"), "3:3", '"confidance" is not a field', 'write "confidence"'],
  [matching("src_ip: 10.0.0.1"), "3:3", "is not a field", 'write "src.net"'],
  [matching("rule: { origin: known_ioc }"), "3:3", "group of fields", "rule.origin"],
  [matching("or: [a, b]"), "3:3", "is not a field", "second policy"],
  [matching("unless: { severity: low }"), "3:3", "is not a field", "beside `match:`"],
  [matching("zzzzzzzzzz: 1"), "3:3", "is not a field", "the fields are: confidence"],
  [matching("action: blok_ip"), "3:11", "is not a value of action", 'write "block_ip"'],
  [matching("action: contain"), "3:11", "is not a value of action", 'write "isolate_host"'],
  [matching("severity: hihg"), "3:13", "is not a value of severity", 'write "high"'],
  [matching("severity: warning"), "3:13", "is not a value of severity", 'write "medium"'],
  [matching("confidence: { greater: 0.8 }"), "3:17", '"greater" is not an operator', "gt"],
  [matching('confidence: { ">": 0.8 }'), "3:17", "is not an operator", 'write "gt"'],
  [matching("severity: { in: [low] }"), "3:15", "is not an operator", "directly behind the field"],
  [matching("tags: { regex: 'a.*' }"), "3:11", "patterns", "$my_list"],
  [matching("severity: { has_any: [low] }"), "3:15", "cannot be compared", "severity: value"],
  [guard("lmit: { }"), "5:1", '"lmit" is not a key of a policy', 'write "limit"'],
  [guard("description: hello"), "5:1", "is not a key", 'write "why"'],
  [guard("overrides: [a/b]"), "5:1", "is not a key", "unless"],
  // values
  [matching("confidence: { gt: 80 }"), "3:21", "from 0 to 1", "write 0.8"],
  [matching("confidence: { gt: 85% }"), "3:21", "from 0 to 1", "write 0.85"],
  [matching('confidence: { gt: "0.8" }'), "3:21", "from 0 to 1", "without quotes"],
  [matching("confidence: { gt: 0.12345678 }"), "3:21", "more than 6 decimals", "write 0.123457"],
  [matching("confidence: 0.85"), "3:15", "needs an operator", "confidence: { gte: 0.85 }"],
  [matching('confidence: "> 0.85"'), "3:15", "needs an operator", "confidence: { gt: 0.85 }"],
  [matching("confidence: { gt: [0.1, 0.2] }"), "3:21", "one value", "not a list"],
  [matching("confidence: { gt: 0.9, lt: 0.5 }"), "3:15", "in this range", "swap"],
  [matching("severity: { gt: high, lte: high }"), "3:13", "in this range", "swap"],
  [matching("severity: []"), "3:13", "empty list", "at least one"],
  [matching("severity: {}"), "3:13", "no operator", "severity: value"],
  [matching("severity:"), "3:12", "nothing stands", "write a value for severity"],
  [matching("tags: Lateral"), "3:9", "lower case", "write lateral"],
  [matching("asset.known: yes"), "3:16", "true or false", "write true"],
  [matching("asset.known: [true, false]"), "3:16", "a list says nothing", "asset.known: true"],
  [matching("target.net: { overlaps: 10.1.0.0/8 }"), "3:27", "one address of a range", "write 10.0.0.0/8"],
  [matching("target.net: { overlaps: dc01 }"), "3:27", "is none", "10.0.0.0/8"],
  [matching("target.net: { overlaps: 010.0.0.1 }"), "3:27", "is none", "10.0.0.0/8"],
  [matching("target.net: $Internal"), "3:15", "not the name of a list", "lower-case"],
  [matching("severity: $levels"), "3:13", "cannot be compared with a list", "the value itself"],
  [
    matching(`rule.id: ${JSON.stringify(Array.from({ length: 501 }, (_, i) => i))}`),
    "3:12",
    "501 values",
    "lists/my_list.yaml",
  ],
  // what goes together
  [guard("").replace("then: deny", "then: allow"), "3:7", "not an effect of a guard", "write a permit"],
  [guard("").replace("then: deny", "then: block"), "3:7", "not an effect of a guard", 'write "deny"'],
  [guard("").replace("then: deny", "then: ask"), "3:7", "not an effect of a guard", 'write "require_approval"'],
  [guard("layer: global"), "5:1", "the id says domain", "layer: domain"],
  [guard("layer: contxtual"), "5:8", "is not a layer", 'write "contextual"'],
  [guard("").replace("then: deny\n", ""), "1:1", "neither do nor then", "then: deny"],
  [
    guard("do: { action: block_ip, target: address, ttl: 1h }"),
    "3:1",
    "either grants (do) or restricts (then)",
    "second policy",
  ],
  [
    granting("action: block_ip, target: address, ttl: 1h").replace("action/x", "domain/x"),
    "3:1",
    "only the action layer can grant",
    "then: deny",
  ],
  [guard("approval: { quorum: 2 }"), "5:1", "approval has no meaning", "require_approval"],
  [guard("").replace("then: deny", "then: restrict"), "3:1", "restricts nothing", "ttl_max"],
  [guard("ttl_max: 1h"), "5:1", "has no ttl", "restrict"],
  [permit("limit: { count: actions, per: site, max: 1, window: 1h }"), "5:1", "a permit has no limit", "write a guard"],
  [permit("").replace("{ confidence: { gt: 0.9 } }", "{}"), "2:1", "every detection", "confidence: { gt: 0.85 }"],
  [permit("").replace("{ confidence", "{ action: block_ip, confidence"), "2:1", "says nothing", "remove action"],
  [guard("unless: {}"), "5:9", "would always match", "at least one field"],
  [guard("unless: []"), "5:9", "empty list", "write a block"],
  // do
  [granting("action: block, target: address, ttl: 1h"), "3:15", "is not an action", '"block_ip"'],
  [granting("action: kill_process, target: process, ttl: 1h"), "3:15", "is not an action", "suspend_process"],
  [granting("action: block_ip, target: attacker.host, ttl: 1h"), "3:33", "acts on address", "attacker.address"],
  [granting("action: block_ip, target: attacker.ip, ttl: 1h"), "3:33", "not a type of entity", 'write "address"'],
  [granting("action: block_ip, target: atacker.address, ttl: 1h"), "3:33", "not a role", 'write "attacker"'],
  [granting("action: block_ip, target: observer.address, ttl: 1h"), "3:33", "never a target", "another role"],
  [granting("action: block_ip, target: a.b.c, ttl: 1h"), "3:33", "is not a target", "attacker.address"],
  [granting("action: block_ip, target: address"), "3:5", 'has no "ttl"', "write ttl: 1h"],
  [granting("action: block_ip, target: address, ttl: 30"), "3:47", "not a duration", "30m"],
  [granting("action: block_ip, target: address, ttl: 90d"), "3:47", "too long", "30d"],
  [
    granting("action: block_ip, target: address, ttl: 1h, connector: edl"),
    "3:51",
    "is not a key of do",
    "routing.yaml",
  ],
  [
    permit("").replace("do: { action: block_ip, target: attacker.address, ttl: 1h }", "do: block_ip"),
    "3:5",
    "must say action",
    "do: { action: block_ip",
  ],
  [
    permit("").replace("do: { action: block_ip, target: attacker.address, ttl: 1h }", "do: [a]"),
    "3:5",
    "one action",
    "second policy",
  ],
  // limit and approval
  [limiting("count: hosts, per: site, max: 1, window: 1h"), "5:17", "is not what is counted", 'write "targets"'],
  [limiting("count: actions, per: siet, max: 1, window: 1h"), "5:31", "is not a group", 'write "site"'],
  [limiting("count: actions, per: site, max: 5%, window: 1h"), "5:42", "needs a population", "per: subnet"],
  [limiting("count: actions, per: subnet, max: 0.05, window: 1h"), "5:44", "not a number or percent", "write 5%"],
  [limiting("count: actions, per: subnet, max: 120%, window: 1h"), "5:44", "not a number or percent", "5%"],
  [limiting("count: actions, per: subnet, max: [1, 2], window: 1h"), "5:44", "one number and one percent", "[20, 5%]"],
  [limiting("count: actions, per: site, max: 1, window: 60"), "5:53", "not a duration", "60m"],
  [limiting("count: actions, per: site, max: 1"), "5:8", 'has no "window"', "window: 60m"],
  [
    guard("").replace("then: deny", "then: require_approval\napproval: { on_timeout: allow }"),
    "4:25",
    "not an answer to silence",
    "never consent",
  ],
  [
    guard("").replace("then: deny", "then: require_approval\napproval: { quorum: 9 }"),
    "4:21",
    "not a quorum",
    "from 1 to 5",
  ],
  [guard("shadow: sometimes"), "5:9", "not true or false", "true or false"],
  [guard("why2: x").replace("why: Because.\n", ""), "1:1", 'has no "why"', "one sentence"],
  [guard("").replace("domain/x", "Domain X"), "1:9", "is not layer/name", "path of the file"],
  // cases
  [withCase("{ detection: {}, expect: act }"), "6:5", 'has no "name"', "write name"],
  [withCase("{ name: n, detection: {}, expect: deny }"), "6:39", "is not a verdict", 'write "refuse"'],
  [withCase("{ name: n, detection: { severity: sever }, expect: act }"), "6:39", "is not a severity", "low, medium"],
  [withCase("{ name: n, detection: { attacker: 1.2.3.4 }, expect: act }"), "6:29", "is not a key", "entities"],
  [
    withCase("{ name: n, detection: { entities: [atacker.address 1.2.3.4] }, expect: act }"),
    "6:40",
    "not a role",
    'write "attacker"',
  ],
  [
    withCase("{ name: n, detection: { entities: [address 1.2.3.400] }, expect: act }"),
    "6:40",
    "not a legal address",
    "203.0.113.9",
  ],
  [withCase("{ name: n, detection: { entities: [file abc] }, expect: act }"), "6:40", "SHA-256", "64 hexadecimal"],
  [
    withCase("{ name: n, detection: { entities: [dc01] }, expect: act }"),
    "6:40",
    "does not begin with a type",
    "user alice",
  ],
  [
    withCase("{ name: n, detection: {}, expect: { verdict: act, actions: [block 1.2.3.4] } }"),
    "6:65",
    "not an expected action",
    "block_ip address",
  ],
  [
    withCase("{ name: n, detection: {}, given: { limits: { a: x } }, expect: act }"),
    "6:53",
    "is not a count",
    "whole number",
  ],
];

describe("every mistake is named, with its place and what to write instead", () => {
  for (const [written, place, message, fix] of wrong) {
    test(`${message}; ${fix} (${place} of ${JSON.stringify(written).slice(0, 120)})`, () => {
      const found = errorsOf(written);
      const isNamed = found.some(
        (line) => line.startsWith(`domain/x.yaml:${place}:`) && line.includes(message) && line.includes(fix),
      );
      expect(isNamed, found.join("\n")).toBe(true);
    });
  }

  test("all mistakes of a file come at once, in the order of the text", () => {
    const lines = errorsOf("policy: domain/x\nmatch: { confidance: 1, severity: hihg }\nthen: allow\nlmit: 3\n");
    expect(lines.map((line) => line.split(":").slice(1, 3).join(":"))).toEqual(["1:1", "2:10", "2:35", "3:7", "4:1"]);
  });

  test("a mistake reads as one line that an editor can jump to", () => {
    expect(errorsOf(matching("confidance: { gt: 0.8 }"))).toEqual([
      'domain/x.yaml:3:3: "confidance" is not a field; write "confidence"',
    ]);
  });
});

describe("what is right", () => {
  const parsed = (text: string) => {
    const result = parsePolicy("x.yaml", text);
    if (!result.ok) throw new Error(result.error.map(formatPolicyError).join("\n"));
    return result.value;
  };

  test("the order of keys, values and exceptions changes nothing", () => {
    const one = parsed(
      "policy: domain/x\nmatch: { severity: [high, low], action: [block_ip, block_range] }\nunless: [{ site: b }, { site: a }]\nthen: deny\nwhy: W\n",
    );
    const other = parsed(
      "why: W\nthen: deny\nunless: [{ site: a }, { site: b }]\nmatch: { action: [block_range, block_ip, block_ip], severity: [low, high] }\npolicy: domain/x\n",
    );
    expect(JSON.stringify(one.policy)).toBe(JSON.stringify(other.policy));
  });

  test("words that other readers of YAML turn into something else stay words", () => {
    const { policy } = parsed(
      "policy: domain/x\nmatch: { rule.id: [no, 007, 1e3, 0x1F, true, 12:30:00, 2026-01-01] }\nthen: deny\nwhy: no\n",
    );
    expect(policy.match[0]?.value).toEqual(["007", "0x1F", "12:30:00", "1e3", "2026-01-01", "no", "true"]);
    expect(policy.why).toBe("no");
  });

  test("approval that is not said is one analyst within half an hour, and silence denies", () => {
    const { policy } = parsed(guard("").replace("then: deny", "then: require_approval"));
    expect(policy).toMatchObject({
      approval: { from: "analyst", quorum: 1, expires_seconds: 1_800, on_timeout: "deny" },
    });
  });

  test("addresses have one spelling", () => {
    const { policy } = parsed(matching("target.net: { overlaps: [2001:DB8:0::/32, 10.0.0.0/8] }"));
    expect(policy.match[0]?.value).toEqual(["10.0.0.0/8", "2001:db8::/32"]);
  });

  test("positions find what a pointer names", () => {
    expect(parsed(permit("")).positions.get("/match/confidence/gt")).toEqual({ line: 2, column: 24 });
  });

  test("a detection copied from the wire is a case", () => {
    const wire = {
      event_id: "e1",
      timestamp: "2026-01-31T12:00:00.000Z",
      confidence: 0.9,
      confidence_origin: "vendor",
      severity: "high",
      tags: ["a"],
      entities: [{ type: "address", value: "203.0.113.9", role: "attacker" }],
      rule: { id: "1", name: "n", origin: "known_ioc" },
      source: { kind: "suricata", domain: "network", sensor: "s1" },
      enrichment: { k: 1 },
    };
    const { cases } = parsed(withCase(`{ name: n, detection: ${JSON.stringify(wire)}, expect: act }`));
    expect(cases[0]?.detection).toEqual(wire);
  });
});
