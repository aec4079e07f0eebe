import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeUtf8, encodeUtf8, utf8Length } from "./utf8.ts";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const native = (bytes: Uint8Array): string | undefined => {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
};

describe("UTF-8 as the platform has it, without the platform", () => {
  test("any text is written as TextEncoder writes it, and read back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", size: "large" }), (text) => {
        const bytes = encodeUtf8(text);
        expect(bytes).toEqual(new TextEncoder().encode(text));
        expect(decodeUtf8(bytes ?? new Uint8Array(0))).toBe(text);
        expect(utf8Length(text)).toBe(bytes?.length);
      }),
      { numRuns: 1_000 },
    );
  });

  test("half a surrogate pair is no text", () => {
    const units = fc.array(fc.oneof(fc.integer({ min: 0xd700, max: 0xe100 }), fc.integer({ min: 0, max: 0xffff })), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(units, (codes) => {
        const text = String.fromCharCode(...codes);
        expect(encodeUtf8(text) === undefined).toBe(!text.isWellFormed());
      }),
      { numRuns: 5_000 },
    );
  });

  test("any bytes are read as a strict TextDecoder reads them", () => {
    const odd = fc.constantFrom(
      0x00,
      0x7f,
      0x80,
      0xbf,
      0xc0,
      0xc1,
      0xc2,
      0xe0,
      0x9f,
      0xa0,
      0xed,
      0xef,
      0xbb,
      0xf0,
      0x8f,
      0x90,
      0xf4,
      0xf5,
      0xff,
    );
    const bytes = fc.array(fc.oneof(odd, fc.integer({ min: 0, max: 255 })), { maxLength: 12 });
    fc.assert(
      fc.property(bytes, (any) => {
        expect(decodeUtf8(Uint8Array.from(any))).toBe(native(Uint8Array.from(any)));
      }),
      { numRuns: 10_000 },
    );
  });

  test("long text is read in pieces, and pieces never part a pair", () => {
    const text = `${"x".repeat(4_095)}${"\u{1f600}".repeat(10_000)}`;
    expect(decodeUtf8(encodeUtf8(text) ?? new Uint8Array(0))).toBe(text);
  });
});
