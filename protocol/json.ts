import { isExact, locateJsonFault } from "./json-fault.ts";
import { jsonDepthMax } from "./limits.ts";
import { type Refusal, refusal } from "./refusal.ts";
import { err, ok, type Result } from "./result.ts";

/**
 * The strict gate for JSON text. JSON.parse alone is not enough: it keeps the last of two equal keys where another reader
 * keeps the first, rounds large integers silently and follows any depth. Callers check the size in bytes before.
 *
 * One scan finds the depth and counts the members as written; the native parser builds the value; one walk over the value
 * counts the members that are left. Fewer left than written = a key came twice, however it was spelt.
 */
export type JsonLimits = { readonly depthMax: number };
const defaultLimits: JsonLimits = { depthMax: jsonDepthMax };

export const parseJson = (text: string, limits: JsonLimits = defaultLimits): Result<unknown, Refusal> => {
  const written = countWritten(text, limits.depthMax);
  if (written === tooDeep) return err(refusal("json-too-deep", `more than ${limits.depthMax} levels`));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message quotes the input, and input never goes into a refusal.
    return err(refusal("json-malformed"));
  }
  // Anything but the same number (NaN too) says that something is wrong; what and where is looked up only then.
  return countKept(value) === written ? ok(value) : err(locateJsonFault(text));
};

const tooDeep = -1;
const quote = 0x22;
const colon = 0x3a;
const backslash = 0x5c;

/**
 * Members as written: in valid JSON each has exactly one colon outside of strings. What is malformed may be miscounted,
 * the parser refuses it. Stops at the first bracket that is too deep, so a depth bomb costs nothing.
 */
const countWritten = (text: string, depthMax: number): number => {
  const length = text.length;
  let depth = 0;
  let colons = 0;
  for (let at = 0; at < length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      at = endOfString(text, at + 1);
      if (at < 0) return colons;
    } else if (code === colon) {
      colons += 1;
    } else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      if (depth > depthMax) return tooDeep;
    } else if (code === 0x7d || code === 0x5d) {
      depth -= 1;
    }
  }
  return colons;
};

/** Where the string ends; -1 if it does not. A quote is escaped behind an odd run of backslashes. */
const endOfString = (text: string, from: number): number => {
  for (let end = text.indexOf('"', from); end >= 0; end = text.indexOf('"', end + 1)) {
    if (text.charCodeAt(end - 1) !== backslash) return end;
    let before = end - 2;
    while (text.charCodeAt(before) === backslash) before -= 1;
    if ((end - before) % 2 === 1) return end;
  }
  return -1;
};

/** Members of every object in the value; NaN if a number or key in it is not allowed. No deeper than countWritten saw. */
const countKept = (value: unknown): number => {
  if (typeof value === "number") return isExact(value) ? 0 : Number.NaN;
  if (typeof value !== "object" || value === null) return 0;
  let kept = 0;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) kept += countKept(value[index]);
    return kept;
  }
  for (const key in value) {
    // Harmless here, but assigning it to another object would change what that object inherits.
    if (key === "__proto__") return Number.NaN;
    kept += 1 + countKept((value as Readonly<Record<string, unknown>>)[key]);
  }
  return kept;
};
