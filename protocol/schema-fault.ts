import type { JsonSchema } from "./json-schema.ts";

/**
 * Says what is wrong with a value that a schema does not accept: `<json pointer>: <what>`, the first fault in the order of
 * the schema. The compiled validator decides; this only finds words, so it may be slow. It never repeats a value that was
 * sent: a refusal is logged, shown and reported, and what was sent may be secret or hostile. Undefined = no fault found.
 */
export const schemaFault = (schema: JsonSchema, value: unknown): string | undefined => {
  const fault = faultOf(schema, value);
  return fault === undefined ? undefined : `${pointerText(fault.path)}: ${fault.what}`;
};

type Fault = { readonly path: readonly string[]; readonly what: string };
const faulty = (what: string): Fault => ({ path: [], what });
const below = (key: string, fault: Fault | undefined): Fault | undefined =>
  fault && { path: [key, ...fault.path], what: fault.what };

const faultOf = (schema: JsonSchema, value: unknown): Fault | undefined => {
  if (schema.anyOf !== undefined) return faultOfUnion(schema.anyOf, value);
  if (schema.const !== undefined) return value === schema.const ? undefined : faulty(`must be ${schema.const}`);
  if (schema.enum !== undefined) {
    return schema.enum.some((one) => one === value) ? undefined : faulty(`must be one of ${listText(schema.enum)}`);
  }
  switch (schema.type) {
    case "object":
      return isObject(value) ? faultOfObject(schema, value) : faulty("must be an object");
    case "array":
      return Array.isArray(value) ? faultOfArray(schema, value) : faulty("must be an array");
    case "string":
      return typeof value === "string" ? faultOfString(schema, value) : faulty("must be a string");
    case "number":
    case "integer":
      return typeof value === "number" && Number.isFinite(value)
        ? faultOfNumber(schema, value)
        : faulty("must be a number");
    case "boolean":
      return typeof value === "boolean" ? undefined : faulty("must be true or false");
    default:
      return undefined;
  }
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Of several shapes, the one whose `kind` the value names; without one, no shape is more meant than another. */
const faultOfUnion = (shapes: readonly JsonSchema[], value: unknown): Fault | undefined => {
  const faults = shapes.map((shape) => faultOf(shape, value));
  if (faults.includes(undefined)) return undefined;
  const kind = isObject(value) ? value["kind"] : undefined;
  const meant = shapes.findIndex((shape) => kind !== undefined && shape.properties?.["kind"]?.const === kind);
  if (meant >= 0) return faults[meant];
  const kinds = shapes.flatMap((shape) => shape.properties?.["kind"]?.const ?? []);
  if (kinds.length > 0) return below("kind", faulty(`must be one of ${listText(kinds)}`));
  return faulty(`must be one of: ${shapes.map(shapeText).join(", ")}`);
};

const shapeText = (shape: JsonSchema): string =>
  shape.anyOf?.map(shapeText).join(", ") ?? shape.type ?? "another value";

const faultOfObject = (schema: JsonSchema, object: Readonly<Record<string, unknown>>): Fault | undefined => {
  const missing = schema.required?.find((name) => !Object.hasOwn(object, name));
  if (missing !== undefined) return below(missing, faulty("is missing"));
  const names = Object.keys(object);
  if (names.length > (schema.maxProperties ?? Number.POSITIVE_INFINITY)) {
    return faulty(`has ${names.length} members, at most ${schema.maxProperties} are allowed`);
  }
  const patterns = Object.entries(schema.patternProperties ?? {}).map(
    ([source, shape]) => [regExpOf(source), shape] as const,
  );
  for (const name of names) {
    const shapes = patterns.filter(([pattern]) => pattern.test(name)).map(([, shape]) => shape);
    if (schema.properties !== undefined && Object.hasOwn(schema.properties, name)) {
      const property = schema.properties[name];
      // An optional member that is undefined is one that is not there.
      if (property !== undefined && (object[name] !== undefined || schema.required?.includes(name)))
        shapes.push(property);
    } else if (shapes.length === 0 && schema.additionalProperties === false) {
      return below(name, faulty("is not a field of this message"));
    }
    for (const shape of shapes) {
      const fault = below(name, faultOf(shape, object[name]));
      if (fault !== undefined) return fault;
    }
  }
  return undefined;
};

const faultOfArray = (schema: JsonSchema, items: readonly unknown[]): Fault | undefined => {
  if (items.length < (schema.minItems ?? 0))
    return faulty(`has ${items.length} items, at least ${schema.minItems} are needed`);
  if (items.length > (schema.maxItems ?? Number.POSITIVE_INFINITY)) {
    return faulty(`has ${items.length} items, at most ${schema.maxItems} are allowed`);
  }
  for (const [index, item] of items.entries()) {
    const fault = schema.items && below(String(index), faultOf(schema.items, item));
    if (fault !== undefined) return fault;
  }
  return undefined;
};

const faultOfString = (schema: JsonSchema, text: string): Fault | undefined => {
  const { minLength, maxLength, pattern } = schema;
  // Characters as people count them: JSON Schema counts code points, not UTF-16 units.
  const length = minLength === undefined && maxLength === undefined ? 0 : codePointCount(text);
  if (minLength !== undefined && length < minLength)
    return faulty(length === 0 ? "is empty" : `is shorter than ${minLength}`);
  if (maxLength !== undefined && length > maxLength)
    return faulty(`has ${length} characters, at most ${maxLength} are allowed`);
  if (pattern !== undefined && !regExpOf(pattern).test(text)) return faulty(`does not match ${pattern}`);
  return undefined;
};

const codePointCount = (text: string): number => {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
};

const faultOfNumber = (schema: JsonSchema, value: number): Fault | undefined => {
  if (schema.type === "integer" && !Number.isInteger(value)) return faulty("must be a whole number");
  if (value < (schema.minimum ?? Number.NEGATIVE_INFINITY)) return faulty(`is below ${schema.minimum}`);
  if (value > (schema.maximum ?? Number.POSITIVE_INFINITY)) return faulty(`is above ${schema.maximum}`);
  return undefined;
};

// Patterns come from our schemas alone, so there are only so many.
const regExps = new Map<string, RegExp>();
const regExpOf = (pattern: string): RegExp => {
  const known = regExps.get(pattern) ?? new RegExp(pattern);
  regExps.set(pattern, known);
  return known;
};

const listedMax = 8;
const listText = (values: readonly (string | number | boolean)[]): string =>
  values.length <= listedMax
    ? values.join(", ")
    : `${values.slice(0, listedMax).join(", ")}, … (${values.length} values)`;

/** Field names are fit to be shown; a key that is data (or an attack) is not. */
const namePattern = /^[A-Za-z0-9_.@-]{1,64}$/;
const pointerText = (path: readonly string[]): string =>
  path.map((key) => `/${namePattern.test(key) ? key : "…"}`).join("") || "/";
