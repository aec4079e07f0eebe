import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createRecordSplitter, isOneObject } from "./record-splitter.ts";

const split = (text: string | Uint8Array, chunkSizes: readonly number[] = [], recordBytesMax?: number): string[] => {
  const bytes = Buffer.from(text);
  const splitter = createRecordSplitter(recordBytesMax);
  const records: Uint8Array[] = [];
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = chunkSizes.length === 0 ? bytes.length : (chunkSizes[turn % chunkSizes.length] as number);
    records.push(...splitter.push(bytes.subarray(at, at + size)));
    at += size;
  }
  records.push(...splitter.end());
  return records.map((record) => Buffer.from(record).toString());
};

describe("a stream is cut into records", () => {
  test.each<readonly [name: string, text: string, records: readonly string[]]>([
    ["one a line", '{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}']],
    ["the last line without an end", '{"a":1}\n{"b":2}', ['{"a":1}', '{"b":2}']],
    ["lines ended the Windows way", '{"a":1}\r\n{"b":2}\r\n', ['{"a":1}', '{"b":2}']],
    ["blank lines are nothing", '\n\n{"a":1}\n  \n\n{"b":2}\n\n', ['{"a":1}', '{"b":2}']],
    ["a byte order mark is nothing", '\ufeff{"a":1}\n', ['{"a":1}']],
    ["an array, in any layout", '\ufeff [\n {"a":"x,]}\\"["},\n {"b":[1,2]}\n]\n', ['{"a":"x,]}\\"["}', '{"b":[1,2]}']],
    ["an empty array", "[]", []],
    ["an array that never ends", '[{"a":1},{"b":', ['{"a":1}', '{"b":']],
    ["lines after an array", '[{"a":1}]\n{"b":2}\n', ['{"a":1}', '{"b":2}']],
    ["a bad line costs itself alone", '{"a":\n{"b":2}\n', ['{"a":', '{"b":2}']],
    ["nothing", "", []],
  ])("%s", (_name, text, records) => {
    expect(split(text)).toEqual(records);
    expect(split(text, [1])).toEqual(records);
    expect(split(text, [3, 1, 7])).toEqual(records);
  });

  test("wherever the chunks end, the records are the same", () => {
    const value = fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: "binary" }), fc.array(fc.string())), {
      maxKeys: 4,
    });
    fc.assert(
      fc.property(
        fc.array(value, { maxLength: 8 }),
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (values, asArray, sizes) => {
          const texts = values.map((one) => JSON.stringify(one));
          const whole = asArray ? `[${texts.join(" ,\n")}]` : texts.join("\n");
          expect(split(whole, sizes)).toEqual(texts);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("of a record that is too long one byte too many is kept, and the next is whole", () => {
    for (const [text, records] of [
      [`${"x".repeat(5_000)}\n{"b":2}\n`, [`${"x".repeat(11)}`, '{"b":2}']],
      [`["${"y".repeat(5_000)}",{"b":2}]`, [`"${"y".repeat(10)}`, '{"b":2}']],
      [`[${"[".repeat(20)}${"]".repeat(20)},{"b":2}]`, ["[".repeat(11), '{"b":2}']],
    ] as const) {
      expect(split(text, [64], 10)).toEqual(records);
    }
  });
});

test("one object in many lines is not lines of one object each", () => {
  expect(isOneObject(Buffer.from('{\n "a": {"b": "}"}\n}\n'))).toBe(true);
  expect(isOneObject(Buffer.from('{"a":1}\n{"b":2}'))).toBe(false);
  expect(isOneObject(Buffer.from('{"a":1\n'))).toBe(true);
});
