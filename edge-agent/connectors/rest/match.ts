import { type Bindings, bindValue } from "./bind.ts";
import type { Clause, Clauses, Conditions, Keep, Matcher } from "./manifest.ts";
import { isPlain, matcherToTest } from "./matcher-test.ts";
import { type Pointer, valuesAt } from "./pointer.ts";
import type { Answer } from "./read-answer.ts";
import type { Json } from "./value.ts";

/** Whether one of the clauses holds for the answer. A value that cannot be bound holds for nothing. */
export const holdsAny = (clauses: Clauses, answer: Answer, bindings: Bindings): boolean =>
  clauses.some((clause) => holds(clause, answer, bindings));

const holds = (clause: Clause, answer: Answer, bindings: Bindings): boolean => {
  if (!hasStatus(clause, answer)) return false;
  const isOne = testOf(clause.where, bindings);
  if (clause.items === undefined) return isOne(answer.content);
  const items = itemsAt(answer, clause.items);
  if (items === undefined) return false;
  const { none } = clause;
  if (none !== undefined && items.some(testOf(none, bindings))) return false;
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

/** Bound once, so that it can be asked of each entry of a long list. */
export const testOf = (conditions: Conditions, bindings: Bindings): ((root: unknown) => boolean) => {
  const tests = conditions.map(([pointer, matcher]) => [pointer, matcherToTest(matcher, bindings)] as const);
  return (root) => tests.every(([pointer, test]) => test(valuesAt(root, pointer)));
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
