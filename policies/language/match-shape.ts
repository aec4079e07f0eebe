import type { Condition, Operator } from "@reflex/protocol/policy";
import { fieldProblem } from "./field-hints.ts";
import { type Field, type FieldName, fieldNames, fields, isFieldName, operatorsByType } from "./fields.ts";
import { directOperator, operatorHints, operatorsByKey, operatorTable, patternOperators } from "./operators.ts";
import type { Position, Problems } from "./policy-error.ts";
import type { Located, LocatedEntry } from "./read-yaml.ts";
import { flag, type JsonSchema, type JsonValue, type Shape } from "./shape.ts";
import { listed, nearestName } from "./suggest.ts";
import { type ConditionScalar, readOperand, readOperands, valueSchema } from "./value-shape.ts";

/** A block holds at most this many conditions in the bundle's schema. */
const conditionsMax = 32;

/** AND of conditions on the named fields, in the order of the field table: equal blocks give equal bytes. */
export const matchBlock = (what: string, options: { readonly mayBeEmpty: boolean }): Shape<Condition[]> => ({
  // By reference: written out three times it would be most of the file, and siblings of a $ref are ignored.
  schema: { allOf: [{ $ref: "#/definitions/block" }], ...(options.mayBeEmpty ? {} : { minProperties: 1 }) },
  read: (node, problems) => {
    if (node.kind !== "map") {
      return problems.report(
        node.at,
        `${what} must be a block of fields`,
        "write `field: value` lines, or { field: value }",
      );
    }
    if (node.entries.length === 0 && !options.mayBeEmpty) {
      return problems.report(node.at, `${what} has no condition, so it would always match`, "write at least one field");
    }
    const conditions = node.entries.flatMap((entry) => readField(entry, problems) ?? []);
    if (conditions.length > conditionsMax) {
      problems.report(
        node.at,
        `${what} has ${conditions.length} conditions; ${conditionsMax} are allowed`,
        "split the policy",
      );
    }
    return canonicalConditions(conditions);
  },
});

/** Order of the field table, then of the operator table; values sorted and without repeats. */
export const canonicalConditions = (conditions: readonly Condition[]): Condition[] => {
  const operators = Object.keys(operatorTable);
  return conditions.toSorted(
    (a, b) =>
      fieldNames.indexOf(a.field as FieldName) - fieldNames.indexOf(b.field as FieldName) ||
      operators.indexOf(a.op) - operators.indexOf(b.op),
  );
};

const readField = ({ key, keyAt, value }: LocatedEntry, problems: Problems): Condition[] | undefined => {
  if (!isFieldName(key)) {
    const { message, fix } = fieldProblem(key);
    return problems.report(keyAt, message, fix);
  }
  const field: Field = fields[key];
  if (value.kind === "map") return readOperators(key, field, value.entries, value.at, problems);
  const direct = directOperator[field.type];
  if (direct === undefined) return reportMissingOperator(key, value, problems);
  const values = readOperands(key, field, value, problems);
  return values === undefined ? undefined : [condition(key, direct, values)];
};

const condition = (field: FieldName, op: Operator, value: Condition["value"]): Condition => ({
  field,
  op,
  value: Array.isArray(value) ? [...new Set(value)].sort(byText) : value,
});

const byText = (a: ConditionScalar, b: ConditionScalar): number => (String(a) < String(b) ? -1 : 1);

/** `confidence: 0.9` or `confidence: "> 0.9"`: says which operator was probably meant. */
const reportMissingOperator = (field: string, value: Located, problems: Problems): undefined => {
  const written = value.kind === "scalar" ? value.text.trim() : "";
  const [, symbol = ">=", number] = /^(>=|<=|>|<|=)?\s*([0-9.]+)$/.exec(written) ?? [];
  const operator = { ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "=": "gte" }[symbol] ?? "gte";
  return problems.report(
    value.at,
    `${field} needs an operator: equal decimals are an accident`,
    `write ${field}: { ${operator}: ${number === undefined ? "0.85" : number} }`,
  );
};

const readOperators = (
  name: FieldName,
  field: Field,
  entries: readonly LocatedEntry[],
  at: Position,
  problems: Problems,
): Condition[] | undefined => {
  if (entries.length === 0) return problems.report(at, `${name} has no operator`, `write ${usage(name, field)}`);
  const conditions = entries.flatMap((entry) => readOperator(name, field, entry, problems) ?? []);
  reportEmptyRange(name, field, conditions, at, problems);
  return conditions;
};

const readOperator = (
  name: FieldName,
  field: Field,
  { key, keyAt, value }: LocatedEntry,
  problems: Problems,
): Condition[] | undefined => {
  const operator = operatorsByKey.get(key);
  if (operator === undefined) return reportUnknownOperator(name, field, key, keyAt, problems);
  if (!operatorsByType[field.type].includes(operator)) {
    return problems.report(keyAt, `${name} cannot be compared with "${key}"`, `write ${usage(name, field)}`);
  }
  const { operand } = operatorTable[operator];
  if (operand === "flag") {
    const present = flag("true or false").read(value, problems);
    return present === undefined ? undefined : [condition(name, operator, present)];
  }
  if (operand === "one") {
    const one = readOperand(name, field, value, problems, { mayBeList: false });
    return one === undefined ? undefined : [condition(name, operator, one)];
  }
  const many = readOperands(name, field, value, problems);
  return many === undefined ? undefined : [condition(name, operator, many)];
};

const reportUnknownOperator = (
  name: FieldName,
  field: Field,
  key: string,
  at: Position,
  problems: Problems,
): undefined => {
  if (patternOperators.includes(key.toLowerCase())) {
    return problems.report(
      at,
      `patterns ("${key}") are not supported, because then conflicts could not be found exactly`,
      `list the values: ${name}: [one, other], or name a list: ${name}: $my_list`,
    );
  }
  if (isFieldName(`${name}.${key}`))
    return problems.report(at, `"${key}" is not an operator`, `write ${name}.${key}: …`);
  const direct = directOperator[field.type];
  const hint = Object.hasOwn(operatorHints, key) ? operatorHints[key] : undefined;
  const allowed = operatorKeys(field);
  const nearest = nearestName(key, allowed);
  const fix =
    hint !== undefined && !(direct === undefined && hint.includes("directly"))
      ? hint
      : nearest === undefined
        ? `write ${usage(name, field)}`
        : `write "${nearest}"`;
  return problems.report(at, `"${key}" is not an operator`, fix);
};

/** Keys an author can write behind a field, for messages, completion and the reference. */
export const operatorKeys = (field: Field): string[] =>
  operatorsByType[field.type].flatMap((operator) => operatorTable[operator].written ?? []);

const usage = (name: string, field: Field): string => {
  const keys = operatorKeys(field);
  const direct = directOperator[field.type] === undefined ? [] : [`${name}: value`];
  return [...direct, ...(keys.length === 0 ? [] : [`${name}: { ${listed(keys)} }`])].join(" or ");
};

/** `{ gt: 0.9, lt: 0.5 }` never holds: an author means something else. */
const reportEmptyRange = (
  name: FieldName,
  field: Field,
  conditions: readonly Condition[],
  at: Position,
  problems: Problems,
): void => {
  const rankOf = (operators: readonly Operator[]): { rank: number; isOpen: boolean } | undefined => {
    const found = conditions.find(({ op }) => operators.includes(op));
    if (found === undefined) return undefined;
    const rank = field.type === "ordinal" ? (field.values?.indexOf(String(found.value)) ?? 0) : Number(found.value);
    return { rank, isOpen: found.op === "gt" || found.op === "lt" };
  };
  const low = rankOf(["gt", "gte"]);
  const high = rankOf(["lt", "lte"]);
  if (low === undefined || high === undefined) return;
  if (low.rank > high.rank || (low.rank === high.rank && (low.isOpen || high.isOpen))) {
    problems.report(at, `no ${name} is in this range`, "swap the bounds, or write two policies");
  }
};

const fieldSchema = (field: Field): JsonSchema => {
  const value = valueSchema(field);
  const many: JsonSchema = { anyOf: [value, { type: "array", items: value, minItems: 1 }] };
  const operandSchema = { one: value, many, flag: { type: "boolean" } } as const;
  const properties = operatorsByType[field.type].flatMap((operator): [string, JsonValue][] => {
    const { written, about, operand } = operatorTable[operator];
    return written === undefined ? [] : [[written, { description: about, ...operandSchema[operand] }]];
  });
  const direct: JsonSchema[] = directOperator[field.type] === undefined ? [] : field.type === "flag" ? [value] : [many];
  const byOperator: JsonSchema[] =
    properties.length === 0
      ? []
      : [{ type: "object", additionalProperties: false, minProperties: 1, properties: Object.fromEntries(properties) }];
  return { anyOf: [...direct, ...byOperator] };
};

/** Definition of one block; a policy file refers to it from match and unless. */
export const blockSchema: JsonSchema = {
  type: "object",
  additionalProperties: false,
  properties: Object.fromEntries(
    fieldNames.map((name) => [name, { description: fields[name].about, ...fieldSchema(fields[name]) }]),
  ),
};
