import { isExact } from "./json-fault.ts";
import type { RefusalCode } from "./refusal.ts";
import { utf8Length, writeUtf8 } from "./utf8.ts";

/** What stands behind each tag (protobuf.dev/programming-guides/encoding). Groups (3, 4) are long gone and refused. */
export const wireTypes = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;

/** Appends protobuf values to bytes that grow. What cannot be said is remembered as `fault`, and the bytes are then worthless. */
export type ProtobufWriter = {
  readonly tag: (number: number, wireType: number) => void;
  /** Whole and from 0 to 2^53 - 1. */
  readonly varint: (value: number) => void;
  readonly double: (value: number) => void;
  readonly string: (text: string) => void;
  /** Whatever `write` appends, with its length before it. */
  readonly nested: (write: () => void) => void;
  /** For what the caller may not say. */
  readonly refuse: (code: RefusalCode) => void;
  readonly fault: () => RefusalCode | undefined;
  readonly bytes: () => Uint8Array;
};

export const createProtobufWriter = (): ProtobufWriter => {
  let bytes = new Uint8Array(512);
  let view = new DataView(bytes.buffer);
  let at = 0;
  let fault: RefusalCode | undefined;

  const makeRoom = (count: number): void => {
    if (at + count <= bytes.length) return;
    const larger = new Uint8Array(Math.max(bytes.length * 2, at + count));
    larger.set(bytes);
    bytes = larger;
    view = new DataView(larger.buffer);
  };
  const refuse = (code: RefusalCode): void => {
    fault ??= code;
  };
  const varint = (value: number): void => {
    if (!isExact(value)) {
      refuse("json-number");
      return;
    }
    makeRoom(8);
    let rest = value;
    // Division, not shifts: those stop at 32 bits.
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes[at++] = (rest % 0x80) | 0x80;
    bytes[at++] = rest;
  };

  return {
    tag: (number, wireType) => varint(number * 8 + wireType),
    varint,
    double: (value) => {
      if (!isExact(value)) refuse("json-number");
      makeRoom(8);
      view.setFloat64(at, value, true);
      at += 8;
    },
    string: (text) => {
      const length = utf8Length(text);
      if (length === undefined) {
        refuse("text-malformed");
        return;
      }
      varint(length);
      makeRoom(length);
      at = writeUtf8(text, bytes, at);
    },
    nested: (write) => {
      // Room for the length is kept as one byte; a longer one moves what was written. Most messages are short.
      const start = at;
      makeRoom(1);
      at += 1;
      write();
      const length = at - start - 1;
      const lengthBytes = length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : 4;
      makeRoom(lengthBytes);
      bytes.copyWithin(start + lengthBytes, start + 1, at);
      at = start;
      varint(length);
      at += length;
    },
    refuse,
    fault: () => fault,
    bytes: () => bytes.slice(0, at),
  };
};
