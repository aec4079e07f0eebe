import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "./canonical.ts";

const value = fc.jsonValue({ maxDepth: 6, stringUnit: "binary" });

/** The same value with the members of every object written in another order. */
const reorder = (any: unknown): unknown => {
  if (typeof any !== "object" || any === null) return any;
  if (Array.isArray(any)) return any.map(reorder);
  const copy: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(any).reverse()) {
    Object.defineProperty(copy, key, { value: reorder(member), enumerable: true, writable: true, configurable: true });
  }
  return copy;
};

/** The obvious slow way to say it. */
const referenceJson = (any: unknown): string => {
  if (typeof any !== "object" || any === null) return JSON.stringify(any);
  if (Array.isArray(any)) return `[${any.map(referenceJson).join(",")}]`;
  const members = Object.entries(any).filter(([, member]) => member !== undefined);
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${referenceJson(member)}`).join(",")}}`;
};

describe("one spelling for one value", () => {
  test("the order in which members were written does not matter", () => {
    fc.assert(
      fc.property(value, (any) => canonicalJson(any) === canonicalJson(reorder(any))),
      { numRuns: 1_000 },
    );
  });

  test("reading it back gives the value", () => {
    fc.assert(
      fc.property(value, (any) => {
        expect(JSON.parse(canonicalJson(any))).toEqual(JSON.parse(JSON.stringify(any)));
      }),
      { numRuns: 1_000 },
    );
  });

  test("it is what the slow way says, however many members there are", () => {
    const wide = fc.dictionary(fc.string({ unit: "binary" }), fc.oneof(fc.integer(), fc.constant(undefined)), {
      maxKeys: 80,
    });
    fc.assert(
      fc.property(fc.oneof(value, wide), (any) => {
        expect(canonicalJson(any)).toBe(referenceJson(any));
      }),
      { numRuns: 1_000 },
    );
  });

  test.each([
    [{ b: 1, a: 2, 10: 3, 9: 4 }, '{"10":3,"9":4,"a":2,"b":1}'],
    [{ "\ufb33": 1, "\u{1f600}": 2, "\u20ac": 3 }, '{"\u20ac":3,"\u{1f600}":2,"\ufb33":1}'],
    [[1e21, 1e-7, -0, 0.1 + 0.2, 100], "[1e+21,1e-7,0,0.30000000000000004,100]"],
    [{ a: undefined, b: null, c: [] }, '{"b":null,"c":[]}'],
    ['\u0000\n"\\/\u007f\u2028', '"\\u0000\\n\\"\\\\/\u007f\u2028"'],
    ["\ud800", '"\\ud800"'],
  ])("%j", (any, text) => {
    expect(canonicalJson(any)).toBe(text);
  });
});

describe("what JSON cannot say is a bug of the caller", () => {
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  test.each([
    ["NaN", { a: Number.NaN }],
    ["infinity", [Number.POSITIVE_INFINITY]],
    ["undefined alone", undefined],
    ["undefined in an array", [undefined]],
    ["a bigint", 1n],
    ["a function", { a: () => 1 }],
    ["a Map", new Map([["a", 1]])],
    ["a Date", new Date(0)],
    ["a cycle", cycle],
  ])("%s throws", (_, any) => {
    expect(() => canonicalJson(any)).toThrow(TypeError);
  });
});
