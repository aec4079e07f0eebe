import { wireTypes } from "./protobuf-writer.ts";
import { decodeUtf8 } from "./utf8.ts";

/**
 * Reads protobuf values from bytes that anybody may have sent. The first thing that is wrong is kept in `fault`, ends the
 * reading (`atEnd` is then true) and makes whatever was read worthless; nothing throws, no length is believed.
 */
export type ProtobufReader = {
  readonly bytes: Uint8Array;
  at: number;
  /** Exclusive end of the message that is being read. */
  end: number;
  fault: string | undefined;
};

export const createProtobufReader = (bytes: Uint8Array): ProtobufReader => ({
  bytes,
  at: 0,
  end: bytes.length,
  fault: undefined,
});

export const atEnd = (reader: ProtobufReader): boolean => reader.fault !== undefined || reader.at >= reader.end;

export const failReading = (reader: ProtobufReader, what: string): void => {
  reader.fault ??= `${what} at byte ${reader.at}`;
};

/** 64 bits in groups of seven. */
const varintBytesMax = 10;

/** A whole number from 0 to 2^53 - 1; what is beyond cannot be said in JSON and is a fault. */
export const readVarint = (reader: ProtobufReader): number => {
  let value = 0;
  let weight = 1;
  for (let count = 0; count < varintBytesMax; count += 1) {
    if (reader.at >= reader.end) break;
    const byte = reader.bytes[reader.at++] as number;
    value += (byte & 0x7f) * weight;
    weight *= 0x80;
    if (byte < 0x80) {
      if (value <= Number.MAX_SAFE_INTEGER) return value;
      failReading(reader, "a number is beyond 2^53");
      return 0;
    }
  }
  failReading(reader, "a number does not end");
  return 0;
};

export const readDouble = (reader: ProtobufReader): number => {
  const from = reader.at;
  if (!skipBytes(reader, 8)) return 0;
  return new DataView(reader.bytes.buffer, reader.bytes.byteOffset + from, 8).getFloat64(0, true);
};

export const readString = (reader: ProtobufReader): string => {
  const length = readVarint(reader);
  const from = reader.at;
  if (!skipBytes(reader, length)) return "";
  const text = decodeUtf8(reader.bytes, from, reader.at);
  if (text === undefined) failReading(reader, "a text is not UTF-8");
  return text ?? "";
};

/** Reads a message within its length; depth is bounded by the schema, which says what is nested in what. */
export const readNested = <T>(reader: ProtobufReader, read: () => T): T => {
  const length = readVarint(reader);
  const outerEnd = reader.end;
  if (reader.at + length > outerEnd) failReading(reader, "a message ends after what holds it");
  reader.end = reader.fault === undefined ? reader.at + length : reader.at;
  const value = read();
  reader.end = outerEnd;
  return value;
};

/** Steps over a field of a newer peer. */
export const skipField = (reader: ProtobufReader, wireType: number): void => {
  switch (wireType) {
    case wireTypes.varint:
      skipVarint(reader);
      return;
    case wireTypes.fixed64:
      skipBytes(reader, 8);
      return;
    case wireTypes.lengthDelimited:
      skipBytes(reader, readVarint(reader));
      return;
    case wireTypes.fixed32:
      skipBytes(reader, 4);
      return;
    default:
      failReading(reader, `wire type ${wireType} is not known`);
  }
};

/** A number nobody here reads may be of any size. */
const skipVarint = (reader: ProtobufReader): void => {
  for (let count = 0; count < varintBytesMax && reader.at < reader.end; count += 1) {
    if ((reader.bytes[reader.at++] as number) < 0x80) return;
  }
  failReading(reader, "a number does not end");
};

const skipBytes = (reader: ProtobufReader, count: number): boolean => {
  if (reader.fault !== undefined) return false;
  if (count > reader.end - reader.at) {
    failReading(reader, "a value is cut off");
    return false;
  }
  reader.at += count;
  return true;
};
