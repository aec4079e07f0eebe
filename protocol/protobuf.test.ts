import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anyCommand, anyDetection, anyFeedback } from "../test/model/arbitraries.ts";
import { parseJson } from "./json.ts";
import {
  decodeCommand,
  decodeDetection,
  decodeFeedback,
  encodeCommand,
  encodeDetection,
  encodeFeedback,
} from "./protobuf.ts";
import { createProtobufWriter, type ProtobufWriter, wireTypes } from "./protobuf-writer.ts";
import type { Refusal } from "./refusal.ts";
import type { Result } from "./result.ts";

type Codec = {
  readonly any: fc.Arbitrary<object>;
  readonly encode: (message: object) => Result<Uint8Array, Refusal>;
  readonly decode: (bytes: Uint8Array) => Result<object, Refusal>;
};
const codecs: readonly (readonly [name: string, codec: Codec])[] = [
  ["detection", { any: anyDetection, encode: encodeDetection as Codec["encode"], decode: decodeDetection }],
  ["command", { any: anyCommand, encode: encodeCommand as Codec["encode"], decode: decodeCommand }],
  ["feedback", { any: anyFeedback, encode: encodeFeedback as Codec["encode"], decode: decodeFeedback }],
];
const demand = <T>(result: Result<T, Refusal>): T => {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.detail}`);
  return result.value;
};
const bytesOf = (write: (writer: ProtobufWriter) => void): Uint8Array => {
  const writer = createProtobufWriter();
  write(writer);
  return writer.bytes();
};
const join = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

describe.each(codecs)("%s is the same in both encodings", (_, { any, encode, decode }) => {
  const numRuns = 300;

  test("JSON to protobuf and back changes nothing", () => {
    fc.assert(
      fc.property(any, (message) => {
        const fromJson = demand(parseJson(JSON.stringify(message))) as object;
        const back = demand(decode(demand(encode(fromJson))));
        expect(back).toEqual(fromJson);
      }),
      { numRuns },
    );
  });

  test("protobuf to JSON and back gives the same bytes, whatever the order of members was", () => {
    fc.assert(
      fc.property(any, (message) => {
        const bytes = demand(encode(message));
        const reversed = Object.fromEntries(Object.entries(demand(decode(bytes))).reverse());
        expect(demand(encode(reversed))).toEqual(bytes);
      }),
      { numRuns },
    );
  });

  test("fields of a newer peer are skipped, wherever they stand", () => {
    const unknown = fc
      .tuple(fc.integer({ min: 100, max: 2 ** 29 - 1 }), fc.constantFrom(0, 1, 2, 5), fc.uint8Array({ maxLength: 20 }))
      .map(([number, wireType, data]) => {
        const tag = bytesOf((writer) => writer.tag(number, wireType));
        if (wireType === 0) return join(tag, new Uint8Array(9).fill(0xff), Uint8Array.of(0x01));
        if (wireType === 2) return join(tag, Uint8Array.of(data.length), data);
        return join(tag, new Uint8Array(wireType === 1 ? 8 : 4).fill(0xff));
      });
    fc.assert(
      fc.property(any, unknown, fc.boolean(), (message, extra, before) => {
        const bytes = demand(encode(message));
        const decoded = decode(before ? join(extra, bytes) : join(bytes, extra));
        expect(demand(decoded)).toEqual(demand(decode(bytes)));
      }),
      { numRuns },
    );
  });

  test("no bytes make it throw, and what it lets in it can say again", () => {
    const mutated = fc
      .tuple(any, fc.nat(), fc.uint8Array({ maxLength: 6 }), fc.nat(6))
      .map(([message, at, put, cut]) => {
        const bytes = demand(encode(message));
        const from = at % (bytes.length + 1);
        return join(bytes.slice(0, from), put, bytes.slice(from + cut));
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
        const decoded = decode(bytes);
        if (decoded.ok) expect(demand(decode(demand(encode(decoded.value))))).toEqual(decoded.value);
        else expect(["protobuf-malformed", "schema-invalid"]).toContain(decoded.error.code);
      }),
      { numRuns: 10 * numRuns },
    );
  });

  test("cut short anywhere, it is refused or lacks what came last", () => {
    fc.assert(
      fc.property(any, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), (message, share) => {
        const bytes = demand(encode(message));
        const decoded = decode(bytes.slice(0, Math.floor(bytes.length * share)));
        if (decoded.ok) expect(decoded.value).not.toEqual(demand(decode(bytes)));
      }),
      { numRuns },
    );
  });
});

const detection = {
  event_id: "e-1",
  timestamp: "2026-01-31T12:00:00.000Z",
  confidence: 0,
  confidence_origin: "vendor",
  severity: "low",
  tags: [],
  entities: [],
  rule: { id: "1", name: "", origin: "signature" },
  source: { kind: "native", domain: "host" },
  enrichment: {},
} as const;
const encoded = (): Uint8Array => demand(encodeDetection({ ...detection, tags: [], entities: [], enrichment: {} }));
const codeOf = (result: Result<unknown, Refusal>): string =>
  result.ok ? "ok" : `${result.error.code}: ${result.error.detail}`;

describe("nothing is made up, and two readers cannot differ", () => {
  test("zero and empty are written: a confidence that is missing is not 0", () => {
    expect(demand(decodeDetection(encoded()))).toEqual(detection);
    expect(codeOf(decodeDetection(new Uint8Array(0)))).toBe("schema-invalid: /event_id: is missing");
    const { confidence: _, ...unsure } = detection;
    expect(codeOf(encodeDetection(unsure as never))).toBe("schema-invalid: /confidence: is missing");
  });

  test.each<readonly [string, (writer: ProtobufWriter) => void]>([
    [
      "field 1 comes twice",
      (writer) => {
        writer.tag(1, wireTypes.lengthDelimited);
        writer.string("e-2");
      },
    ],
    [
      "field 3 has wire type 0",
      (writer) => {
        writer.tag(3, wireTypes.varint);
        writer.varint(1);
      },
    ],
    ["wire type 3 is not known", (writer) => writer.tag(100, 3)],
    ["no such field number", (writer) => writer.varint(2)],
    [
      "an entry lacks its key or value",
      (writer) => {
        writer.tag(15, 2);
        writer.nested(() => undefined);
      },
    ],
    [
      "a value is cut off",
      (writer) => {
        writer.tag(100, 2);
        writer.varint(1_000_000);
      },
    ],
    [
      "a message ends after what holds it",
      (writer) => {
        writer.tag(12, 2);
        writer.varint(1_000_000);
      },
    ],
    [
      "a number does not end",
      (writer) => {
        writer.tag(100, 0);
        for (let count = 0; count < 16; count += 1) writer.double(-1);
      },
    ],
  ])("%s", (what, write) => {
    const extra = bytesOf(write);
    const result = codeOf(
      decodeDetection(join(encoded(), what === "a number does not end" ? extra.fill(0xff, 2) : extra)),
    );
    expect(result).toMatch(new RegExp(`^protobuf-malformed: ${what} at byte \\d+$`));
  });

  const entry = (key: string, ...values: readonly ((writer: ProtobufWriter) => void)[]): Uint8Array =>
    bytesOf((writer) => {
      writer.tag(15, 2);
      writer.nested(() => {
        writer.tag(1, 2);
        writer.string(key);
        writer.tag(2, 2);
        writer.nested(() => {
          for (const write of values) write(writer);
        });
      });
    });
  const flag = (writer: ProtobufWriter): void => {
    writer.tag(3, 0);
    writer.varint(1);
  };
  const number =
    (value: number) =>
    (writer: ProtobufWriter): void => {
      writer.tag(2, 1);
      writer.double(value);
    };

  test("a fact has one key, one value, and a value that JSON can say", () => {
    expect(demand(decodeDetection(join(encoded(), entry("a", flag), entry("b", number(1.5))))).enrichment).toEqual({
      a: true,
      b: 1.5,
    });
    expect(codeOf(decodeDetection(join(encoded(), entry("a", flag), entry("a", flag))))).toMatch(/a key comes twice/);
    expect(codeOf(decodeDetection(join(encoded(), entry("a", flag, number(1)))))).toMatch(/a scalar has two values/);
    expect(codeOf(decodeDetection(join(encoded(), entry("a"))))).toMatch(/a scalar has no value/);
    expect(codeOf(decodeDetection(join(encoded(), entry("__proto__", flag))))).toMatch(/the key __proto__/);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      expect(codeOf(decodeDetection(join(encoded(), entry("a", number(value)))))).toMatch(/not finite or beyond 2\^53/);
    }
  });

  test("what protobuf or JSON cannot say is refused when writing, too", () => {
    const enrichments = [
      ["json-number", { a: 2 ** 53 }],
      ["json-key", JSON.parse('{"__proto__":1}') as Record<string, number>],
      ["text-malformed", { a: "\ud800" }],
    ] as const;
    for (const [code, enrichment] of enrichments) {
      const result = encodeDetection({ ...detection, tags: [], entities: [], enrichment });
      expect(result.ok ? "ok" : result.error.code).toBe(code);
    }
  });

  test("a message has the same bound in bytes as in JSON", () => {
    expect(codeOf(decodeDetection(new Uint8Array(256 * 1_024 + 1)))).toMatch(/^too-large/);
  });
});
