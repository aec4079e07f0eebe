import type { Position, Problems } from "@reflex/policies/language/policy-error";
import type { Located, LocatedMap } from "@reflex/policies/language/read-yaml";
import { block, flag, type JsonSchema, type Shape } from "@reflex/policies/language/shape";
import { listed, nearestName } from "@reflex/policies/language/suggest";
import { statusNumbers } from "../grpc/status-of.ts";
import type { Clause, Clauses, Conditions, Keep, Matcher } from "./manifest.ts";
import { type Pointer, parsePointer } from "./pointer.ts";
import { value } from "./value-shape.ts";

/** Gives the built value once all parts were read; the shape itself has reported what is missing. */
export const built = <R, T>(
  shape: Shape<R>,
  build: (read: R, node: Located, problems: Problems) => T | undefined,
): Shape<T> => ({
  schema: shape.schema,
  read: (node, problems) => {
    const read = shape.read(node, problems);
    return read === undefined ? undefined : build(read, node, problems);
  },
});

/** Parts of the JSON Schema that stand in many places, by name. */
export const schemaDefinitions: Record<string, JsonSchema> = {};
export const named = <T>(name: string, shape: Shape<T>): Shape<T> => {
  schemaDefinitions[name] = shape.schema;
  return { ...shape, schema: { $ref: `#/definitions/${name}` } };
};

export const pointer: Shape<Pointer> = {
  schema: { type: "string", pattern: "^(?:|/.*)$" },
  read: (node, problems) =>
    node.kind === "scalar"
      ? readPointer(node.text, node.at, problems)
      : problems.report(node.at, "this is not a JSON pointer", 'write "/result/id"'),
};

const readPointer = (text: string, at: Position, problems: Problems): Pointer | undefined => {
  const parsed = parsePointer(text);
  if (parsed !== undefined) return parsed;
  const fix = text.startsWith("$.")
    ? `write ${JSON.stringify(
        `/${text
          .slice(2)
          .replaceAll(/\[(\d+|\*)\]/g, "/$1")
          .replaceAll(".", "/")}`,
      )}`
    : /~/.test(text)
      ? "write ~0 for ~ and ~1 for / in a name"
      : `write ${JSON.stringify(`/${text.replaceAll(".", "/").replace(/^\/+/, "")}`)}`;
  return problems.report(at, `${JSON.stringify(text)} is not a JSON pointer`, fix);
};

const withValue = ["starts", "ends", "contains", "address", "same_name"] as const;
const matcherNames = [...withValue, "exactly", "at_least", "not", "missing"] as const;

export const matcher: Shape<Matcher> = { schema: {}, read: (node, problems) => readMatcher(node, problems) };

const readMatcher = (node: Located, problems: Problems): Matcher | undefined => {
  if (node.kind === "list") {
    if (node.items.length === 0)
      return problems.report(node.at, "an empty list matches nothing", "write at least one value");
    const matchers = node.items.map((item) => readMatcher(item, problems));
    return matchers.every((one) => one !== undefined) ? { kind: "one_of", matchers: matchers as Matcher[] } : undefined;
  }
  if (node.kind === "map" && node.entries.length === 1) {
    const [entry] = node.entries;
    if (entry !== undefined && !["join", "literal"].includes(entry.key))
      return readNamedMatcher(entry.key, entry.keyAt, entry.value, problems);
  }
  const read = value.read(node, problems);
  if (read?.kind === "map")
    return problems.report(node.at, "a matcher has one key", `write one of: ${listed(matcherNames)}, or a value`);
  return read === undefined ? undefined : { kind: "equals", value: read };
};

const readNamedMatcher = (name: string, at: Position, node: Located, problems: Problems): Matcher | undefined => {
  switch (name) {
    case "starts":
    case "ends":
    case "contains":
    case "address":
    case "same_name": {
      const read = value.read(node, problems);
      return read === undefined ? undefined : { kind: name, value: read };
    }
    case "exactly": {
      const list = value.read(node, problems);
      return list === undefined ? undefined : { kind: "exactly", list };
    }
    case "at_least":
      if (node.kind === "scalar" && typeof node.value === "number") return { kind: "at_least", number: node.value };
      return problems.report(node.at, "at_least takes a number", "write { at_least: 1 }");
    case "not": {
      const inner = readMatcher(node, problems);
      return inner === undefined ? undefined : { kind: "not", matcher: inner };
    }
    case "missing": {
      const isMissing = flag("true or false").read(node, problems);
      return isMissing === undefined ? undefined : { kind: "missing", isMissing };
    }
    default: {
      const nearest = nearestName(name, matcherNames);
      return problems.report(
        at,
        `${JSON.stringify(name)} is not a matcher`,
        nearest === undefined
          ? `write one of: ${listed(matcherNames)}, or a value`
          : `write ${JSON.stringify(nearest)}`,
      );
    }
  }
};

/** `{ /pointer: matcher }`. */
export const conditions: Shape<Conditions> = {
  schema: { type: "object", minProperties: 1, propertyNames: { pattern: "^(?:|/.*)$" } },
  read: (node, problems) => {
    if (node.kind !== "map" || node.entries.length === 0) {
      return problems.report(node.at, "conditions are a block of pointers", "write { /status: success }");
    }
    return node.entries.flatMap((entry) => {
      const at = readPointer(entry.key, entry.keyAt, problems);
      const read = readMatcher(entry.value, problems);
      return at === undefined || read === undefined ? [] : [[at, read] as const];
    });
  },
};

const oneStatus: JsonSchema = { anyOf: [{ type: "integer" }, { enum: Object.keys(statusNumbers) }] };
const grpcNumber = (name: string): number | undefined =>
  Object.hasOwn(statusNumbers, name) ? statusNumbers[name as keyof typeof statusNumbers] : undefined;

const statusOf: Shape<number[]> = {
  schema: { anyOf: [oneStatus, { type: "array", items: oneStatus, minItems: 1 }] },
  read: (node, problems) => {
    const nodes = node.kind === "list" ? node.items : [node];
    const codes = nodes.map((one) => {
      const written = one.kind === "scalar" ? (grpcNumber(one.text) ?? one.value) : undefined;
      const code = typeof written === "number" ? written : Number.NaN;
      if (Number.isInteger(code) && code >= 200 && code <= 599) return code;
      return problems.report(
        one.at,
        "a status is a whole number from 200 to 599",
        "write 200, or a list such as [200, 201], or a name of gRPC such as NOT_FOUND; leave it out for any of 200 to 299",
      );
    });
    if (codes.length === 0)
      return problems.report(node.at, "the list of statuses is empty", "write at least one, or leave status out");
    return codes.every((code) => code !== undefined) ? (codes as number[]) : undefined;
  },
};

const clauseKeys = {
  status: { shape: statusOf, about: "this status or one of these; left out: 200 to 299" },
  where: { shape: conditions, about: "what must stand in the answer, or in one entry of `items`" },
  items: { shape: pointer, about: "pointer to a list, one entry of which must match `where`" },
  only: { shape: flag("only"), about: "true: and the list has no other entries" },
  first: { shape: flag("first"), about: "true: and it is the first entry" },
  empty: { shape: flag("empty"), about: "true: the list is empty" },
  none: { shape: conditions, about: "no entry of the list matches" },
} as const;

const clauseHints = {
  code: 'write "status"',
  body: 'write "where"',
  json: 'write "where"',
  match: 'write "where"',
} as const;

const clauseBlock: Shape<Clause> = built(
  block("a clause about an answer", clauseKeys, clauseHints),
  (read, node, problems) => {
    for (const key of ["only", "first", "empty", "none"] as const) {
      if (read[key] !== undefined && read.items === undefined) {
        problems.report(
          node.at,
          `${key} is about the entries of a list`,
          "write items: and the pointer of the list beside it",
        );
      }
    }
    const { status, items, none } = read;
    return {
      at: node.at,
      where: read.where ?? [],
      only: read.only ?? false,
      first: read.first ?? false,
      empty: read.empty ?? false,
      ...(status === undefined ? {} : { status }),
      ...(items === undefined ? {} : { items }),
      ...(none === undefined ? {} : { none }),
    };
  },
);

const clause = named("clause", clauseBlock);

/** One clause, or a list of which one must hold. */
export const clauses: Shape<Clauses> = named("clauses", {
  schema: { anyOf: [clause.schema, { type: "array", items: clause.schema, minItems: 1, maxItems: 16 }] },
  read: (node, problems) => {
    const nodes = node.kind === "list" ? node.items : [node];
    if (nodes.length === 0)
      return problems.report(node.at, "the list of clauses is empty", "write at least one, or leave the key out");
    const read = nodes.map((one) => clause.read(one, problems));
    return read.every((one) => one !== undefined) ? (read as Clause[]) : undefined;
  },
});

const keptName = /^[a-z][a-z0-9_]{0,63}$/;

/** `{ name: /pointer }` or `{ name: { when: clause } }`. */
export const keep: Shape<Keep> = {
  schema: { type: "object", minProperties: 1, additionalProperties: { anyOf: [pointer.schema, { type: "object" }] } },
  read: (node, problems) => {
    if (node.kind !== "map" || node.entries.length === 0) {
      return problems.report(node.at, "keep is a block of names and pointers", "write keep: { enabled: /enabled }");
    }
    return Object.fromEntries(node.entries.flatMap((entry) => readKept(entry, problems)));
  },
};

const readKept = (
  { key, keyAt, value: node }: LocatedMap["entries"][number],
  problems: Problems,
): [string, Keep[string]][] => {
  if (!keptName.test(key)) {
    problems.report(keyAt, `${JSON.stringify(key)} is not a name`, "write lower-case letters, digits and _");
    return [];
  }
  if (node.kind !== "map") {
    const at = pointer.read(node, problems);
    return at === undefined ? [] : [[key, at]];
  }
  const [when] = node.entries;
  if (when === undefined || when.key !== "when" || node.entries.length !== 1) {
    problems.report(
      node.at,
      "what is kept is a pointer, or whether a clause holds",
      "write /pointer, or { when: { items: …, where: … } }",
    );
    return [];
  }
  const read = clause.read(when.value, problems);
  return read === undefined ? [] : [[key, { when: read }]];
};
