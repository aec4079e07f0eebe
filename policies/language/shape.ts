import type { Position, Problems } from "./policy-error.ts";
import { durationPattern, durationText, parseDurationSeconds } from "./quantities.ts";
import type { Located, LocatedMap, LocatedScalar } from "./read-yaml.ts";
import { listed, nearestName, writeInstead } from "./suggest.ts";

/**
 * A shape reads one value of a file and says in JSON Schema what it takes, so that the parser and editor completion
 * cannot disagree. `read` reports what is wrong and then gives `undefined`.
 */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };
export type JsonSchema = { readonly [key: string]: JsonValue };
export type Shape<T> = {
  readonly schema: JsonSchema;
  readonly read: (node: Located, problems: Problems) => T | undefined;
};
type Read<S> = S extends Shape<infer T> ? T : never;

export const scalarOf = (node: Located, problems: Problems, expected: string): LocatedScalar | undefined => {
  if (node.kind === "scalar" && node.value !== null && node.text !== "") return node;
  const found = node.kind === "map" ? "a block" : node.kind === "list" ? "a list" : "nothing";
  return problems.report(node.at, `${found} stands where ${expected} is needed`, `write ${expected}`);
};

/** Any text; numbers and words such as `no` are taken as they are written. */
export const text = (options: {
  readonly expected: string;
  readonly lengthMax: number;
  readonly pattern?: string;
  readonly fix?: string;
}): Shape<string> => {
  const pattern = options.pattern === undefined ? undefined : new RegExp(options.pattern);
  return {
    schema: {
      type: pattern === undefined ? ["string", "number", "boolean"] : "string",
      ...(options.pattern === undefined ? {} : { pattern: options.pattern }),
      maxLength: options.lengthMax,
    },
    read: (node, problems) => {
      const scalar = scalarOf(node, problems, options.expected);
      if (scalar === undefined) return undefined;
      const written = scalar.text.trim();
      if (written.length > options.lengthMax) {
        return problems.report(
          scalar.at,
          `${written.length} characters; ${options.lengthMax} are allowed`,
          "write it shorter",
        );
      }
      if (written === "" || (pattern !== undefined && !pattern.test(written))) {
        return problems.report(
          scalar.at,
          `${JSON.stringify(written)} is not ${options.expected}`,
          options.fix ?? `write ${options.expected}`,
        );
      }
      return written;
    },
  };
};

/** One name of a closed vocabulary. `hints` are spellings that mean one of them, or that need a sentence. */
export const name = <N extends string>(
  what: string,
  names: readonly N[],
  hints: Readonly<Record<string, string>> = {},
): Shape<N> => ({
  schema: { enum: names },
  read: (node, problems) => {
    const scalar = scalarOf(node, problems, what);
    if (scalar === undefined) return undefined;
    const found = names.find((candidate) => candidate === scalar.text);
    if (found !== undefined) return found;
    const hint = Object.hasOwn(hints, scalar.text) ? hints[scalar.text] : undefined;
    return problems.report(
      scalar.at,
      `${JSON.stringify(scalar.text)} is not ${what}`,
      hint ?? writeInstead(scalar.text, names),
    );
  },
});

export const integer = (what: string, minimum: number, maximum: number): Shape<number> => ({
  schema: { type: "integer", minimum, maximum },
  read: (node, problems) => {
    const scalar = scalarOf(node, problems, what);
    if (scalar === undefined) return undefined;
    const { value } = scalar;
    if (typeof value === "number" && Number.isInteger(value) && value >= minimum && value <= maximum) return value;
    return problems.report(
      scalar.at,
      `${JSON.stringify(scalar.text)} is not ${what}`,
      `write a whole number from ${minimum} to ${maximum}`,
    );
  },
});

export const number = (what: string, minimum: number, maximum: number): Shape<number> => ({
  schema: { type: "number", minimum, maximum },
  read: (node, problems) => {
    const scalar = scalarOf(node, problems, what);
    if (scalar === undefined) return undefined;
    const { value } = scalar;
    if (typeof value === "number" && value >= minimum && value <= maximum) return value;
    return problems.report(
      scalar.at,
      `${JSON.stringify(scalar.text)} is not ${what}`,
      `write a number from ${minimum} to ${maximum}`,
    );
  },
});

export const flag = (what: string): Shape<boolean> => ({
  schema: { type: "boolean" },
  read: (node, problems) => {
    const scalar = scalarOf(node, problems, what);
    if (scalar === undefined) return undefined;
    if (typeof scalar.value === "boolean") return scalar.value;
    const meant = /^(y|yes|on|1)$/i.test(scalar.text)
      ? "true"
      : /^(n|no|off|0)$/i.test(scalar.text)
        ? "false"
        : "true or false";
    return problems.report(scalar.at, `${JSON.stringify(scalar.text)} is not true or false`, `write ${meant}`);
  },
});

/** Seconds, written `90s`, `30m`, `24h` or `7d`. */
export const duration = (what: string, minimumSeconds: number, maximumSeconds: number): Shape<number> => ({
  schema: { type: "string", pattern: durationPattern },
  read: (node, problems) => {
    const scalar = scalarOf(node, problems, what);
    if (scalar === undefined) return undefined;
    const seconds = parseDurationSeconds(scalar.text);
    if (seconds === undefined) {
      const isBare = typeof scalar.value === "number" && scalar.value > 0 && Number.isInteger(scalar.value);
      const fix = isBare
        ? `write the unit: ${scalar.value}s, ${scalar.value}m or ${scalar.value}h`
        : "write a whole number and a unit: 90s, 30m, 24h or 7d";
      return problems.report(scalar.at, `${JSON.stringify(scalar.text)} is not a duration`, fix);
    }
    if (seconds >= minimumSeconds && seconds <= maximumSeconds) return seconds;
    return problems.report(
      scalar.at,
      `${what} of ${scalar.text} is ${seconds < minimumSeconds ? "too short" : "too long"}`,
      `write ${durationText(minimumSeconds)} to ${durationText(maximumSeconds)}`,
    );
  },
});

export const list = <T>(
  item: Shape<T>,
  options: { readonly what: string; readonly minItems?: number; readonly maxItems: number },
): Shape<T[]> => ({
  schema: { type: "array", items: item.schema, minItems: options.minItems ?? 0, maxItems: options.maxItems },
  read: (node, problems) => {
    if (node.kind !== "list") {
      return problems.report(
        node.at,
        `${options.what} must be a list`,
        "begin each entry with `- ` on a line of its own",
      );
    }
    const values = readItems(node.items, item, problems, node.at, options);
    if (values !== undefined && node.items.length < (options.minItems ?? 0)) {
      return problems.report(node.at, `${options.what} is empty`, "write at least one entry, or remove the key");
    }
    return values;
  },
});

/** A value, or a list of them. */
export const oneOrMany = <T>(
  item: Shape<T>,
  options: { readonly what: string; readonly maxItems: number },
): Shape<T[]> => ({
  schema: { anyOf: [item.schema, { type: "array", items: item.schema, minItems: 1, maxItems: options.maxItems }] },
  read: (node, problems) => {
    if (node.kind !== "list") return readItems([node], item, problems, node.at, options);
    if (node.items.length === 0)
      return problems.report(node.at, `${options.what} is an empty list`, "write at least one value");
    return readItems(node.items, item, problems, node.at, options);
  },
});

const readItems = <T>(
  items: readonly Located[],
  item: Shape<T>,
  problems: Problems,
  at: Position,
  options: { readonly what: string; readonly maxItems: number },
): T[] | undefined => {
  if (items.length > options.maxItems) {
    return problems.report(
      at,
      `${options.what} has ${items.length} entries; ${options.maxItems} are allowed`,
      "split it",
    );
  }
  const values = items.map((one) => item.read(one, problems));
  return values.every((value) => value !== undefined) ? (values as T[]) : undefined;
};

export type Key = {
  readonly shape: Shape<unknown>;
  readonly about: string;
  /** What to write when the key is missing; a key without it may be left out. */
  readonly missing?: string;
};
export type Keys = Readonly<Record<string, Key>>;
export type ReadKeys<K extends Keys> = { -readonly [P in keyof K]?: Read<K[P]["shape"]> };

/** A block with known keys. What was read of a block with errors is given too: the caller checks `problems`. */
export const block = <const K extends Keys>(
  what: string,
  keys: K,
  hints: Readonly<Record<string, string>> = {},
): Shape<ReadKeys<K>> => ({
  schema: blockSchema(keys),
  read: (node, problems) => {
    if (node.kind !== "map") {
      return problems.report(
        node.at,
        `${what} must be a block of keys`,
        `write ${listed(Object.keys(keys))}, each with \`: \``,
      );
    }
    reportUnknownKeys(what, node, Object.keys(keys), hints, problems);
    for (const [key, { missing }] of Object.entries(keys)) {
      const isThere = node.entries.some((entry) => entry.key === key);
      if (missing !== undefined && !isThere) problems.report(node.at, `${what} has no "${key}"`, missing);
    }
    const values: Record<string, unknown> = {};
    for (const entry of node.entries) {
      const key = Object.hasOwn(keys, entry.key) ? keys[entry.key] : undefined;
      const value = key?.shape.read(entry.value, problems);
      if (value !== undefined) values[entry.key] = value;
    }
    return values as ReadKeys<K>;
  },
});

const blockSchema = (keys: Keys): JsonSchema => ({
  type: "object",
  additionalProperties: false,
  required: Object.entries(keys).flatMap(([key, { missing }]) => (missing === undefined ? [] : [key])),
  properties: Object.fromEntries(
    Object.entries(keys).map(([key, { shape, about }]) => [key, { description: about, ...shape.schema }]),
  ),
});

const reportUnknownKeys = (
  what: string,
  node: LocatedMap,
  names: readonly string[],
  hints: Readonly<Record<string, string>>,
  problems: Problems,
): void => {
  for (const { key, keyAt } of node.entries) {
    if (names.includes(key)) continue;
    const hint = Object.hasOwn(hints, key) ? hints[key] : undefined;
    const nearest = nearestName(key, names);
    problems.report(
      keyAt,
      `"${key}" is not a key of ${what}`,
      hint ?? (nearest === undefined ? `the keys are: ${listed(names)}` : `write "${nearest}"`),
    );
  }
};
