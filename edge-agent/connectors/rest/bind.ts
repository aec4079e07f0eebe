import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Json, Scalar, Value } from "./value.ts";

/** What the references of a manifest stand for in one call, by path: `target.value`, `settings.zone`. */
export type Bindings = ReadonlyMap<string, Json>;

/** A value does not fit where it is bound. The detail names the place, never a secret. */
const unfit = (why: string): Result<never, Refusal> => err(refusal("target-unresolved", why));

/** Captured lists are an account's groups or a machine's addresses, never a product's whole configuration. */
const listLengthMax = 4_096;

export const bindValue = (value: Value, bindings: Bindings): Result<Json, Refusal> => {
  switch (value.kind) {
    case "literal":
      return ok(value.value);
    case "reference": {
      const bound = bindings.get(value.path);
      return bound === undefined ? unfit(`$${value.path} is not known for this target`) : ok(bound);
    }
    case "join":
      return bindJoin(value.parts, bindings);
    case "quoted": {
      const text = bindText(value.value, bindings);
      if (!text.ok) return text;
      if (!value.matching.test(text.value))
        return unfit("the value has characters that this product's queries cannot quote");
      return ok(`${value.before}${text.value}${value.after}`);
    }
    case "by":
      return bindChoice(value, bindings);
    case "list":
      return bindList(value.items, bindings);
    case "map":
      return bindMap(value.entries, bindings);
    case "change":
      return bindChange(value, bindings);
    case "numbered":
      return bindValue(value.list, bindings);
    case "xml":
      return unfit("XML stands in a form alone");
  }
};

export const textOf = (value: Scalar): string => (value === null ? "" : String(value));

export const isScalar = (value: Json): value is Scalar => value === null || typeof value !== "object";

/** A value that must be one text: a path segment, a header, part of a longer text. */
export const bindText = (value: Value, bindings: Bindings): Result<string, Refusal> => {
  const bound = bindValue(value, bindings);
  if (!bound.ok) return bound;
  if (!isScalar(bound.value) || bound.value === null)
    return unfit("a list, a block or nothing stands where a text is needed");
  const text = textOf(bound.value);
  return text.isWellFormed() ? ok(text) : unfit("the text is not legal Unicode");
};

const bindJoin = (parts: readonly Value[], bindings: Bindings): Result<string, Refusal> => {
  let joined = "";
  for (const part of parts) {
    const text = bindText(part, bindings);
    if (!text.ok) return text;
    joined += text.value;
  }
  return ok(joined);
};

const bindChoice = (value: Value & { kind: "by" }, bindings: Bindings): Result<Json, Refusal> => {
  const chosen = bindText(value.value, bindings);
  if (!chosen.ok) return chosen;
  const found = Object.hasOwn(value.cases, chosen.value) ? value.cases[chosen.value] : undefined;
  return found === undefined
    ? unfit(`the product takes only ${Object.keys(value.cases).join(", ")}`)
    : bindValue(found, bindings);
};

const bindList = (items: readonly Value[], bindings: Bindings): Result<Json, Refusal> => {
  const bound: Json[] = [];
  for (const item of items) {
    const one = bindValue(item, bindings);
    if (!one.ok) return one;
    bound.push(one.value);
  }
  return ok(bound);
};

const bindMap = (entries: readonly (readonly [string, Value])[], bindings: Bindings): Result<Json, Refusal> => {
  const bound: [string, Json][] = [];
  for (const [key, part] of entries) {
    const one = bindValue(part, bindings);
    if (!one.ok) return one;
    bound.push([key, one.value]);
  }
  return ok(Object.fromEntries(bound));
};

const bindChange = ({ verb, entry, list }: Value & { kind: "change" }, bindings: Bindings): Result<Json, Refusal> => {
  const [one, whole] = [bindText(entry, bindings), bindValue(list, bindings)];
  if (!one.ok) return one;
  if (!whole.ok) return whole;
  if (!Array.isArray(whole.value) || whole.value.length >= listLengthMax)
    return unfit("what was read is not a list that can be changed");
  const others = (whole.value as readonly Json[]).filter((item) => !isScalar(item) || textOf(item) !== one.value);
  return ok(verb === "add" ? [...others, one.value] : others);
};
