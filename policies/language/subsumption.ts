import type { Condition, Policy } from "@reflex/protocol/policy";
import { type Field, fields, isFieldName } from "./fields.ts";

/**
 * Certain containment: true means that wherever `narrow` matches, `wide` matches too. False means no or not certain.
 * Each condition of `wide` must follow from one of `narrow` on the same field, and `wide` may except no more.
 */
export const isImpliedBy = (
  narrow: Pick<Policy, "match" | "unless">,
  wide: Pick<Policy, "match" | "unless">,
): boolean => {
  const matchFollows = wide.match.every((needed) => narrow.match.some((given) => conditionImplies(given, needed)));
  // Every exception of the wider one must be an exception of the narrower one too.
  const excepted = new Set(narrow.unless.map((block) => JSON.stringify(block)));
  return matchFollows && wide.unless.every((block) => excepted.has(JSON.stringify(block)));
};

const valuesOf = ({ value }: Condition): readonly (string | number | boolean)[] =>
  Array.isArray(value) ? value : [value];

const conditionImplies = (given: Condition, needed: Condition): boolean => {
  if (given.field !== needed.field) return false;
  const [have, want] = [valuesOf(given), valuesOf(needed)];
  if (given.op === needed.op) {
    switch (given.op) {
      case "in":
      case "has_any":
      case "in_cidr":
      case "overlaps":
        return have.every((value) => want.includes(value));
      case "not_in":
      case "has_all":
      case "outside":
        return want.every((value) => have.includes(value));
      case "present":
        return given.value === needed.value;
      default:
        break;
    }
  }
  return boundImplies(given, needed);
};

/** `gt 0.9` implies `gte 0.85`; a named severity implies a bound below it. */
const boundImplies = (given: Condition, needed: Condition): boolean => {
  const field: Field | undefined = isFieldName(given.field) ? fields[given.field] : undefined;
  const rank = (value: unknown): number =>
    typeof value === "number" ? value : (field?.values?.indexOf(String(value)) ?? Number.NaN);
  const bound = rank(needed.value);
  const holds = (value: unknown): boolean => {
    if (needed.op === "gt") return rank(value) > bound;
    if (needed.op === "gte") return rank(value) >= bound;
    if (needed.op === "lt") return rank(value) < bound;
    return needed.op === "lte" && rank(value) <= bound;
  };
  if (given.op === "in" && field?.type === "ordinal") return valuesOf(given).every(holds);
  const isLower = (op: string) => op === "gt" || op === "gte";
  const isUpper = (op: string) => op === "lt" || op === "lte";
  if (isLower(given.op) && isLower(needed.op))
    return holds(given.value) || (rank(given.value) === bound && given.op === "gt");
  if (isUpper(given.op) && isUpper(needed.op))
    return holds(given.value) || (rank(given.value) === bound && given.op === "lt");
  return false;
};
