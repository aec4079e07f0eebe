import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { policyIdPattern, uuidV7, uuidV7Pattern } from "./ids.ts";

const pattern = new RegExp(uuidV7Pattern);
const random = fc.uint8Array({ minLength: 10, maxLength: 10 });
const timeMs = fc.integer({ min: 0, max: 2 ** 48 - 1 });

describe("UUIDv7", () => {
  test("has version 7 and variant 10, whatever time and dice say", () => {
    fc.assert(fc.property(timeMs, random, (ms, bytes) => pattern.test(uuidV7(ms, bytes))));
  });
  test("sorts by time", () => {
    fc.assert(
      fc.property(timeMs, timeMs, random, random, (a, b, first, second) => {
        if (a !== b) expect(uuidV7(a, first) < uuidV7(b, second)).toBe(a < b);
      }),
    );
  });
  test("carries its time in full, and all of the dice but the six bits of version and variant", () => {
    fc.assert(
      fc.property(timeMs, random, random, (ms, bytes, other) => {
        const id = uuidV7(ms, bytes);
        expect(Number.parseInt(id.replace("-", "").slice(0, 12), 16)).toBe(ms);
        const masked = (dice: Uint8Array): string =>
          dice.map((byte, index) => (index === 0 ? byte & 0x0f : index === 2 ? byte & 0x3f : byte)).join();
        expect(uuidV7(ms, other) === id).toBe(masked(other) === masked(bytes));
      }),
    );
  });
  test("is the example of RFC 9562, appendix A.6", () => {
    const dice = Uint8Array.of(0xc, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f);
    expect(uuidV7(0x017f22e279b0, dice)).toBe("017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
  });
  test("a clock before 1970, with fractions or without dice still gives an id", () => {
    for (const ms of [-5, 0.9, 1_769_860_800_000.25]) expect(uuidV7(ms, new Uint8Array(0))).toMatch(pattern);
  });
});

test.each([
  ["action/block-known-ioc", true],
  ["global/a", true],
  ["action/", false],
  ["Action/a", false],
  ["action/../a", false],
  ["other/a", false],
  ["action/a\n", false],
])("policy id %j: %s", (id, legal) => {
  expect(new RegExp(policyIdPattern).test(id)).toBe(legal);
});
