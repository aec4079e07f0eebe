import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { utcTimestampPattern } from "./detection.ts";
import { isUtcTimestamp, parseTimestamp, timestampOf } from "./timestamp.ts";

const two = (value: number): string => String(value).padStart(2, "0");
const pattern = new RegExp(utcTimestampPattern);
const anyMs = fc.integer({ min: -62_167_219_200_000, max: 253_402_300_799_999 });

describe("a time is read as it was written", () => {
  test("every spelling of one time is one number", () => {
    const offset = fc.tuple(fc.constantFrom("+", "-"), fc.nat(23), fc.nat(59), fc.constantFrom("", ":"));
    const digits = fc.stringMatching(/^[0-9]{0,6}$/);
    const ms = fc.integer({ min: -62_135_596_800_000, max: 253_402_214_400_000 });
    fc.assert(
      fc.property(
        ms,
        offset,
        digits,
        fc.constantFrom("T", "t", " "),
        (utc, [sign, hours, minutes, colon], more, between) => {
          const shift = (hours * 60 + minutes) * 60_000 * (sign === "+" ? 1 : -1);
          const local = new Date(utc + shift).toISOString().slice(0, -1).replace("T", between);
          expect(parseTimestamp(`${local}${more}${sign}${two(hours)}${colon}${two(minutes)}`)).toBe(utc);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"],
    ["2026-01-31T12:00:00.123456+0000", "2026-01-31T12:00:00.123Z"],
    ["2026-01-31T06:00:00.9999999-0600", "2026-01-31T12:00:00.999Z"],
    ["2026-01-31 17:30:00,5+05:30", "2026-01-31T12:00:00.500Z"],
    ["2026-01-31T14:00:00+02", "2026-01-31T12:00:00.000Z"],
    ["2026-01-31T12:00:00-00:00", "2026-01-31T12:00:00.000Z"],
    ["2024-02-29T23:59:59.999Z", "2024-02-29T23:59:59.999Z"],
    ["2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"],
    ["2017-01-01T01:59:60.500+02:00", "2016-12-31T23:59:59.999Z"],
    ["0099-12-31T23:59:59.000Z", "0099-12-31T23:59:59.000Z"],
  ])("%s", (text, utc) => {
    expect(parseTimestamp(text)).toBe(Date.parse(utc));
  });

  test("for real days it agrees with Date.parse, and it knows no other days", () => {
    const part = (max: number): fc.Arbitrary<string> => fc.nat(max).map(two);
    const year = fc.nat(9_999).map((value) => String(value).padStart(4, "0"));
    const text = fc
      .tuple(year, part(13), part(32), part(25), part(61), part(59))
      .map(([y, month, day, hour, minute, second]) => `${y}-${month}-${day}T${hour}:${minute}:${second}.000Z`);
    fc.assert(
      fc.property(text, (any) => {
        const date = new Date(any);
        const isReal = !Number.isNaN(date.getTime()) && date.toISOString() === any;
        expect(parseTimestamp(any)).toBe(isReal ? date.getTime() : undefined);
        expect(isUtcTimestamp(any)).toBe(isReal);
        expect(pattern.test(any)).toBe(isReal);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe("what is no time is undefined, never a guess", () => {
  test.each([
    "",
    "2026-02-30T12:00:00Z",
    "2025-02-29T12:00:00Z",
    "2100-02-29T12:00:00Z",
    "2026-04-31T12:00:00Z",
    "2026-00-10T12:00:00Z",
    "2026-13-10T12:00:00Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T12:60:00Z",
    "2026-01-31T12:00:61Z",
    "2026-01-31T12:00:60Z",
    "2026-01-31T12:00:00",
    "2026-01-31T12:00:00.Z",
    "2026-01-31T12:00:00.000",
    "2026-01-31T12:00:00+24:00",
    "2026-01-31T12:00:00+5:30",
    "2026-01-31T12:00:00+05:3",
    "2026-01-31T12:00:00+053:0",
    "2026-01-31T12:00:00 Z",
    "2026-01-31T12:00:00ZZ",
    "2026-01-31T12:00:00Z\n",
    " 2026-01-31T12:00:00Z",
    "2026/01/31T12:00:00Z",
    "20260131T120000.000Z",
    "+002026-01-31T12:00:00Z",
    "-026-01-31T12:00:00.000Z",
    "２０２６-01-31T12:00:00Z",
    "0000-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    `2026-01-31T12:00:00.${"0".repeat(40)}Z`,
    "Sat Jan 31 12:00:00 2026",
    "1769860800000",
  ])("%j", (text) => {
    expect(parseTimestamp(text)).toBeUndefined();
  });

  test("any text is a number or undefined", () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9TZ:+. -]{18,32}$/));
    fc.assert(
      fc.property(text, (any) => {
        const ms = parseTimestamp(any);
        expect(ms === undefined || Number.isSafeInteger(ms)).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe("one spelling on the wire", () => {
  test("what is written is read back, and equal times are equal strings", () => {
    fc.assert(
      fc.property(anyMs, (ms) => {
        expect(timestampOf(ms)).toBe(new Date(ms).toISOString());
        expect(parseTimestamp(timestampOf(ms))).toBe(ms);
        expect(isUtcTimestamp(timestampOf(ms))).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
  test("the pattern in the schemas knows every day of four centuries", () => {
    for (let ms = Date.UTC(1900, 0, 1); ms < Date.UTC(2300, 0, 1); ms += 86_400_000) {
      if (!pattern.test(timestampOf(ms))) expect.fail(timestampOf(ms));
    }
    for (let year = 1900; year < 2300; year += 1) {
      expect(pattern.test(`${year}-02-29T00:00:00.000Z`)).toBe(new Date(Date.UTC(year, 1, 29)).getUTCMonth() === 1);
    }
  });
  test.each([
    "2026-01-31T12:00:00Z",
    "2026-01-31 12:00:00.000Z",
    "2026-01-31T12:00:00.000z",
    "2026-01-31T12:00:00,000Z",
    "2016-12-31T23:59:60.000Z",
    "2026-02-30T12:00:00.000Z",
  ])("%s is another spelling, or no time", (text) => {
    expect(isUtcTimestamp(text)).toBe(false);
    expect(pattern.test(text)).toBe(false);
  });
  test.each([Number.NaN, Number.POSITIVE_INFINITY, 253_402_300_800_000, -62_167_219_200_001])(
    "%s has no year of four digits",
    (ms) => {
      expect(() => timestampOf(ms)).toThrow(RangeError);
    },
  );
});
