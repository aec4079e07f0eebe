import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseJson } from "./json.ts";
import type { RefusalCode } from "./refusal.ts";

const codeOf = (text: string): RefusalCode | "ok" => {
  const result = parseJson(text);
  return result.ok ? "ok" : result.error.code;
};
const native = (text: string): { readonly value: unknown } | undefined => {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
};

/** JSON text that the gate must let in, with white space where JSON allows it. */
const validText = fc
  .jsonValue({ maxDepth: 6, stringUnit: "binary" })
  .filter((value) => isWelcome(value))
  .chain((value) => fc.constantFrom("", " ", "\t", "\n  ").map((space) => JSON.stringify(value, undefined, space)));
const isWelcome = (value: unknown): boolean => {
  if (typeof value === "number") return Math.abs(value) <= Number.MAX_SAFE_INTEGER;
  if (typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([key, member]) => key !== "__proto__" && isWelcome(member));
};
/** The same text with every character of its strings spelt as \uXXXX. */
const spellOut = (text: string): string =>
  [...Array(text.length).keys()].map((at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");

describe("the gate reads what JSON.parse reads", () => {
  test("the same value for every valid text without two equal keys", () => {
    fc.assert(
      fc.property(validText, (text) => {
        expect(parseJson(text)).toEqual({ ok: true, value: JSON.parse(text) });
      }),
      { numRuns: 2_000 },
    );
  });

  test("what JSON.parse refuses is refused, and what is let in is what JSON.parse read", () => {
    const piece = fc.constantFrom(
      ...'{}[]:,"\\ \n0123456789.eE+-truefalsn/u'.split(""),
      '"a":',
      "__proto__",
      "\u2028",
      "\ud800",
    );
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join("")),
      fc.tuple(validText, fc.nat(), fc.nat(3), piece).map(([valid, at, cut, put]) => {
        const from = at % (valid.length + 1);
        return valid.slice(0, from) + put + valid.slice(from + cut);
      }),
    );
    fc.assert(
      fc.property(text, (any) => {
        const result = parseJson(any);
        const expected = native(any);
        if (result.ok) expect({ value: result.value }).toEqual(expected);
        else if (expected === undefined) expect(["json-malformed", "json-too-deep"]).toContain(result.error.code);
        else expect(result.error.code).not.toBe("json-malformed");
      }),
      { numRuns: 5_000 },
    );
  });

  test.each([
    "",
    " ",
    "NaN",
    "Infinity",
    "-Infinity",
    "{",
    '{"a":1,}',
    "'a'",
    '{"a":1}{"b":2}',
    "\ufeff{}",
    "01",
    '{"a" 1}',
    '"\n"',
  ])("malformed: %j", (text) => {
    expect(codeOf(text)).toBe("json-malformed");
  });
});

describe("one key, one value", () => {
  test.each([
    ['{"a":1,"a":2}', 7],
    ['{"a":1,"\\u0061":2}', 7],
    ['{"\\u0061":1,"\\u0061":1}', 12],
    ['{"b":{"a":1},"a":{"a":2,"c":[{"x":1,"x":1}]}}', 36],
    ['[{"":1,"":2}]', 7],
    ['{"a":{"b":1},"a":{"b":1}}', 13],
    ['{"k\\"":1,"k\\u0022":1}', 9],
  ])("%s is refused, and the place of the second is named", (text, at) => {
    expect(parseJson(text)).toEqual({ ok: false, error: { code: "json-duplicate-key", detail: `at character ${at}` } });
  });

  test.each([
    '{"a":{"a":{"a":[{"a":1},{"a":2}]}}}',
    '{"a":":,{","b":"\\"a\\":1"}',
    '{"a":1,"A":2,"a ":3,"\\u0041\\u0041":4}',
  ])("%s has no two equal keys", (text) => {
    expect(codeOf(text)).toBe("ok");
  });

  test("a second key is found wherever it is put, however it is spelt", () => {
    const members = fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue({ maxDepth: 2 }), {
      minKeys: 1,
      maxKeys: 60,
    });
    fc.assert(
      fc.property(members.filter(isWelcome), fc.nat(), fc.boolean(), fc.nat(8), (object, pick, spelt, depth) => {
        const keys = Object.keys(object);
        const key = keys[pick % keys.length] as string;
        const second = spelt ? `"${spellOut(key)}"` : JSON.stringify(key);
        const text = `${JSON.stringify(object).slice(0, -1)},${second}:null}`;
        expect(codeOf(`${"[".repeat(depth)}${text}${"]".repeat(depth)}`)).toBe("json-duplicate-key");
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("nothing that means two things", () => {
  test.each([
    "9007199254740992",
    "-9007199254740993",
    "1e400",
    "-1e400",
    "1e16",
    '{"a":[12345678901234567890]}',
    '{"a":123456789012345678.5}',
  ])("the number in %s is not exact", (text) => {
    expect(codeOf(text)).toBe("json-number");
  });
  test.each(["9007199254740991", "-9007199254740991", "0.12345678901234567890123", "1e15", "5e-324", "-0", "1e-400"])(
    "%s is let in",
    (text) => {
      expect(codeOf(text)).toBe("ok");
    },
  );
  test.each(['{"__proto__":{}}', '{"a":[{"\\u005f_proto__":1}]}'])("%s is refused", (text) => {
    expect(codeOf(text)).toBe("json-key");
  });
  test("a refusal never repeats what was sent", () => {
    for (const text of ['{"secret":1,"secret":2}', "secret", '{"secret":1e999}', '{"secret":{"__proto__":1}}']) {
      expect(JSON.stringify(parseJson(text))).not.toContain("secret");
    }
  });
});

describe("hostile text costs no more than its length", () => {
  test("16 levels are let in, 17 are not, and brackets in strings are no levels", () => {
    const nested = (depth: number): string => `${'{"a":['.repeat(depth / 2)}1${"]}".repeat(depth / 2)}`;
    expect(codeOf(nested(16))).toBe("ok");
    expect(codeOf(`[${nested(16)}]`)).toBe("json-too-deep");
    expect(codeOf(JSON.stringify("[{".repeat(100)))).toBe("ok");
    const inner = parseJson("[[]]", { depthMax: 1 });
    expect(inner.ok).toBe(false);
  });

  test("ten megabytes of brackets, keys, backslashes or quotes neither overflow nor stall", () => {
    const million = 1_000_000;
    expect(codeOf("[".repeat(10 * million))).toBe("json-too-deep");
    expect(codeOf('{"a":'.repeat(2 * million))).toBe("json-too-deep");
    expect(codeOf(`"${"\\".repeat(10 * million)}"`)).toBe("ok");
    expect(codeOf(`"${'\\"'.repeat(5 * million)}"`)).toBe("ok");
    expect(codeOf('"'.repeat(10 * million))).toBe("json-malformed");
    const keys = Array.from({ length: million / 4 }, (_, index) => `"\\u006b${index}":1`);
    expect(codeOf(`{${keys.join(",")}}`)).toBe("ok");
    expect(codeOf(`{${keys.join(",")},"k7":1}`)).toBe("json-duplicate-key");
  });
});
