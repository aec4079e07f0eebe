import type { Command } from "./command.ts";
import type { Detection } from "./detection.ts";
import type { Feedback } from "./feedback.ts";
import { scalarNumbers } from "./field-numbers.ts";
import { isExact } from "./json-fault.ts";
import { detectionBytesMax } from "./limits.ts";
import {
  atEnd,
  createProtobufReader,
  failReading,
  type ProtobufReader,
  readDouble,
  readNested,
  readString,
  readVarint,
  skipField,
} from "./protobuf-reader.ts";
import { createProtobufWriter, type ProtobufWriter, wireTypes } from "./protobuf-writer.ts";
import { type Refusal, refusal } from "./refusal.ts";
import { err, ok, type Result } from "./result.ts";
import { type Check, checkCommand, checkDetection, checkFeedback } from "./validate.ts";
import { byNumber, type WireField, type WireKind, type WireMessage, type WireType, wirePlans } from "./wire-plan.ts";

/**
 * The protobuf encoding of the three messages that others send and read: exactly equivalent to JSON. What passes the gate in
 * one encoding passes in the other and is the same message; encoding is deterministic (fields by number, map keys sorted).
 * One thing only JSON can say, by an escape: half a surrogate pair. It is no text, and is refused here (text-malformed).
 * Unknown fields are skipped, so that a newer peer may add some; everything else that is odd is refused.
 */
export const encodeDetection = (message: Detection): Result<Uint8Array, Refusal> =>
  encode("detection", checkDetection, message);
export const encodeCommand = (message: Command): Result<Uint8Array, Refusal> =>
  encode("command", checkCommand, message);
export const encodeFeedback = (message: Feedback): Result<Uint8Array, Refusal> =>
  encode("feedback", checkFeedback, message);
export const decodeDetection = (bytes: Uint8Array): Result<Detection, Refusal> =>
  decode("detection", checkDetection, bytes);
export const decodeCommand = (bytes: Uint8Array): Result<Command, Refusal> => decode("command", checkCommand, bytes);
export const decodeFeedback = (bytes: Uint8Array): Result<Feedback, Refusal> =>
  decode("feedback", checkFeedback, bytes);

type Members = Readonly<Record<string, unknown>>;

const encode = (kind: WireKind, check: Check<unknown>, message: unknown): Result<Uint8Array, Refusal> => {
  const checked = check(message);
  if (!checked.ok) return checked;
  const writer = createProtobufWriter();
  writeMessage(writer, wirePlans[kind], message as Members);
  const fault = writer.fault();
  if (fault !== undefined) return err(refusal(fault));
  const bytes = writer.bytes();
  return bytes.length <= detectionBytesMax ? ok(bytes) : err(tooLarge(bytes));
};

const decode = <T>(kind: WireKind, check: Check<T>, bytes: Uint8Array): Result<T, Refusal> => {
  if (bytes.length > detectionBytesMax) return err(tooLarge(bytes));
  const reader = createProtobufReader(bytes);
  const members = readMessage(reader, wirePlans[kind]);
  return reader.fault === undefined ? check(members) : err(refusal("protobuf-malformed", reader.fault));
};

const tooLarge = (bytes: Uint8Array): Refusal =>
  refusal("too-large", `${bytes.length} bytes, at most ${detectionBytesMax} are allowed`);

// ---- writing: the message was checked, so each member has the type of its field ---------------------------------------

const writeMessage = (writer: ProtobufWriter, { fields }: WireMessage, members: Members): void => {
  for (const field of fields) {
    const value = members[field.name];
    if (value === undefined) continue;
    if (field.label === "single") {
      writeField(writer, field.number, field.type, value);
    } else if (field.label === "repeated") {
      for (const item of value as readonly unknown[]) writeField(writer, field.number, field.type, item);
    } else {
      for (const key of Object.keys(value as Members).sort()) writeEntry(writer, field, key, (value as Members)[key]);
    }
  }
};

const writeEntry = (writer: ProtobufWriter, field: WireField, key: string, value: unknown): void => {
  if (key === "__proto__") writer.refuse("json-key");
  writer.tag(field.number, wireTypes.lengthDelimited);
  writer.nested(() => {
    writeField(writer, mapKey, { kind: "string" }, key);
    writeField(writer, mapValue, field.type, value);
  });
};

const writeField = (writer: ProtobufWriter, number: number, type: WireType, value: unknown): void => {
  writer.tag(number, wireTypeOf(type));
  switch (type.kind) {
    case "string":
      writer.string(value as string);
      break;
    case "double":
      writer.double(value as number);
      break;
    case "bool":
      writer.varint(value === true ? 1 : 0);
      break;
    case "uint32":
    case "uint64":
      writer.varint(value as number);
      break;
    case "enum":
      writer.varint(type.numbers[value as string] as number);
      break;
    case "scalar":
      writer.nested(() => writeScalar(writer, value));
      break;
    case "message":
      writer.nested(() => writeMessage(writer, type.message, value as Members));
      break;
  }
};

const writeScalar = (writer: ProtobufWriter, value: unknown): void => {
  if (typeof value === "string") writeField(writer, scalarNumbers.text, { kind: "string" }, value);
  else if (typeof value === "number") writeField(writer, scalarNumbers.number, { kind: "double" }, value);
  else writeField(writer, scalarNumbers.flag, { kind: "bool" }, value);
};

const mapKey = 1;
const mapValue = 2;

const wireTypeOf = (type: WireType): number => {
  switch (type.kind) {
    case "double":
      return wireTypes.fixed64;
    case "bool":
    case "uint32":
    case "uint64":
    case "enum":
      return wireTypes.varint;
    default:
      return wireTypes.lengthDelimited;
  }
};

// ---- reading: shapes and bounds are the schema's to check afterwards, here only that two readers cannot differ --------

const readMessage = (reader: ProtobufReader, { fields, fieldsByNumber }: WireMessage): Record<string, unknown> => {
  const members: Record<string, unknown> = {};
  // On the wire an empty list and none are the same bytes.
  for (const { label, name } of fields) if (label !== "single") members[name] = label === "repeated" ? [] : {};
  readFields(reader, fieldsByNumber, (field) => {
    const { label, name, type } = field;
    if (label === "repeated") (members[name] as unknown[]).push(readValue(reader, type));
    else if (label === "map") readEntry(reader, members[name] as Record<string, unknown>);
    else if (members[name] === undefined) members[name] = readValue(reader, type);
    // Protobuf lets the last one win; two readers that stop at different ones would not see the same message.
    else failReading(reader, `field ${field.number} comes twice`);
  });
  return members;
};

/** `fields` by number. */
const readFields = <Field extends { readonly type: WireType }>(
  reader: ProtobufReader,
  fields: readonly (Field | undefined)[],
  read: (field: Field) => void,
): void => {
  while (!atEnd(reader)) {
    const tag = readVarint(reader);
    const number = Math.floor(tag / 8);
    const wireType = tag % 8;
    const field = fields[number];
    if (number < 1 || number > fieldNumberMax) failReading(reader, "no such field number");
    else if (field === undefined) skipField(reader, wireType);
    else if (wireTypeOf(field.type) === wireType) read(field);
    else failReading(reader, `field ${number} has wire type ${wireType}`);
  }
};

const fieldNumberMax = 2 ** 29 - 1;

const entryFields = byNumber<{ readonly name: "key" | "value"; readonly type: WireType }>([
  [mapKey, { name: "key", type: { kind: "string" } }],
  [mapValue, { name: "value", type: { kind: "scalar" } }],
]);

const readEntry = (reader: ProtobufReader, map: Record<string, unknown>): void =>
  readNested(reader, () => {
    const entry: { key?: unknown; value?: unknown } = {};
    readFields(reader, entryFields, ({ name, type }) => {
      if (entry[name] !== undefined) return failReading(reader, "an entry has two keys or two values");
      entry[name] = readValue(reader, type);
    });
    const { key, value } = entry;
    if (typeof key !== "string" || value === undefined) return failReading(reader, "an entry lacks its key or value");
    if (key === "__proto__") return failReading(reader, "an entry has the key __proto__");
    if (Object.hasOwn(map, key)) return failReading(reader, "a key comes twice");
    map[key] = value;
  });

const readValue = (reader: ProtobufReader, type: WireType): unknown => {
  switch (type.kind) {
    case "string":
      return readString(reader);
    case "double":
      return readExact(reader);
    case "bool":
      return readVarint(reader) !== 0;
    case "uint32":
    case "uint64":
      return readVarint(reader);
    case "enum":
      return readEnum(reader, type.valuesByNumber);
    case "scalar":
      return readNested(reader, () => readScalar(reader));
    case "message":
      return readNested(reader, () => readMessage(reader, type.message));
  }
};

const readExact = (reader: ProtobufReader): number => {
  const value = readDouble(reader);
  // The JSON gate refuses the same numbers.
  if (!isExact(value)) failReading(reader, "a number is not finite or beyond 2^53");
  return value;
};

/** Unknown values are refused: a word that this agent does not know cannot mean anything to its policies. */
const readEnum = (reader: ProtobufReader, valuesByNumber: readonly (string | undefined)[]): string => {
  const value = valuesByNumber[readVarint(reader)];
  if (value === undefined) failReading(reader, "an enum has a value that is not known");
  return value ?? "";
};

const scalarFields = byNumber<{ readonly type: WireType }>([
  [scalarNumbers.text, { type: { kind: "string" } }],
  [scalarNumbers.number, { type: { kind: "double" } }],
  [scalarNumbers.flag, { type: { kind: "bool" } }],
]);

const readScalar = (reader: ProtobufReader): unknown => {
  let scalar: unknown;
  readFields(reader, scalarFields, ({ type }) => {
    if (scalar !== undefined) return failReading(reader, "a scalar has two values");
    scalar = readValue(reader, type);
  });
  if (scalar === undefined) failReading(reader, "a scalar has no value");
  return scalar;
};
