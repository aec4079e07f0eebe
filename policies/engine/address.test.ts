import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contains, isPoint, overlaps, parseAddress, parseNetwork } from "./address.ts";
import { createCidrIndex } from "./cidr-index.ts";

const v4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join("."));
const v6 = fc
  .array(fc.nat(0xffff), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.map((group) => group.toString(16)).join(":"));
// Few distinct bits, so that drawn networks nest and touch.
const network = fc.oneof(
  fc
    .tuple(fc.constantFrom("10.0.0.1", "10.128.0.1", "10.0.1.255", "255.255.255.255"), fc.nat(32))
    .map(([base, prefix]) => `${base}/${prefix}`),
  fc
    .tuple(fc.constantFrom("2001:db8::1", "2001:db8:8000::", "::", "ffff::ffff"), fc.nat(128))
    .map(([base, prefix]) => `${base}/${prefix}`),
);
const read = (text: string) => {
  const range = parseNetwork(text);
  if (range === undefined) throw new Error(`${text} was not read`);
  return range;
};

describe("an address is read in one way or not at all", () => {
  test("every legal address is one point, and equal to itself in other spellings", () => {
    fc.assert(
      fc.property(fc.oneof(v4, v6), (text) => isPoint(read(text)) && parseAddress(text.toUpperCase()) !== undefined),
    );
    expect(parseAddress("2001:db8::1")).toEqual(parseAddress("2001:0DB8:0:0:0:0:0:1"));
  });

  test("an IPv4 address written as IPv6 is the IPv4 address, so no guard can be walked around by spelling", () => {
    fc.assert(
      fc.property(v4, (text) => {
        expect(parseAddress(`::ffff:${text}`)).toEqual(parseAddress(text));
      }),
    );
    expect(parseNetwork("::ffff:10.0.0.0/104")).toEqual(parseNetwork("10.0.0.0/8"));
  });

  test.each([
    "",
    "10.0.0",
    "10.0.0.0.1",
    "10.0.0.256",
    "010.0.0.1",
    "10.0.0.1 ",
    "1e1.0.0.1",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7:8:9",
    "12345::",
    "fe80::1%eth0",
    "g::",
    "web01",
  ])("%j is no address", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
  test.each([
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/08",
    "10.0.0.0/",
    "::/129",
    "/8",
    "10.0.0.0/8/8",
    "::ffff:10.0.0.0/8",
  ])("%j is no network", (text) => {
    expect(parseNetwork(text)).toBeUndefined();
  });
});

describe("networks", () => {
  test("one holds the other, or they share nothing: overlap is containment either way", () => {
    fc.assert(
      fc.property(network, network, (one, other) => {
        const [a, b] = [read(one), read(other)];
        expect(overlaps(a, b)).toBe(contains(a, b) || contains(b, a));
      }),
    );
  });

  test("the index finds what a look at each network finds", () => {
    fc.assert(
      fc.property(fc.array(network, { maxLength: 12 }), fc.oneof(network, v4), (texts, wanted) => {
        const networks = texts.map(read);
        const range = read(wanted);
        const index = createCidrIndex(networks);
        const expected = (holds: typeof contains) =>
          [...networks.keys()].filter((at) => holds(networks[at] ?? range, range));
        expect(index.containing(range).sort((a, b) => a - b)).toEqual(expected(contains));
        expect(index.overlapping(range).sort((a, b) => a - b)).toEqual(expected(overlaps));
      }),
    );
  });
});
