import { type Refusal, refusal } from "./refusal.ts";

/** One string, bracket, comma or number. Everything else in valid JSON says nothing about keys and numbers. */
const token = /"(?:[^"\\]|\\.)*"|[{}[\],]|-?\d[\d.eE+-]*/g;

/**
 * Why valid JSON of bounded depth is not let through, and where: the first key that came before, `__proto__`, or a number
 * that is not exact. Slow beside the gate, and asked only after the gate said no.
 */
export const locateJsonFault = (text: string): Refusal => {
  /** Keys of each open object, undefined for an array. */
  const open: (Set<string> | undefined)[] = [];
  let awaitsKey = false;
  for (const match of text.matchAll(token)) {
    const found = match[0];
    const where = `at character ${match.index}`;
    if (found === "{" || found === "[") {
      open.push(found === "{" ? new Set() : undefined);
      awaitsKey = found === "{";
    } else if (found === "}" || found === "]") {
      open.pop();
      awaitsKey = false;
    } else if (found === ",") {
      awaitsKey = open.at(-1) !== undefined;
    } else if (!found.startsWith('"')) {
      if (!isExact(Number(found))) return refusal("json-number", where);
    } else if (awaitsKey) {
      awaitsKey = false;
      const keys = open.at(-1);
      const key = JSON.parse(found) as string;
      if (key === "__proto__") return refusal("json-key", where);
      if (keys?.has(key)) return refusal("json-duplicate-key", where);
      keys?.add(key);
    }
  }
  return refusal("json-malformed");
};

/** Finite, and not past the point where two neighbouring integers become one number. */
export const isExact = (value: number): boolean =>
  value <= Number.MAX_SAFE_INTEGER && value >= -Number.MAX_SAFE_INTEGER;
