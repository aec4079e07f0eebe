import { netText, parseNet } from "../../admit/address.ts";
import { type Bindings, bindText, bindValue, isScalar, textOf } from "./bind.ts";
import type { Clause, Clauses, Conditions, Keep, Matcher } from "./manifest.ts";
import { type Pointer, valuesAt } from "./pointer.ts";
import type { Answer } from "./read-answer.ts";
import type { Json } from "./value.ts";

/** Whether one of the clauses holds for the answer. A value that cannot be bound holds for nothing. */
export const holdsAny = (clauses: Clauses, answer: Answer, bindings: Bindings): boolean =>
  clauses.some((clause) => holds(clause, answer, bindings));

const holds = (clause: Clause, answer: Answer, bindings: Bindings): boolean => {
  if (!hasStatus(clause, answer)) return false;
  if (clause.items === undefined) return holdAll(clause.where, answer.content, bindings);
  const items = itemsAt(answer, clause.items);
  if (items === undefined) return false;
  const isOne = (item: unknown): boolean => holdAll(clause.where, item, bindings);
  const { none } = clause;
  if (none !== undefined && items.some((item) => holdAll(none, item, bindings))) return false;
  if (clause.empty) return items.length === 0;
  if (clause.only) return items.length > 0 && items.every(isOne);
  if (clause.first) return items.length > 0 && isOne(items[0]);
  return (none !== undefined && clause.where.length === 0) || items.some(isOne);
};

export const hasStatus = ({ status }: Pick<Clause, "status">, answer: Pick<Answer, "status">): boolean =>
  status === undefined ? answer.status >= 200 && answer.status <= 299 : status.includes(answer.status);

/** Whether an answer may be believed at all: as the manifest says, or any of 200 to 299. */
export const isAnswered = (clauses: Clauses | undefined, answer: Answer, bindings: Bindings): boolean =>
  clauses === undefined ? hasStatus({}, answer) : holdsAny(clauses, answer, bindings);

/** The entries of a list; undefined where the answer has no list there, which is not the same as an empty one. */
export const itemsAt = (
  { content, isXml }: Pick<Answer, "content" | "isXml">,
  pointer: Pointer,
): readonly unknown[] | undefined => {
  if (pointer.isMany) return isListThere(content, isXml, pointer) ? valuesAt(content, pointer) : undefined;
  const [found, ...more] = valuesAt(content, pointer);
  if (more.length > 0) return undefined;
  if (Array.isArray(found)) return found;
  if (isXml) return xmlItems(content, found, pointer);
  return found === null ? [] : undefined;
};

/** A list of one looks like its entry, an empty one like nothing; the outermost element shows that it is the right document. */
const xmlItems = (content: unknown, found: unknown, { tokens }: Pointer): readonly unknown[] | undefined => {
  if (found !== undefined && found !== "") return [found];
  return isXmlDocument(content, tokens) ? [] : undefined;
};

const isXmlDocument = (content: unknown, [outermost]: readonly string[]): boolean =>
  typeof content === "object" && content !== null && outermost !== undefined && Object.hasOwn(content, outermost);

/** What stands before the first `*` must be there: a renamed field is no empty list. */
const isListThere = (content: unknown, isXml: boolean, { text, tokens }: Pointer): boolean => {
  if (isXml) return isXmlDocument(content, tokens);
  const [found] = valuesAt(content, { text, tokens: tokens.slice(0, tokens.indexOf("*")), isMany: false });
  return Array.isArray(found) || found === null;
};

export const holdAll = (conditions: Conditions, root: unknown, bindings: Bindings): boolean =>
  conditions.every(([pointer, matcher]) => matches(matcher, valuesAt(root, pointer), bindings));

/** `found`: what the pointer names; several where it has a `*`. */
export const matches = (matcher: Matcher, found: readonly unknown[], bindings: Bindings): boolean => {
  switch (matcher.kind) {
    case "one_of":
      return matcher.matchers.some((one) => matches(one, found, bindings));
    case "not":
      // What is not there at all is not known to be different.
      return found.length > 0 && !matches(matcher.matcher, found, bindings);
    case "missing":
      return found.every((one) => one === null || one === "" || one === undefined) === matcher.isMissing;
    case "at_least":
      return found.some((one) => isNumberText(one) && Number(one) >= matcher.number);
    case "exactly": {
      const list = bindValue(matcher.list, bindings);
      return list.ok && isSameSet(found.length === 1 && Array.isArray(found[0]) ? found[0] : found, list.value);
    }
    case "equals":
      return equalsOne(matcher, found, bindings);
    default: {
      const text = bindText(matcher.value, bindings);
      return text.ok && found.some((one) => compare(matcher.kind, one, text.value));
    }
  }
};

const isNumberText = (value: unknown): boolean =>
  typeof value === "number" || (typeof value === "string" && /^-?\d+(?:\.\d+)?$/.test(value));

const equalsOne = (matcher: Matcher & { kind: "equals" }, found: readonly unknown[], bindings: Bindings): boolean => {
  const wanted = bindValue(matcher.value, bindings);
  if (!wanted.ok || !isScalar(wanted.value)) return false;
  // XML knows only texts, so `true` and "true" are equal; null is equal to nothing but null.
  const text = wanted.value === null ? null : textOf(wanted.value);
  return found.some((one) => (one === null || text === null ? one === text : isPlain(one) && String(one) === text));
};

const isPlain = (value: unknown): value is string | number | boolean =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean";

const compare = (
  kind: "starts" | "ends" | "contains" | "address" | "same_name",
  found: unknown,
  wanted: string,
): boolean => {
  if (!isPlain(found)) return false;
  const text = String(found);
  switch (kind) {
    case "starts":
      return text.startsWith(wanted);
    case "ends":
      return text.endsWith(wanted);
    case "contains":
      return text.includes(wanted);
    case "same_name":
      return text.toLowerCase() === wanted.toLowerCase();
    case "address": {
      const net = canonicalNet(text);
      return net !== undefined && net === canonicalNet(wanted);
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

/**
 * Whether everything that is compared with is known. An entry that is compared with something unknown matches nothing, and
 * "no such entry" would then be said of things that are there.
 */
export const isComparable = (conditions: Conditions, bindings: Bindings): boolean =>
  conditions.every(([, matcher]) => isKnown(matcher, bindings));

export const areComparable = (clauses: Clauses | undefined, bindings: Bindings): boolean =>
  (clauses ?? []).every(({ where, none }) => isComparable(where, bindings) && isComparable(none ?? [], bindings));

const isKnown = (matcher: Matcher, bindings: Bindings): boolean => {
  switch (matcher.kind) {
    case "one_of":
      return matcher.matchers.every((one) => isKnown(one, bindings));
    case "not":
      return isKnown(matcher.matcher, bindings);
    case "at_least":
    case "missing":
      return true;
    case "exactly":
      return bindValue(matcher.list, bindings).ok;
    default:
      return bindValue(matcher.value, bindings).ok;
  }
};

/** What `keep` takes from an answer; undefined names the first thing that is not there. */
export const keptOf = (
  keep: Keep,
  root: Answer,
  bindings: Bindings,
): { readonly kept: Map<string, Json> } | { readonly missing: string } => {
  const kept = new Map<string, Json>();
  for (const [name, what] of Object.entries(keep)) {
    if ("when" in what) {
      kept.set(name, holds(what.when, root, bindings));
      continue;
    }
    const values = what.isMany ? itemsAt(root, what) : valuesAt(root.content, what);
    if (values === undefined || !values.every((value) => value === null || isPlain(value)))
      return { missing: what.text };
    const [value] = values as readonly Json[];
    if (!what.isMany && value === undefined) return { missing: what.text };
    kept.set(name, what.isMany ? (values as readonly Json[]) : (value as Json));
  }
  return { kept };
};
