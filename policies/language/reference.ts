import { actions } from "@reflex/protocol/action";
import { type Field, fields } from "./fields.ts";
import { operatorKeys } from "./match-shape.ts";
import { directOperator, operatorTable } from "./operators.ts";
import { policyKeys } from "./policy-shape.ts";

/** Tables of the language reference, from the tables the parser reads with. */
const row = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), `|${"---|".repeat(head.length)}`, ...rows.map(row)].join("\n");
const code = (text: string): string => `\`${text}\``;

const typeWords = {
  decimal: "0 to 1",
  ordinal: "ordered word",
  word: "word",
  words: "set of words",
  address: "address",
  flag: "true or false",
} as const;

const fieldsTable = (): string =>
  table(
    ["field", "kind", "what it is", "values", "operators"],
    Object.entries(fields).map(([name, field]: [string, Field]) => [
      code(name),
      typeWords[field.type],
      field.about,
      field.values === undefined ? "" : field.values.join(field.type === "ordinal" ? " < " : ", "),
      [...(directOperator[field.type] === undefined ? [] : ["direct"]), ...operatorKeys(field)].join(", "),
    ]),
  );

const operatorsTable = (): string =>
  table(
    ["written", "holds when the fact", "takes", "when the fact is unknown"],
    Object.values(operatorTable).map(({ written, about, operand, whenUnknown }) => [
      written === undefined ? "value or list behind the field" : code(`{ ${written}: … }`),
      about,
      { one: "one value", many: "a value, a list or `$list`", flag: "true or false" }[operand],
      whenUnknown === "unknown" ? "a guard counts it as met, a permit as not met" : "it says so: never unknown itself",
    ]),
  );

const keysTable = (): string =>
  table(
    ["key", "what it says"],
    Object.entries(policyKeys).map(([key, { about }]) => [code(key), about]),
  );

const actionsTable = (): string =>
  table(
    ["action", "acts on", "in words"],
    Object.entries(actions).map(([name, { targets, sentence }]) => [code(name), targets.join(", "), sentence]),
  );

export const referenceTables: Readonly<Record<string, () => string>> = {
  keys: keysTable,
  fields: fieldsTable,
  operators: operatorsTable,
  actions: actionsTable,
};

/** The text with each `<!-- table: name -->` … `<!-- end -->` filled in anew. */
export const withReferenceTables = (text: string): string =>
  Object.entries(referenceTables).reduce(
    (filled, [name, make]) =>
      filled.replace(
        new RegExp(`(<!-- table: ${name} -->\\n)[\\s\\S]*?(<!-- end -->)`),
        (_, before: string, after: string) => `${before}${make()}\n${after}`,
      ),
    text,
  );
