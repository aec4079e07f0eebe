import type { Problems } from "@reflex/policies/language/policy-error";
import type { Located, LocatedMap, LocatedScalar } from "@reflex/policies/language/read-yaml";
import type { JsonSchema, Shape } from "@reflex/policies/language/shape";
import { writeInstead } from "@reflex/policies/language/suggest";
import { declaredRoots, fixedReferences, type Json, type Value } from "./value.ts";

const textLengthMax = 4_096;
const wholeReference = /^\$[a-z][a-z_]*(?:\.[a-z][a-z0-9_]*)?$/;
const roots = [...new Set([...fixedReferences.map((path) => path.split(".")[0] ?? ""), ...declaredRoots])];
const insideText = new RegExp(`\\$\\{?(?:${roots.join("|")})\\b|\\{\\{|\\$\\{`);

/** Any value: see the table in MANIFEST.md. The schema takes everything; the parser has the better words for what is wrong. */
export const value: Shape<Value> = { schema: {}, read: (node, problems) => readValue(node, problems) };

const readValue = (node: Located, problems: Problems): Value | undefined => {
  switch (node.kind) {
    case "scalar":
      return readScalar(node, problems);
    case "list": {
      const items = node.items.map((item) => readValue(item, problems));
      return items.every((item) => item !== undefined) ? { kind: "list", items: items as Value[] } : undefined;
    }
    case "map":
      return readMap(node, problems);
  }
};

const readScalar = ({ at, value: found, text }: LocatedScalar, problems: Problems): Value | undefined => {
  if (typeof found === "number" && String(found) !== text) {
    return problems.report(
      at,
      `${text} could be read as ${found}`,
      `write ${found}, or "${text}" in quotes if it is a text`,
    );
  }
  if (typeof found !== "string") return { kind: "literal", value: found };
  if (found.length > textLengthMax) {
    return problems.report(
      at,
      `the text has ${found.length} characters; ${textLengthMax} are allowed`,
      "write it shorter",
    );
  }
  if (wholeReference.test(found)) return { kind: "reference", path: found.slice(1), at };
  if (insideText.test(found)) {
    const example = joinExample(found);
    return problems.report(
      at,
      "a reference stands inside a text; values are never spliced into text",
      `write { join: [${example}] }`,
    );
  }
  if (found.startsWith("$")) {
    return problems.report(
      at,
      `${JSON.stringify(found)} is not a reference`,
      `${writeInstead(found.slice(1), fixedReferences).replace('write "', 'write "$')}, or { literal: ${JSON.stringify(found)} } for a text that begins with $`,
    );
  }
  return { kind: "literal", value: found };
};

/** `Reflex $command.id!` to `"Reflex ", $command.id, "!"`. */
const joinExample = (text: string): string =>
  text
    .replaceAll(/\{\{\s*\$?|\$\{\s*\$?/g, "$")
    .replaceAll(/\s*\}\}?/g, "")
    .split(/(\$[a-z][a-z_]*(?:\.[a-z][a-z0-9_]*)?)/)
    .filter((part) => part !== "")
    .map((part) => (wholeReference.test(part) ? part : JSON.stringify(part)))
    .join(", ");

type Operator = {
  readonly keys: readonly string[];
  readonly read: (parts: (key: string) => Located, node: LocatedMap, problems: Problems) => Value | undefined;
};

const listOf = (node: Located, problems: Problems, what: string): readonly Value[] | undefined => {
  if (node.kind !== "list") return problems.report(node.at, `${what} takes a list`, `write { ${what}: [one, other] }`);
  const read = readValue(node, problems);
  return read?.kind === "list" ? read.items : undefined;
};

const operators: readonly Operator[] = [
  {
    keys: ["join"],
    read: (part, _node, problems) => {
      const parts = listOf(part("join"), problems, "join");
      return parts === undefined ? undefined : { kind: "join", parts };
    },
  },
  { keys: ["literal"], read: (part) => ({ kind: "literal", value: plainJson(part("literal")) }) },
  {
    keys: ["numbered"],
    read: (part, node, problems) => {
      const list = readValue(part("numbered"), problems);
      return list === undefined ? undefined : { kind: "numbered", list, at: node.at };
    },
  },
  {
    keys: ["xml"],
    read: (part, node, problems) => {
      const tree = xmlTree.read(part("xml"), problems);
      return tree === undefined ? undefined : { kind: "xml", tree, at: node.at };
    },
  },
  { keys: ["quoted", "matching", "as"], read: (part, node, problems) => readQuoted(part, node, problems) },
  { keys: ["add", "to"], read: (part, node, problems) => readChange("add", part("add"), part("to"), node, problems) },
  {
    keys: ["remove", "from"],
    read: (part, node, problems) => readChange("remove", part("remove"), part("from"), node, problems),
  },
];

const readMap = (node: LocatedMap, problems: Problems): Value | undefined => {
  const partAt = (key: string): Located => node.entries.find((entry) => entry.key === key)?.value ?? node;
  const keys = node.entries.map(({ key }) => key);
  const operator = operators.find(
    (one) => one.keys.length === keys.length && one.keys.every((key) => keys.includes(key)),
  );
  if (operator !== undefined) return operator.read(partAt, node, problems);
  if (keys.includes("by") && isReferenceNode(partAt("by")) && keys.length > 1) return readBy(node, problems);
  if (keys.includes("quoted")) {
    return problems.report(
      node.at,
      "a quoted value says what it must match and where it stands",
      `write { quoted: $target.value, matching: "^[a-z0-9.-]{1,255}$", as: "name:'%'" }`,
    );
  }
  const entries: [string, Value][] = [];
  for (const entry of node.entries) {
    const read = readValue(entry.value, problems);
    if (read !== undefined) entries.push([entry.key, read]);
  }
  return { kind: "map", entries };
};

const isReferenceNode = (node: Located): boolean => node.kind === "scalar" && /^\$/.test(node.text);

const readBy = (node: LocatedMap, problems: Problems): Value | undefined => {
  const read = node.entries.map((entry) => [entry.key, readValue(entry.value, problems)] as const);
  const chosen = read.find(([key]) => key === "by")?.[1];
  if (chosen === undefined || read.some(([, one]) => one === undefined)) return undefined;
  const cases = read.filter((entry): entry is [string, Value] => entry[0] !== "by" && entry[1] !== undefined);
  return { kind: "by", value: chosen, cases: Object.fromEntries(cases) };
};

const readChange = (
  verb: "add" | "remove",
  entryNode: Located,
  listNode: Located,
  { at }: LocatedMap,
  problems: Problems,
): Value | undefined => {
  const [entry, list] = [readValue(entryNode, problems), readValue(listNode, problems)];
  return entry === undefined || list === undefined ? undefined : { kind: "change", verb, entry, list, at };
};

/** What ends a quoted text in the query languages there are, and what could stand between two clauses. */
const quotingCharacters = ["'", '"', "`", "\\", "\n", "\r", "\u2028", "(", ")"] as const;

const readQuoted = (part: (key: string) => Located, node: LocatedMap, problems: Problems): Value | undefined => {
  const inner = readValue(part("quoted"), problems);
  const [matchingNode, asNode] = [part("matching"), part("as")];
  if (matchingNode.kind !== "scalar" || asNode.kind !== "scalar" || inner === undefined) {
    return problems.report(
      node.at,
      "matching and as are texts",
      `write matching: "^[a-z0-9.-]{1,255}$", as: "name:'%'"`,
    );
  }
  const pattern = readPattern(matchingNode, problems);
  const halves = asNode.text.split("%");
  if (halves.length !== 2)
    return problems.report(asNode.at, "as has not exactly one % for the value", "write as: \"name:'%'\"");
  if (pattern === undefined) return undefined;
  const let_through = quotingCharacters.find((one) =>
    [one, `a${one}`, `a${one}a`, `${one}a`].some((text) => pattern.test(text)),
  );
  if (let_through !== undefined) {
    return problems.report(
      matchingNode.at,
      `the pattern lets ${JSON.stringify(let_through)} through, which could end the quoted text`,
      'name the characters that may stand there, such as "^[A-Za-z0-9._@-]{1,255}$"',
    );
  }
  const [before = "", after = ""] = halves;
  return { kind: "quoted", value: inner, matching: pattern, before, after };
};

/** A pattern for a whole text. */
export const readPattern = ({ text, at }: LocatedScalar, problems: Problems): RegExp | undefined => {
  const isWhole = /^\^(?:[^|]|\|(?=[^()]*\)))*\$$/.test(text);
  if (!isWhole)
    return problems.report(at, `${JSON.stringify(text)} does not say what a whole text looks like`, 'write "^(?:…)$"');
  try {
    return new RegExp(text, "u");
  } catch {
    return problems.report(
      at,
      `${JSON.stringify(text)} is not a pattern`,
      'write a regular expression such as "^[a-z0-9-]{1,64}$"',
    );
  }
};

const plainJson = (node: Located): Json => {
  switch (node.kind) {
    case "scalar":
      return node.value;
    case "list":
      return node.items.map(plainJson);
    case "map":
      return Object.fromEntries(node.entries.map(({ key, value: part }) => [key, plainJson(part)]));
  }
};

const xmlName = /^(?!xml)[A-Za-z_][A-Za-z0-9._-]{0,127}(?::[A-Za-z_][A-Za-z0-9._-]{0,127})?$/;

/** One element: `{ name: { "@attribute": v, "#text": v, child: … } }`. Names are the manifest's own, never bound. */
export const xmlTree: Shape<Value> = {
  schema: { type: "object", minProperties: 1, maxProperties: 1 },
  read: (node, problems) => {
    if (node.kind !== "map" || node.entries.length !== 1) {
      return problems.report(node.at, "XML has one outermost element", "write xml: { name: { … } }");
    }
    checkXmlNames(node, problems);
    const entries = node.entries.map(({ key, value: part }) => [key, readValue(part, problems)] as const);
    return entries.every((entry): entry is [string, Value] => entry[1] !== undefined)
      ? { kind: "map", entries }
      : undefined;
  },
};

const checkXmlNames = (node: Located, problems: Problems): void => {
  if (node.kind === "list") for (const item of node.items) checkXmlNames(item, problems);
  if (node.kind !== "map") return;
  const keys = node.entries.map(({ key }) => key);
  if (operators.some((one) => one.keys.every((key) => keys.includes(key)) && one.keys.length === keys.length)) return;
  if (keys.includes("by")) return;
  for (const { key, keyAt, value: part } of node.entries) {
    if (key !== "#text" && !xmlName.test(key.replace(/^@/, ""))) {
      problems.report(
        keyAt,
        `${JSON.stringify(key)} is not a name of an element`,
        'write a name, "@name" for an attribute, or "#text"',
      );
    }
    checkXmlNames(part, problems);
  }
};

/** `name: value` pairs, such as query parameters. */
export const valueMap = (what: string): Shape<readonly (readonly [string, Value])[]> => ({
  schema: { type: "object" } satisfies JsonSchema,
  read: (node, problems) => {
    if (node.kind !== "map")
      return problems.report(node.at, `${what} must be a block of names`, "write { name: value }");
    return node.entries.flatMap(({ key, value: part }) => {
      const read = readValue(part, problems);
      return read === undefined ? [] : [[key, read] as const];
    });
  },
});
