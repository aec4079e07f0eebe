import { canonicalJson } from "./canonical.ts";
import { Command } from "./command.ts";
import { Detection } from "./detection.ts";
import { Feedback } from "./feedback.ts";
import { type EnumName, enumNumbers, fieldNumbers, type MessageName, typeNames } from "./field-numbers.ts";
import type { JsonSchema } from "./json-schema.ts";

/**
 * How each message lies on the protobuf wire: the schemas joined with the field numbers. The .proto file and the codec
 * are both made from this plan, so they cannot differ. Whatever the plan cannot say exactly throws when it is made.
 */
export type WireMessage = {
  readonly name: MessageName;
  /** By number, lowest first. */
  readonly fields: readonly WireField[];
  readonly fieldsByNumber: readonly (WireField | undefined)[];
};
export type WireField = {
  readonly name: string;
  readonly number: number;
  /** `map`: string keys, values of `type`. */
  readonly label: "single" | "repeated" | "map";
  readonly required: boolean;
  readonly type: WireType;
};
export type WireType =
  | { readonly kind: "string" | "double" | "bool" | "uint32" | "uint64" | "scalar" }
  | {
      readonly kind: "enum";
      readonly name: EnumName;
      readonly numbers: Readonly<Record<string, number>>;
      readonly valuesByNumber: readonly (string | undefined)[];
    }
  | { readonly kind: "message"; readonly message: WireMessage };

/** A list with gaps: numbers are small, and looking one up is on the way of every detection. */
export const byNumber = <T>(entries: readonly (readonly [number: number, value: T])[]): readonly (T | undefined)[] => {
  const list: (T | undefined)[] = new Array(Math.max(...entries.map(([number]) => number)) + 1).fill(undefined);
  for (const [number, value] of entries) list[number] = value;
  return list;
};

const planMessage = (name: MessageName, schema: JsonSchema): WireMessage => {
  const known = planned.get(name);
  const shape = canonicalJson(schema);
  if (known !== undefined) {
    if (known.shape !== shape) throw new Error(`${name} has two shapes`);
    return known.message;
  }
  if (schema.additionalProperties !== false) throw new Error(`${name} is open`);
  const numbers: Readonly<Record<string, number>> = fieldNumbers[name];
  const properties = Object.entries(schema.properties ?? {});
  const surplus = Object.keys(numbers).filter((field) => schema.properties?.[field] === undefined);
  if (surplus.length > 0) throw new Error(`${name} has numbers for fields that are not there: ${surplus.join(", ")}`);
  const fields = properties.map(([field, property]) =>
    planField(name, field, numbers[field], property, schema.required?.includes(field) ?? false),
  );
  if (new Set(fields.map((field) => field.number)).size !== fields.length)
    throw new Error(`${name} uses one number twice`);
  const message: WireMessage = {
    name,
    fields: fields.toSorted((a, b) => a.number - b.number),
    fieldsByNumber: byNumber(fields.map((field) => [field.number, field])),
  };
  planned.set(name, { shape, message });
  return message;
};

const planField = (
  message: MessageName,
  name: string,
  number: number | undefined,
  schema: JsonSchema,
  required: boolean,
): WireField => {
  const path = `${message}.${name}`;
  if (number === undefined) throw new Error(`${path} has no number: give it the next free one`);
  if (schema.type === "array") {
    const type = planType(path, schema.items ?? {});
    // Repeated numbers may come packed or not; nothing here needs them.
    if (type.kind !== "string" && type.kind !== "message") throw new Error(`${path} repeats ${type.kind}`);
    return { name, number, label: "repeated", required: mustBeThere(path, required), type };
  }
  if (schema.patternProperties !== undefined) {
    const [value, ...others] = Object.values(schema.patternProperties);
    if (value === undefined || others.length > 0 || planType(path, value).kind !== "scalar")
      throw new Error(`${path} is no map of scalars`);
    return { name, number, label: "map", required: mustBeThere(path, required), type: { kind: "scalar" } };
  }
  return { name, number, label: "single", required, type: planType(path, schema) };
};

/** On the wire an empty list and none are the same bytes, so JSON may not tell them apart either. */
const mustBeThere = (path: string, required: boolean): boolean => {
  if (!required) throw new Error(`${path} cannot be both optional and repeated`);
  return required;
};

const planType = (path: string, schema: JsonSchema): WireType => {
  const name = typeNames[path];
  if (schema.enum !== undefined) {
    if (name === undefined || !isEnumName(name)) throw new Error(`${path} has no name for its enum`);
    const numbers: Readonly<Record<string, number>> = enumNumbers[name];
    if (canonicalJson(Object.keys(numbers).sort()) !== canonicalJson(schema.enum.map(String).sort())) {
      throw new Error(`${name} has other values in its numbers than in the schema`);
    }
    return {
      kind: "enum",
      name,
      numbers,
      valuesByNumber: byNumber(Object.entries(numbers).map(([value, number]) => [number, value])),
    };
  }
  if (schema.type === "object") {
    if (name === undefined || isEnumName(name)) throw new Error(`${path} has no name for its message`);
    return { kind: "message", message: planMessage(name, schema) };
  }
  if (schema.anyOf !== undefined) {
    const types = schema.anyOf.map((shape) => shape.type).sort();
    if (types.join() !== "boolean,number,string") throw new Error(`${path} is no scalar`);
    return { kind: "scalar" };
  }
  return { kind: planNumberOrText(path, schema) };
};

const isEnumName = (name: MessageName | EnumName): name is EnumName => Object.hasOwn(enumNumbers, name);

const planNumberOrText = (
  path: string,
  { type, minimum, maximum }: JsonSchema,
): "string" | "double" | "bool" | "uint32" | "uint64" => {
  switch (type) {
    case "string":
      return "string";
    case "number":
      return "double";
    case "boolean":
      return "bool";
    case "integer":
      if (minimum === undefined || minimum < 0) throw new Error(`${path} may be negative`);
      return maximum !== undefined && maximum < 2 ** 32 ? "uint32" : "uint64";
    default:
      throw new Error(`${path} cannot be said in protobuf`);
  }
};

const planned = new Map<MessageName, { readonly shape: string; readonly message: WireMessage }>();

export const wirePlans = {
  detection: planMessage("Detection", Detection as JsonSchema),
  command: planMessage("Command", Command as JsonSchema),
  feedback: planMessage("Feedback", Feedback as JsonSchema),
} as const;
export type WireKind = keyof typeof wirePlans;
