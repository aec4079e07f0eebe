import { err, ok, type Result } from "@reflex/protocol/result";
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from "yaml";
import { createProblems, type PolicyError, type Position, type Problems } from "./policy-error.ts";

/** YAML as policies use it: maps, lists and scalars with their places. Nothing behind this file knows the YAML library. */
export type Located = LocatedMap | LocatedList | LocatedScalar;
export type LocatedEntry = { readonly key: string; readonly keyAt: Position; readonly value: Located };
export type LocatedMap = { readonly kind: "map"; readonly at: Position; readonly entries: readonly LocatedEntry[] };
export type LocatedList = { readonly kind: "list"; readonly at: Position; readonly items: readonly Located[] };
export type LocatedScalar = {
  readonly kind: "scalar";
  readonly at: Position;
  readonly value: string | number | boolean | null;
  /** As written: `5712`, `no` and `007` stay what they look like. */
  readonly text: string;
};

/** A policy with its cases is a page; more cannot be reviewed. */
export const policyFileLengthMax = 64 * 1024;
/** Inventories are long lists: 200 000 assets of about 100 characters. */
export const dataFileLengthMax = 24 * 1024 * 1024;
/** A policy nests six deep; the YAML reader recurses, and a few thousand levels exhaust its stack. */
const depthMax = 16;

/**
 * Strict YAML 1.2 core: one document, unique keys, no anchors, aliases, merge keys or tags.
 * `undefined` when the text is empty or holds only comments.
 */
export const readYaml = (
  file: string,
  text: string,
  lengthMax: number = policyFileLengthMax,
): Result<Located | undefined, readonly PolicyError[]> => {
  const problems = createProblems(file);
  const start = { line: 1, column: 1 };
  const found = readLocated(text, lengthMax, problems, start);
  const errors = problems.errors();
  return errors.length > 0 ? err(errors) : ok(found);
};

const readLocated = (text: string, lengthMax: number, problems: Problems, start: Position): Located | undefined => {
  if (text.length > lengthMax) {
    return problems.report(
      start,
      `the file has ${text.length} characters; ${lengthMax} are allowed`,
      "split it into several files",
    );
  }
  if (opensTooMany(text)) return reportTooDeep(start, problems);
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, {
      version: "1.2",
      schema: "core",
      uniqueKeys: true,
      merge: false,
      strict: true,
      prettyErrors: false,
      lineCounter: lines,
      // "silent" would also keep quiet about a second document.
      logLevel: "error",
    });
    const place = placeIn(lines);
    const faults = [...document.errors, ...document.warnings];
    if (faults.some(({ message }) => message.includes("call stack"))) return reportTooDeep(start, problems);
    for (const fault of faults.slice(0, faultsMax)) {
      const { message, fix } = explainFault(fault.code, fault.message);
      problems.report(place(fault.pos[0]), message, fix);
    }
    if (faults.length > 0 || document.contents === null) return undefined;
    return locate(document.contents, place, problems, 0);
  } catch {
    // Only a stack that ran out gets here: `- - - - …` nests without brackets.
    return reportTooDeep(start, problems);
  }
};

/** What is wrong after the first broken bracket follows from it. */
const faultsMax = 5;

const reportTooDeep = (start: Position, problems: Problems): undefined =>
  problems.report(start, "the file nests too deep to be read", "write lists and blocks flatter");

/** Brackets open at once, counted without regard to quotes: no real file comes near, and no stack is needed to count. */
const opensTooMany = (text: string): boolean => {
  let open = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x5b || code === 0x7b) open += 1;
    else if ((code === 0x5d || code === 0x7d) && open > 0) open -= 1;
    if (open > 500) return true;
  }
  return false;
};

const placeIn =
  (lines: LineCounter) =>
  (offset: number | undefined): Position => {
    const { line, col } = lines.linePos(offset ?? 0);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
type Place = ReturnType<typeof placeIn>;

const locate = (node: Node, place: Place, problems: Problems, depth: number): Located | undefined => {
  const at = place(node.range?.[0]);
  if (depth > depthMax) return problems.report(at, `the file nests deeper than ${depthMax}`, "write it flatter");
  if (isAlias(node))
    return problems.report(at, "aliases (*name) are not supported", "write the value out, or use a $list");
  if ("anchor" in node && node.anchor !== undefined) {
    return problems.report(
      at,
      "anchors (&name) are not supported",
      "remove it and write the value out where it is needed",
    );
  }
  if (node.tag !== undefined) return problems.report(at, `the tag ${node.tag} is not supported`, "remove it");
  if (isMap(node)) return locateMap(node, at, place, problems, depth);
  if (isSeq(node)) {
    const items = node.items.map((item) => locate(item as Node, place, problems, depth + 1));
    return { kind: "list", at, items: items.filter((item) => item !== undefined) };
  }
  if (isScalar(node)) {
    const { value } = node;
    if (typeof value === "string" || typeof value === "boolean" || typeof value === "number" || value === null) {
      return { kind: "scalar", at, value, text: typeof value === "string" ? value : (node.source ?? String(value)) };
    }
  }
  return problems.report(at, "this value is not supported", "write a text, a number, true or false");
};

const locateMap = (node: YAMLMap, at: Position, place: Place, problems: Problems, depth: number): LocatedMap => {
  const entries: LocatedEntry[] = [];
  for (const pair of node.items) {
    const keyNode = pair.key as Node;
    const keyAt = place(keyNode.range?.[0]);
    const key = locate(keyNode, place, problems, depth + 1);
    if (key === undefined) continue;
    if (key.kind !== "scalar") {
      problems.report(keyAt, "a key must be a word", "write `name: value`");
      continue;
    }
    if (key.text === "<<") {
      problems.report(keyAt, "merge keys (<<) are not supported", "write the keys out");
      continue;
    }
    const valueNode = pair.value as Node | null;
    const value =
      valueNode === null
        ? ({ kind: "scalar", at: keyAt, value: null, text: "" } as const)
        : locate(valueNode, place, problems, depth + 1);
    if (value !== undefined) entries.push({ key: key.text, keyAt, value });
  }
  return { kind: "map", at, entries };
};

type Explained = { readonly message: string; readonly fix: string };

const faultsByCode: Readonly<Record<string, Explained>> = {
  TAB_AS_INDENT: { message: "a tab is used to indent", fix: "indent with two spaces" },
  DUPLICATE_KEY: { message: "this key is written twice", fix: "keep one of them; a list means one of several values" },
  MULTIPLE_DOCS: { message: "the file holds several documents", fix: "write one policy per file and remove `---`" },
  BAD_INDENT: {
    message: "the indentation does not fit the lines above, or a bracket there is not closed",
    fix: "indent with two spaces per level and close every bracket",
  },
  MISSING_CHAR: { message: "a bracket, comma or quote is missing", fix: "close what is open on this line" },
  BLOCK_AS_IMPLICIT_KEY: { message: "a second `: ` on one line", fix: 'put text that contains ": " in double quotes' },
  BAD_ALIAS: { message: "aliases (*name) are not supported", fix: "put a text that begins with * in double quotes" },
  BAD_DIRECTIVE: { message: "YAML directives (%…) are not supported", fix: "remove the line" },
  BAD_SCALAR_START: { message: "a text cannot begin like this", fix: "put the text in double quotes" },
  TAG_RESOLVE_FAILED: {
    message: "tags (!name) are not supported",
    fix: "put a text that begins with ! in double quotes",
  },
  MULTILINE_IMPLICIT_KEY: {
    message: "a key goes over several lines",
    fix: "write `name: value`, and quote a text with `: `",
  },
  BAD_DQ_ESCAPE: {
    message: "an unknown escape in double quotes",
    fix: "write \\\\ for a backslash, or use single quotes",
  },
};

const explainFault = (code: string, message: string): Explained => {
  const known = faultsByCode[code];
  if (known !== undefined) return known;
  const [sentence = message] = message.split("\n");
  return { message: `not legal YAML: ${sentence.slice(0, 160)}`, fix: "compare with an example in policies/library" };
};
