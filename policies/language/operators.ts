import type { Operator } from "@reflex/protocol/policy";
import type { FieldType } from "./fields.ts";

/** What an operator takes: one value, one or several (OR, and `$list`), or true/false. */
export type OperandShape = "one" | "many" | "flag";

export type OperatorMeaning = {
  /** Key in a match block; absent where the value stands directly behind the field. */
  readonly written: string | undefined;
  readonly about: string;
  /** Between the field and its value in a sentence. */
  readonly phrase: string;
  readonly operand: OperandShape;
  /** `unknown`: a fact that is not known makes the condition unknown, so a guard counts it as met and a permit does not. */
  readonly whenUnknown: "unknown" | "false";
};

/** Every operator in one table: parser, JSON Schema, explanations and the language reference derive from it. */
export const operatorTable: Readonly<Record<Operator, OperatorMeaning>> = {
  in: {
    written: undefined,
    about: "equals the value, or one of the listed values",
    phrase: "is",
    operand: "many",
    whenUnknown: "unknown",
  },
  not_in: {
    written: "not",
    about: "equals none of the values",
    phrase: "is not",
    operand: "many",
    whenUnknown: "unknown",
  },
  gt: { written: "gt", about: "is greater than", phrase: "is above", operand: "one", whenUnknown: "unknown" },
  gte: {
    written: "gte",
    about: "is greater than or equal to",
    phrase: "is at least",
    operand: "one",
    whenUnknown: "unknown",
  },
  lt: { written: "lt", about: "is less than", phrase: "is below", operand: "one", whenUnknown: "unknown" },
  lte: {
    written: "lte",
    about: "is less than or equal to",
    phrase: "is at most",
    operand: "one",
    whenUnknown: "unknown",
  },
  has_any: {
    written: "has_any",
    about: "contains at least one of the values",
    phrase: "contains",
    operand: "many",
    whenUnknown: "unknown",
  },
  has_all: {
    written: "has_all",
    about: "contains all of the values",
    phrase: "contains all of",
    operand: "many",
    whenUnknown: "unknown",
  },
  in_cidr: {
    written: "in_cidr",
    about: "lies wholly inside one of the ranges",
    phrase: "is in",
    operand: "many",
    whenUnknown: "unknown",
  },
  outside: {
    written: "outside",
    about: "shares no address with any of the ranges",
    phrase: "is outside",
    operand: "many",
    whenUnknown: "unknown",
  },
  overlaps: {
    written: "overlaps",
    about: "shares at least one address with one of the ranges",
    phrase: "overlaps",
    operand: "many",
    whenUnknown: "unknown",
  },
  present: {
    written: "present",
    about: "true: the fact is known; false: it is not",
    phrase: "is known",
    operand: "flag",
    whenUnknown: "false",
  },
};

/** What a value or list directly behind a field means; decimals have none, because equal decimals are an accident. */
export const directOperator: Readonly<Record<FieldType, Operator | undefined>> = {
  decimal: undefined,
  ordinal: "in",
  word: "in",
  words: "has_any",
  address: "in_cidr",
  flag: "in",
};

/** Operators by the key they are written with. */
export const operatorsByKey: ReadonlyMap<string, Operator> = new Map(
  (Object.keys(operatorTable) as Operator[]).flatMap((operator) => {
    const { written } = operatorTable[operator];
    return written === undefined ? [] : [[written, operator] as const];
  }),
);

/** Spellings people bring from other languages. */
export const operatorHints: Readonly<Record<string, string>> = {
  in: "write the value or list directly behind the field",
  one_of: "write the list directly behind the field",
  is: "write the value directly behind the field",
  eq: "write the value directly behind the field",
  "=": "write the value directly behind the field",
  "==": "write the value directly behind the field",
  "!=": 'write "not"',
  ne: 'write "not"',
  not_in: 'write "not"',
  ">": 'write "gt"',
  ">=": 'write "gte"',
  "<": 'write "lt"',
  "<=": 'write "lte"',
  min: 'write "gte"',
  max: 'write "lte"',
  has: 'write "has_any"',
  any: 'write "has_any"',
  all: 'write "has_all"',
  cidr: 'write "in_cidr"',
  exists: 'write "present"',
};

/** Patterns would end exact analysis. */
export const patternOperators: readonly string[] = [
  "regex",
  "regexp",
  "matches",
  "match",
  "like",
  "glob",
  "wildcard",
  "contains",
  "startswith",
  "endswith",
  "starts_with",
  "ends_with",
  "re",
];
