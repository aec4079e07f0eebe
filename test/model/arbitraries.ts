import { Command } from "@reflex/protocol/command";
import { Detection, utcTimestampPattern } from "@reflex/protocol/detection";
import { Feedback } from "@reflex/protocol/feedback";
import type { JsonSchema } from "@reflex/protocol/json-schema";
import { timestampOf } from "@reflex/protocol/timestamp";
import fc from "fast-check";
import type { Static, TSchema } from "typebox";

/**
 * Any valid message of a schema, for properties: `arbitraryOf(Detection)`. Text is any Unicode that UTF-8 can say, numbers go up
 * to 2^53, times over all years; what JSON Schema cannot say (see protocol/message-sense.ts) is left to the caller.
 */
export const arbitraryOf = <const S extends TSchema>(schema: S): fc.Arbitrary<Static<S>> =>
  drawnFrom(schema as JsonSchema) as fc.Arbitrary<Static<S>>;

const drawnFrom = (schema: JsonSchema): fc.Arbitrary<unknown> => {
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(drawnFrom));
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const { minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER } = schema;
  switch (schema.type) {
    case "object":
      return schema.patternProperties === undefined ? drawnObject(schema) : drawnRecord(schema);
    case "array":
      return fc.array(drawnFrom(schema.items ?? {}), bounds(schema.minItems, schema.maxItems));
    case "string":
      return schema.pattern === undefined
        ? fc.string({ unit: "binary", ...bounds(schema.minLength, schema.maxLength) })
        : drawnText(schema.pattern);
    case "integer":
      return fc.integer({ min: minimum, max: maximum });
    case "number":
      return fc.double({ min: minimum, max: maximum, noNaN: true });
    case "boolean":
      return fc.boolean();
    default:
      throw new Error(`no arbitrary for ${JSON.stringify(schema)}`);
  }
};

const bounds = (min: number | undefined, max: number | undefined): { minLength?: number; maxLength?: number } => ({
  ...(min === undefined ? {} : { minLength: min }),
  ...(max === undefined ? {} : { maxLength: max }),
});

const drawnObject = ({ properties = {}, required = [] }: JsonSchema): fc.Arbitrary<unknown> => {
  const members = Object.entries(properties).map(([name, schema]) => [name, drawnFrom(schema)] as const);
  return fc.record(Object.fromEntries(members), { requiredKeys: [...required], noNullPrototype: true });
};

const drawnRecord = ({ patternProperties = {}, maxProperties }: JsonSchema): fc.Arbitrary<unknown> => {
  const [entry] = Object.entries(patternProperties);
  if (entry === undefined) throw new Error("a record without a pattern");
  const key = drawnText(entry[0]).filter((text) => text !== "__proto__");
  return fc.dictionary(key, drawnFrom(entry[1]), {
    noNullPrototype: true,
    ...(maxProperties === undefined ? {} : { maxKeys: maxProperties }),
  });
};

const drawnText = (pattern: string): fc.Arbitrary<string> =>
  pattern === utcTimestampPattern ? anyTimestamp : fc.stringMatching(new RegExp(pattern));

const anyTimestamp = fc.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2100, 0, 1) }).map(timestampOf);

export const anyDetection: fc.Arbitrary<Detection> = arbitraryOf(Detection);
export const anyCommand: fc.Arbitrary<Command> = arbitraryOf(Command);
export const anyFeedback: fc.Arbitrary<Feedback> = arbitraryOf(Feedback);
