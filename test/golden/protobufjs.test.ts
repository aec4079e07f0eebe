import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type EnumName, enumNumbers } from "@reflex/protocol/field-numbers";
import {
  decodeCommand,
  decodeDetection,
  decodeFeedback,
  encodeCommand,
  encodeDetection,
  encodeFeedback,
} from "@reflex/protocol/protobuf";
import type { Refusal } from "@reflex/protocol/refusal";
import type { Result } from "@reflex/protocol/result";
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { anyCommand, anyDetection, anyFeedback } from "../model/arbitraries.ts";
import { root as repository } from "../tidy/tree.ts";
import { goldenJson } from "./fixture.ts";

/** An independent reader and writer, which knows only the generated .proto file. */
const proto = readFileSync(join(repository, "protocol/reflex.proto"), "utf8");
const { root } = protobuf.parse(proto, { keepCase: true });
const typeOf = (name: string): protobuf.Type => root.lookupType(`reflex.v1.${name}`);

const prefixOf = (name: string): string => `${name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase()}_`;

/** Our message in the words of the .proto: enum values with their prefix, scalars in their oneof. */
const toProtoWords = (type: protobuf.Type, message: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(message).map(([name, value]) => {
      const field = type.fields[name];
      if (field === undefined) throw new Error(`${type.name} has no ${name}`);
      field.resolve();
      if (field instanceof protobuf.MapField) {
        return [name, Object.fromEntries(Object.entries(value as object).map(([key, one]) => [key, scalarOf(one)]))];
      }
      return [name, Array.isArray(value) ? value.map((one) => wordOf(field, one)) : wordOf(field, value)];
    }),
  );
const wordOf = (field: protobuf.Field, value: unknown): unknown => {
  const type = field.resolvedType;
  if (type instanceof protobuf.Enum) return `${prefixOf(type.name)}${String(value).toUpperCase()}`;
  return type instanceof protobuf.Type ? toProtoWords(type, value as Record<string, unknown>) : value;
};
const scalarOf = (value: unknown): object =>
  typeof value === "string" ? { text: value } : typeof value === "number" ? { number: value } : { flag: value };

const plain = { enums: String, longs: Number, arrays: true, objects: true } as const;
/** Through JSON text: what another program would print. */
const printed = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

type Codec = {
  readonly any: fc.Arbitrary<object>;
  readonly encode: (message: object) => Result<Uint8Array, Refusal>;
  readonly decode: (bytes: Uint8Array) => Result<object, Refusal>;
};
const codecs: readonly (readonly [name: string, codec: Codec])[] = [
  ["Detection", { any: anyDetection, encode: encodeDetection as Codec["encode"], decode: decodeDetection }],
  ["Command", { any: anyCommand, encode: encodeCommand as Codec["encode"], decode: decodeCommand }],
  ["Feedback", { any: anyFeedback, encode: encodeFeedback as Codec["encode"], decode: decodeFeedback }],
];
const demand = <T>(result: Result<T, Refusal>): T => {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.detail}`);
  return result.value;
};

describe.each(codecs)("protobufjs and we agree about %s", (name, { any, encode, decode }) => {
  const type = typeOf(name);
  const withGolden = fc.oneof({ weight: 20, arbitrary: any }, fc.constant(goldenJson<object>(name.toLowerCase())));

  test("it reads our bytes as we meant them", () => {
    fc.assert(
      fc.property(withGolden, (message) => {
        const theirs = type.toObject(type.decode(demand(encode(message))), plain);
        expect(printed(theirs)).toEqual(printed(toProtoWords(type, message as Record<string, unknown>)));
      }),
      { numRuns: 300 },
    );
  });

  test("we read its bytes as it meant them", () => {
    fc.assert(
      fc.property(withGolden, (message) => {
        const words = toProtoWords(type, message as Record<string, unknown>);
        const bytes = type.encode(type.fromObject(words)).finish();
        expect(printed(demand(decode(bytes)))).toEqual(printed(message));
      }),
      { numRuns: 300 },
    );
  });

  test("the bytes of an empty message say nothing, so they are refused", () => {
    expect(decode(type.encode(type.create()).finish()).ok).toBe(false);
  });
});

describe("the .proto file", () => {
  test.each(Object.keys(enumNumbers) as EnumName[])("%s: zero is no value", (name) => {
    const { values } = root.lookupEnum(`reflex.v1.${name}`);
    expect(values).toEqual({
      [`${prefixOf(name)}UNSPECIFIED`]: 0,
      ...Object.fromEntries(
        Object.entries(enumNumbers[name]).map(([value, number]) => [`${prefixOf(name)}${value.toUpperCase()}`, number]),
      ),
    });
  });
});
