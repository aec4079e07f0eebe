import { netText, parseNet } from "../../admit/address.ts";
import { type Bindings, bindText, bindValue, isScalar, textOf } from "./bind.ts";
import type { Matcher } from "./manifest.ts";
import type { Json } from "./value.ts";

/** Asked of what a pointer found: nothing, one thing, or several where it has a `*`. */
export type Test = (found: readonly unknown[]) => boolean;

const never: Test = () => false;

/** What a matcher asks; a value that cannot be bound matches nothing. */
export const matcherToTest = (matcher: Matcher, bindings: Bindings): Test => {
  switch (matcher.kind) {
    case "one_of": {
      const tests = matcher.matchers.map((one) => matcherToTest(one, bindings));
      return (found) => tests.some((test) => test(found));
    }
    case "not": {
      const test = matcherToTest(matcher.matcher, bindings);
      // What is not there at all is not known to be different.
      return (found) => found.length > 0 && !test(found);
    }
    case "missing":
      return (found) => found.every((one) => one === null || one === "" || one === undefined) === matcher.isMissing;
    case "at_least":
      return (found) => found.some((one) => isNumberText(one) && Number(one) >= matcher.number);
    case "exactly": {
      const list = bindValue(matcher.list, bindings);
      if (!list.ok) return never;
      return (found) => isSameSet(found.length === 1 && Array.isArray(found[0]) ? found[0] : found, list.value);
    }
    case "equals": {
      const wanted = bindValue(matcher.value, bindings);
      return wanted.ok && isScalar(wanted.value) ? equals(wanted.value) : never;
    }
    default: {
      const text = bindText(matcher.value, bindings);
      if (!text.ok) return never;
      const isAlike = comparison(matcher.kind, text.value);
      return (found) => found.some((one) => isPlain(one) && isAlike(String(one)));
    }
  }
};

const isNumberText = (value: unknown): boolean =>
  typeof value === "number" || (typeof value === "string" && /^-?\d+(?:\.\d+)?$/.test(value));

/** XML knows only texts, so `true` and "true" are equal; null is equal to nothing but null. */
const equals = (wanted: string | number | boolean | null): Test => {
  if (wanted === null) return (found) => found.some((one) => one === null);
  const text = textOf(wanted);
  return (found) => found.some((one) => isPlain(one) && String(one) === text);
};

export const isPlain = (value: unknown): value is string | number | boolean =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean";

const comparison = (
  kind: "starts" | "ends" | "contains" | "address" | "same_name",
  wanted: string,
): ((text: string) => boolean) => {
  switch (kind) {
    case "starts":
      return (text) => text.startsWith(wanted);
    case "ends":
      return (text) => text.endsWith(wanted);
    case "contains":
      return (text) => text.includes(wanted);
    case "same_name": {
      const lower = wanted.toLowerCase();
      return (text) => text.toLowerCase() === lower;
    }
    case "address": {
      const net = canonicalNet(wanted);
      return (text) => net !== undefined && canonicalNet(text) === net;
    }
  }
};

/** `203.0.113.9` and `203.0.113.9/32` are one; `10.0.0.1/8` is `10.0.0.0/8`. */
export const canonicalNet = (text: string): string | undefined => {
  const net = parseNet(text.trim());
  return net === undefined ? undefined : netText(net);
};

const isSameSet = (found: readonly unknown[], wanted: Json): boolean => {
  if (!Array.isArray(wanted) || !found.every(isPlain)) return false;
  const [there, here] = [new Set(found.map(String)), new Set((wanted as readonly Json[]).map(String))];
  return there.size === here.size && [...there].every((one) => here.has(one));
};
