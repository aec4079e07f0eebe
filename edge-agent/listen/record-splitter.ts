import { detectionBytesMax } from "@reflex/protocol/limits";

export type RecordSplitter = {
  /** The records that end within this chunk, in order. */
  readonly push: (chunk: Uint8Array) => readonly Uint8Array[];
  /** The record that was open at the end, if any. */
  readonly end: () => readonly Uint8Array[];
};

/**
 * Cuts a stream into records without looking at what they say: one JSON value a line, or the elements of one JSON array,
 * whichever the first character shows. Blank lines and a byte order mark are nothing. Of a record that is too long, one byte
 * over the limit is kept and the rest passed over: admission refuses it by its size, and memory stays bounded.
 */
export const createRecordSplitter = (recordBytesMax: number = detectionBytesMax): RecordSplitter => {
  let mode: "start" | "lines" | "array" = "start";
  const open = createOpenRecord(recordBytesMax);
  const nesting = createNesting();
  let skippedMark = 0;

  const push = (chunk: Uint8Array): readonly Uint8Array[] => {
    const records: Uint8Array[] = [];
    let at = 0;
    if (mode === "start") {
      while (at < chunk.length && (isBlank(chunk[at]) || isMarkByte(chunk[at]))) at += 1;
      if (at === chunk.length) return records;
      mode = chunk[at] === openBracket ? "array" : "lines";
      if (mode === "array") at += 1;
    }
    if (mode === "array") at = pushArray(chunk, at, records);
    if (mode === "lines") pushLines(chunk, at, records);
    return records;
  };

  const isMarkByte = (byte: number | undefined): boolean => {
    const isNext = byte === byteOrderMark[skippedMark];
    if (isNext) skippedMark += 1;
    return isNext;
  };

  const pushLines = (chunk: Uint8Array, from: number, records: Uint8Array[]): void => {
    let start = from;
    for (let end = chunk.indexOf(newline, start); end >= 0; end = chunk.indexOf(newline, start)) {
      open.add(chunk.subarray(start, end));
      open.takeTo(records);
      start = end + 1;
    }
    open.add(chunk.subarray(start));
  };

  /** Where the array ended; what follows it is read as lines. */
  const pushArray = (chunk: Uint8Array, from: number, records: Uint8Array[]): number => {
    let start = from;
    for (let at = from; at < chunk.length; at += 1) {
      const sign = nesting.next(chunk[at] as number);
      if (sign === "inside") continue;
      open.add(chunk.subarray(start, at));
      open.takeTo(records);
      start = at + 1;
      if (sign === "end") {
        mode = "lines";
        return start;
      }
    }
    open.add(chunk.subarray(start));
    return chunk.length;
  };

  const end = (): readonly Uint8Array[] => {
    const records: Uint8Array[] = [];
    open.takeTo(records);
    return records;
  };
  return { push, end };
};

/**
 * Whether the text is one JSON object and nothing after it, however it is laid out. Lines of one object each are not.
 * A text that never closes counts as one: refusing it once says more than refusing each of its lines.
 */
export const isOneObject = (bytes: Uint8Array): boolean => {
  const nesting = createNesting();
  let depthIsZeroAt = -1;
  for (let at = 0; at < bytes.length; at += 1) {
    nesting.next(bytes[at] as number);
    if (depthIsZeroAt < 0 && nesting.depth() === 0 && bytes[at] === closeBrace) depthIsZeroAt = at;
    else if (depthIsZeroAt >= 0 && !isBlank(bytes[at])) return false;
  }
  return true;
};

const newline = 0x0a;
const comma = 0x2c;
const quote = 0x22;
const backslash = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const byteOrderMark = [0xef, 0xbb, 0xbf] as const;
const isBlank = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;

/** Where in nested JSON a byte stands. UTF-8 never hides an ASCII byte inside another character. */
const createNesting = () => {
  let depth = 0;
  let inString = false;
  let escaped = false;
  const next = (byte: number): "inside" | "separator" | "end" => {
    if (inString) {
      if (escaped) escaped = false;
      else if (byte === backslash) escaped = true;
      else if (byte === quote) inString = false;
      return "inside";
    }
    if (byte === quote) inString = true;
    else if (byte === openBrace || byte === openBracket) depth += 1;
    else if (byte === comma && depth === 0) return "separator";
    else if (byte === closeBrace || byte === closeBracket) {
      if (depth === 0) return "end";
      depth -= 1;
    }
    return "inside";
  };
  return { next, depth: () => depth };
};

const createOpenRecord = (recordBytesMax: number) => {
  let pieces: Uint8Array[] = [];
  let bytes = 0;
  const add = (piece: Uint8Array): void => {
    const room = recordBytesMax + 1 - bytes;
    if (room <= 0 || piece.length === 0) return;
    const kept = piece.length > room ? piece.subarray(0, room) : piece;
    pieces.push(kept);
    bytes += kept.length;
  };
  const takeTo = (records: Uint8Array[]): void => {
    const record = trimmed(pieces.length === 1 ? (pieces[0] as Uint8Array) : joined(pieces, bytes));
    pieces = [];
    bytes = 0;
    if (record.length > 0) records.push(record);
  };
  return { add, takeTo };
};

const joined = (pieces: readonly Uint8Array[], bytes: number): Uint8Array => {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
};

const trimmed = (record: Uint8Array): Uint8Array => {
  let start = 0;
  let end = record.length;
  while (start < end && isBlank(record[start])) start += 1;
  while (end > start && isBlank(record[end - 1])) end -= 1;
  return record.subarray(start, end);
};
