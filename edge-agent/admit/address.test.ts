import { isIPv4, isIPv6 } from "node:net";
import { addressKey, parseAddress as parseForGuards } from "@reflex/policies/engine/address";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalAddress, isInNet, namesOneMachine, netText, parseAddress, parseNet } from "./address.ts";

describe("one spelling for one address", () => {
  test.each([
    ["203.0.113.9", "203.0.113.9"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    ["::ffff:cb00:7109", "203.0.113.9"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["64:ff9b::192.0.2.1", "64:ff9b::c000:201"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["1:0:0:0:0:0:0:0", "1::"],
  ])("%s is %s", (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical);
  });

  test.each([
    "",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "1.2.3.256",
    " 1.2.3.4",
    "1.2.3.4 ",
    "0x7f.1.1.1",
    "1.2.3.4:80",
    "::1%eth0",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8:9",
    "g::",
    "12345::",
    "1.2.3.4::",
    "::1.2.3.4:5",
    ":1:2:3:4:5:6:7",
  ])("`%s` is no address", (text) => {
    expect(canonicalAddress(text)).toBeUndefined();
  });
});

test("legal addresses are those of the platform, and a canonical one stays itself", () => {
  const hostile = fc.string({ unit: fc.constantFrom(..."0123456789abcdefF:.%/ "), maxLength: 46 });
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), hostile), (text) => {
      const canonical = canonicalAddress(text);
      expect(canonical !== undefined).toBe(isIPv4(text) || (isIPv6(text) && !text.includes("%")));
      if (canonical !== undefined) expect(canonicalAddress(canonical)).toBe(canonical);
    }),
    { numRuns: 20_000 },
  );
});

test("admission and guards read the same addresses: none is legal to one and another thing to the other", () => {
  const hostile = fc.string({ unit: fc.constantFrom(..."0123456789abcdefF:.%/ "), maxLength: 46 });
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), hostile), (text) => {
      const canonical = canonicalAddress(text);
      const range = parseForGuards(text);
      expect(canonical === undefined).toBe(range === undefined);
      if (canonical === undefined || range === undefined) return;
      const again = parseForGuards(canonical);
      expect(again === undefined ? undefined : addressKey(again)).toBe(addressKey(range));
    }),
    { numRuns: 10_000 },
  );
});

test("a network holds its own addresses and no others", () => {
  const bytes = parseAddress("10.1.255.7") ?? [];
  expect(isInNet(bytes, parseNet("10.1.128.0/17") ?? { bytes: [], prefixBits: 0 })).toBe(true);
  expect(isInNet(bytes, parseNet("10.1.0.0/17") ?? { bytes: [], prefixBits: 0 })).toBe(false);
  expect(isInNet(bytes, parseNet("::/0") ?? { bytes: [], prefixBits: 0 })).toBe(false);
  expect(parseNet("10.0.0.0/33")).toBeUndefined();
  expect(parseNet("10.0.0.0/")).toBeUndefined();
  expect(netText(parseNet("10.1.255.7/17") ?? { bytes: [], prefixBits: 0 })).toBe("10.1.128.0/17");
  expect(netText(parseNet("2001:db8:ffff::1/33") ?? { bytes: [], prefixBits: 0 })).toBe("2001:db8:8000::/33");
});

test("nobody, everybody and oneself are no machine to act on", () => {
  for (const text of [
    "0.0.0.0",
    "127.0.0.1",
    "255.255.255.255",
    "224.0.0.251",
    "::",
    "::1",
    "ff02::1",
    "::ffff:127.0.0.1",
  ]) {
    expect(namesOneMachine(parseAddress(text) ?? []), text).toBe(false);
  }
  expect(namesOneMachine(parseAddress("203.0.113.9") ?? [])).toBe(true);
});
