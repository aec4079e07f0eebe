import { isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseNetwork } from "../engine/address.ts";
import { readAddressText } from "./address-text.ts";

const groups = (count: number, max: number) =>
  fc.array(fc.integer({ min: 0, max }), { minLength: count, maxLength: count });
const v4 = groups(4, 255).map((bytes) => bytes.join("."));
const v6 = groups(8, 0xffff).chain((words) =>
  fc.nat(8).map((zeros) => words.map((word, index) => (index < zeros ? 0 : word).toString(16)).join(":")),
);
const v4Mapped = groups(2, 0xffff).map((words) => `0:0:0:0:0:ffff:${words.map((word) => word.toString(16)).join(":")}`);
const prefixed = fc.oneof(
  fc.tuple(v4Mapped, fc.integer({ min: 0, max: 128 })),
  fc.tuple(v4, fc.integer({ min: 0, max: 32 })),
  fc.tuple(v6, fc.integer({ min: 0, max: 128 })),
);

describe("addresses as text", () => {
  test("what is an address and what is not is agreed with the system", () => {
    const looksLikeOne = fc.oneof(
      v4,
      v6,
      fc.ipV6(),
      fc.string({ unit: fc.constantFrom(..."0123456789abcF:./"), maxLength: 20 }),
    );
    fc.assert(
      fc.property(looksLikeOne, (text) => {
        const isOne = readAddressText(text).kind === "legal" && !text.includes("/");
        expect(isOne, text).toBe(isIP(text) !== 0);
      }),
      { numRuns: 2_000 },
    );
  });

  test("the spelling that is kept means the same to the engine, and stays as it is", () => {
    fc.assert(
      fc.property(prefixed, ([address, prefix]) => {
        const written = `${address}/${prefix}`;
        const found = readAddressText(written);
        if (found.kind === "malformed") throw new Error(written);
        // The engine knows no range wider than all IPv4 addresses under an IPv4 address written as IPv6; the language has none either.
        const isTooWide = found.kind === "host-bits" && /^0:0:0:0:0:ffff:/.test(address) && prefix < 96;
        expect(parseNetwork(written)).toEqual(isTooWide ? undefined : parseNetwork(found.text));
        expect(readAddressText(found.text)).toMatchObject({ kind: "legal", text: found.text });
      }),
      { numRuns: 1_000 },
    );
  });

  test.each([
    ["10.1.2.3/8", { kind: "host-bits", text: "10.0.0.0/8" }],
    ["10.0.0.0/33", { kind: "malformed" }],
    ["10.0.0.0/08", { kind: "malformed" }],
    ["1.2.3.4/5/6", { kind: "malformed" }],
    ["010.0.0.1", { kind: "malformed" }],
    ["2001:0DB8::0:1", { kind: "legal", text: "2001:db8::1", version: 6 }],
    ["::ffff:10.0.0.1", { kind: "legal", text: "::ffff:a00:1", version: 6 }],
    ["fe80::1%eth0", { kind: "malformed" }],
    ["", { kind: "malformed" }],
  ])("%s", (written, expected) => {
    expect(readAddressText(written)).toEqual(expected);
  });
});
