import type { Condition } from "@reflex/protocol/policy";
import { err, ok, type Result } from "@reflex/protocol/result";
import { type FieldName, fields, isFieldName, operatorsByType } from "../language/fields.ts";
import { type AddressRange, contains, overlaps, parseNetwork } from "./address.ts";
import { type FieldFacts, fieldIndex, ordinalOf, scaleDecimal } from "./field-facts.ts";

/** Three-valued: an unknown fact makes a condition unknown, and the policy's kind decides what that counts as. */
export const no = 0;
export const yes = 1;
export const unknown = 2;
export type Truth = 0 | 1 | 2;

export type Lists = Readonly<Record<string, readonly string[]>>;
export type Operand = string | number | boolean;

/** A condition whose field, operator and values are known to fit, with `$lists` resolved. */
export type CheckedCondition = {
  readonly field: FieldName;
  /** Position of the field in the facts. */
  readonly index: number;
  readonly op: Condition["op"];
  readonly values: readonly Operand[];
  /** Values by the set they came from: a list shared by many policies is indexed once. */
  readonly sets: readonly OperandSet[];
  readonly test: (facts: FieldFacts) => Truth;
};
export type OperandSet = { readonly key: string; readonly values: readonly Operand[] };

/** Refuses with a sentence: an unknown field, operator, list or value would otherwise be a policy that silently never holds. */
export const checkCondition = (condition: Condition, lists: Lists): Result<CheckedCondition, string> => {
  const { field, op } = condition;
  if (!isFieldName(field)) return err(`field ${field} does not exist`);
  if (!operatorsByType[fields[field].type].includes(op)) return err(`${field} does not take ${op}`);
  const sets = operandSets(condition.value, lists);
  if (!sets.ok) return sets;
  const values = sets.value.length === 1 ? (sets.value[0]?.values ?? []) : sets.value.flatMap((set) => set.values);
  const index = fieldIndex[field];
  const test = op === "present" ? presence(index, values) : tests[fields[field].type](field, index, op, values);
  if (typeof test === "string") return err(`${field} ${op}: ${test}`);
  return ok({ field, index, op, values, sets: sets.value, test });
};

const operandSets = (value: Condition["value"], lists: Lists): Result<OperandSet[], string> => {
  const sets: OperandSet[] = [];
  for (const operand of Array.isArray(value) ? value : [value]) {
    if (typeof operand === "string" && operand.startsWith("$")) {
      const name = operand.slice(1);
      const list = Object.hasOwn(lists, name) ? lists[name] : undefined;
      if (list === undefined) return err(`list ${operand} does not exist`);
      sets.push({ key: operand, values: list });
    } else sets.push({ key: `=${operand}`, values: [operand] });
  }
  return ok(sets);
};

type Test = (facts: FieldFacts) => Truth;
type MakeTest = (field: FieldName, index: number, op: Condition["op"], values: readonly Operand[]) => Test | string;

const presence = (index: number, values: readonly Operand[]): Test | string => {
  const [wanted] = values;
  if (values.length !== 1 || typeof wanted !== "boolean") return "takes true or false";
  return (facts) => ((facts[index] !== undefined) === wanted ? yes : no);
};

const compare = (index: number, op: Condition["op"], bound: number): Test | string => {
  switch (op) {
    case "gt":
      return numeric(index, (value) => value > bound);
    case "gte":
      return numeric(index, (value) => value >= bound);
    case "lt":
      return numeric(index, (value) => value < bound);
    case "lte":
      return numeric(index, (value) => value <= bound);
    default:
      return "is not a comparison";
  }
};

const numeric =
  (index: number, holds: (value: number) => boolean): Test =>
  (facts) => {
    const fact = facts[index];
    return typeof fact !== "number" ? unknown : holds(fact) ? yes : no;
  };

const isText = (value: Operand): value is string => typeof value === "string";

const tests: Readonly<Record<(typeof fields)[FieldName]["type"], MakeTest>> = {
  decimal: (_field, index, op, [bound, ...more]) =>
    typeof bound !== "number" || !Number.isFinite(bound) || more.length > 0
      ? "takes one number"
      : compare(index, op, scaleDecimal(bound)),

  ordinal: (field, index, op, values) => {
    const positions = values.map((value) => (isText(value) ? ordinalOf(field, value) : undefined));
    if (positions.includes(undefined)) return "names a value the field does not have";
    if (op === "in") return numeric(index, (value) => positions.includes(value));
    if (op === "not_in") return numeric(index, (value) => !positions.includes(value));
    const [bound] = positions;
    return bound === undefined || positions.length > 1 ? "takes one value" : compare(index, op, bound);
  },

  word: (_field, index, op, values) => {
    if (!values.every(isText)) return "takes text";
    const wanted = op === "in";
    const [only] = values;
    if (values.length === 1)
      return (facts) => (facts[index] === undefined ? unknown : (facts[index] === only) === wanted ? yes : no);
    const listed = new Set<unknown>(values);
    return (facts) => (facts[index] === undefined ? unknown : listed.has(facts[index]) === wanted ? yes : no);
  },

  words: (_field, index, op, values) => {
    if (!values.every(isText)) return "takes text";
    if (values.length === 1) {
      const only = values[0] as string;
      return (facts) => {
        const words = facts[index] as readonly string[] | undefined;
        return words === undefined ? unknown : words.includes(only) ? yes : no;
      };
    }
    const listed = new Set<string>(values);
    return (facts) => {
      const words = facts[index] as readonly string[] | undefined;
      if (words === undefined) return unknown;
      if (op === "has_any") return words.some((word) => listed.has(word)) ? yes : no;
      return values.every((value) => words.includes(value as string)) ? yes : no;
    };
  },

  address: (_field, index, op, values) => {
    const networks: AddressRange[] = [];
    for (const value of values) {
      const network = isText(value) ? parseNetwork(value) : undefined;
      if (network === undefined) return `${String(value)} is not an address or network`;
      networks.push(network);
    }
    const reaches = op === "in_cidr" ? contains : overlaps;
    const wanted = op !== "outside";
    return (facts) => {
      const fact = facts[index] as AddressRange | undefined;
      if (fact === undefined) return unknown;
      return networks.some((network) => reaches(network, fact)) === wanted ? yes : no;
    };
  },

  flag: (_field, index, _op, values) => {
    if (values.length === 0 || !values.every((value) => typeof value === "boolean")) return "takes true or false";
    return (facts) => (facts[index] === undefined ? unknown : values.includes(facts[index] as boolean) ? yes : no);
  },
};
