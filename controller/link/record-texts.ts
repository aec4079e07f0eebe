/**
 * The exact text of each record's body, as it was signed. A token is replayed from these bytes, and writing the parsed value
 * again may spell a number or an escape differently.
 */
export const recordTexts = (text: string, batch: { readonly records: readonly object[] }): readonly string[] => {
  // Written by JSON.stringify, which is what agents use: writing it again proves it, at the speed of the native parser.
  if (JSON.stringify(batch) === text) return batch.records.map((record) => JSON.stringify(bodyOf(record)));
  return spansOf(text).map(([start, end]) => text.slice(start, end));
};

const bodyOf = (record: object): unknown => ("body" in record ? record.body : record);

type Span = readonly [start: number, end: number];

/** Spans of `records[*].body` in text that is known to be JSON with unique keys; the whole record where it has no body. */
const spansOf = (text: string): Span[] => {
  const records = membersOf(text, skipSpace(text, 0)).find(({ key }) => key === "records");
  if (records === undefined) return [];
  return elementsOf(text, records.start).map(([start, end]) => {
    const body = text[start] === "{" ? membersOf(text, start).find(({ key }) => key === "body") : undefined;
    return body === undefined ? [start, end] : [body.start, body.end];
  });
};

type Member = { readonly key: string; readonly start: number; readonly end: number };

const membersOf = (text: string, open: number): Member[] => {
  const members: Member[] = [];
  for (let at = skipSpace(text, open + 1); text[at] !== "}"; ) {
    const keyEnd = endOfValue(text, at);
    const key: unknown = JSON.parse(text.slice(at, keyEnd));
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = endOfValue(text, start);
    members.push({ key: String(key), start, end });
    at = skipSpace(text, end);
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return members;
};

const elementsOf = (text: string, open: number): Span[] => {
  const elements: Span[] = [];
  for (let at = skipSpace(text, open + 1); text[at] !== "]"; ) {
    const end = endOfValue(text, at);
    elements.push([at, end]);
    at = skipSpace(text, end);
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return elements;
};

const skipSpace = (text: string, from: number): number => {
  let at = from;
  while (at < text.length && " \t\n\r".includes(text[at] ?? "")) at += 1;
  return at;
};

/** Just past the value that begins at `from`. */
const endOfValue = (text: string, from: number): number => {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const char = text[at];
    if (char === '"') {
      at += 1;
      while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
      if (depth === 0) return at + 1;
    } else if (char === "{" || char === "[") depth += 1;
    else if (char === "}" || char === "]") {
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (char === "," || " \t\n\r".includes(char ?? ""))) return at;
  }
  return text.length;
};
