import { tagLengthMax } from "@reflex/protocol/limits";
import { readAddressText } from "./address-text.ts";
import type { Field, FieldName } from "./fields.ts";
import type { Problems } from "./policy-error.ts";
import type { Located, LocatedScalar } from "./read-yaml.ts";
import { type JsonSchema, scalarOf } from "./shape.ts";
import { listed, writeInstead } from "./suggest.ts";

export type ConditionScalar = string | number | boolean;

export const listNamePattern = "^[a-z][a-z0-9_]{0,63}$";
export const listReferencePattern = "^\\$[a-z][a-z0-9_]{0,63}$";
const listReference = new RegExp(listReferencePattern);

/** Values one condition may list in the file itself; a longer list belongs into lists/ where it has a name. */
const valuesMax = 500;
const valueLengthMax = 512;
/** Decimals are compared as integers scaled by a million. */
const decimals = 6;

/** One value or several. */
export const readOperands = (
  name: FieldName,
  field: Field,
  node: Located,
  problems: Problems,
): ConditionScalar[] | undefined => {
  const items = node.kind === "list" ? node.items : [node];
  if (items.length === 0) {
    return problems.report(node.at, `${name} has an empty list, so nothing would match`, "write at least one value");
  }
  if (items.length > valuesMax) {
    const about = `${name} lists ${items.length} values; ${valuesMax} are allowed`;
    return problems.report(node.at, about, `put them into lists/my_list.yaml and write ${name}: $my_list`);
  }
  if (field.type === "flag" && node.kind === "list") {
    return problems.report(
      node.at,
      `${name} is true or false; a list says nothing`,
      `write ${name}: true, or leave it out`,
    );
  }
  const values = items.map((item) => readOperand(name, field, item, problems, { mayBeList: true }));
  return values.every((value) => value !== undefined) ? (values as ConditionScalar[]) : undefined;
};

export const readOperand = (
  name: FieldName,
  field: Field,
  node: Located,
  problems: Problems,
  options: { readonly mayBeList: boolean },
): ConditionScalar | undefined => {
  if (node.kind === "list") {
    return problems.report(node.at, `${name} is compared with one value here`, "write one value, not a list");
  }
  const scalar = scalarOf(node, problems, `a value for ${name}`);
  if (scalar === undefined) return undefined;
  if (scalar.text.startsWith("$")) return readListReference(name, field, scalar, problems, options);
  switch (field.type) {
    case "decimal":
      return readDecimal(name, scalar, problems);
    case "flag":
      return readFlag(name, scalar, problems);
    case "address":
      return readAddress(name, scalar, problems);
    case "words":
    case "word":
    case "ordinal":
      return readWord(name, field, scalar, problems);
  }
};

const readListReference = (
  name: FieldName,
  field: Field,
  scalar: LocatedScalar,
  problems: Problems,
  options: { readonly mayBeList: boolean },
): string | undefined => {
  if (!listReference.test(scalar.text)) {
    const fix = "write $ and lower-case letters, digits and _, as the list is named: $internal_ranges";
    return problems.report(scalar.at, `${JSON.stringify(scalar.text)} is not the name of a list`, fix);
  }
  if (options.mayBeList && (field.type === "word" || field.type === "words" || field.type === "address"))
    return scalar.text;
  return problems.report(scalar.at, `${name} cannot be compared with a list`, "write the value itself");
};

const readDecimal = (name: FieldName, { at, text, value }: LocatedScalar, problems: Problems): number | undefined => {
  const written = typeof value === "number" ? value : Number.NaN;
  if (written >= 0 && written <= 1) {
    if (Number(written.toFixed(decimals)) === written) return written;
    return problems.report(
      at,
      `${text} has more than ${decimals} decimals`,
      `write ${Number(written.toFixed(decimals))}`,
    );
  }
  const percent = /^([0-9]+(?:\.[0-9]+)?) ?%$/.exec(text)?.[1];
  const hundredths = percent === undefined ? written : Number(percent);
  const quoted = typeof value === "string" && /^(0(\.[0-9]+)?|1(\.0+)?)$/.test(text);
  const fix = quoted
    ? `write ${Number(text)} without quotes`
    : hundredths > 0 && hundredths <= 100
      ? `write ${Number((hundredths / 100).toFixed(decimals))}`
      : "write a number from 0 to 1, such as 0.85";
  return problems.report(at, `${name} is a number from 0 to 1, not ${JSON.stringify(text)}`, fix);
};

const readFlag = (name: FieldName, { at, text, value }: LocatedScalar, problems: Problems): boolean | undefined => {
  if (typeof value === "boolean") return value;
  const fix = /^(y|yes|on|1)$/i.test(text)
    ? "write true"
    : /^(n|no|off|0)$/i.test(text)
      ? "write false"
      : "write true or false";
  return problems.report(at, `${name} is true or false, not ${JSON.stringify(text)}`, fix);
};

const readAddress = (name: FieldName, { at, text }: LocatedScalar, problems: Problems): string | undefined => {
  const found = readAddressText(text);
  if (found.kind === "legal") return found.text;
  if (found.kind === "host-bits") {
    return problems.report(
      at,
      `${text} names one address of a range`,
      `write ${found.text}, or the address without /…`,
    );
  }
  return problems.report(
    at,
    `${name} is compared with addresses, and ${JSON.stringify(text)} is none`,
    "write an address or range: 203.0.113.9, 10.0.0.0/8, 2001:db8::/32, or $my_list",
  );
};

const readWord = (name: FieldName, field: Field, scalar: LocatedScalar, problems: Problems): string | undefined => {
  const { at, text } = scalar;
  const lengthMax = name === "tags" ? tagLengthMax : valueLengthMax;
  if (text.length > lengthMax) {
    return problems.report(
      at,
      `a value of ${name} has ${text.length} characters; ${lengthMax} are allowed`,
      "write it shorter",
    );
  }
  if (field.values !== undefined && !field.values.includes(text)) {
    return problems.report(at, `${JSON.stringify(text)} is not a value of ${name}`, valueFix(name, field.values, text));
  }
  if (name === "tags" && text !== text.toLowerCase()) {
    return problems.report(
      at,
      `tags are lower case, and ${JSON.stringify(text)} is not`,
      `write ${text.toLowerCase()}`,
    );
  }
  return text;
};

/** Words from other tools for actions and severities. */
const valueHints: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  action: {
    block: "block_ip",
    ban: "block_ip",
    drop: "block_ip",
    contain: "isolate_host",
    isolate: "isolate_host",
    quarantine: "quarantine_file",
    kill_process: "suspend_process",
    lock_user: "disable_user",
    lock_account: "suspend_account",
    block_url: "block_domain",
    sinkhole: "block_domain",
  },
  severity: {
    info: "low",
    informational: "low",
    warning: "medium",
    moderate: "medium",
    severe: "high",
    error: "high",
    fatal: "critical",
    emergency: "critical",
  },
};

const valueFix = (name: string, values: readonly string[], written: string): string => {
  const hints = valueHints[name];
  const meant =
    hints !== undefined && Object.hasOwn(hints, written.toLowerCase()) ? hints[written.toLowerCase()] : undefined;
  if (meant !== undefined) return `write ${JSON.stringify(meant)}`;
  const near = writeInstead(written, values);
  return near.startsWith("write one of") ? `write one of: ${listed(values)}` : near;
};

/** For completion: what a value may look like. */
export const valueSchema = (field: Field): JsonSchema => {
  switch (field.type) {
    case "decimal":
      return { type: "number", minimum: 0, maximum: 1 };
    case "flag":
      return { type: "boolean" };
    case "ordinal":
      return { enum: field.values ?? [] };
    case "address":
      return { type: "string", maxLength: valueLengthMax };
    case "word":
    case "words":
      return field.values === undefined
        ? { type: ["string", "number", "boolean"] }
        : { anyOf: [{ enum: field.values }, { type: "string", pattern: listReferencePattern }] };
  }
};
