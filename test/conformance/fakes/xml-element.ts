/** As much XML as the faked targets read: elements, attributes, text, the five entities. No DTD, CDATA or comment. */
export type XmlElement = {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  readonly text: string;
};

type Open = {
  readonly name: string;
  readonly attributes: Record<string, string>;
  children: XmlElement[];
  text: string;
};

const token = /<(\/?)([A-Za-z_][\w.-]*)((?:\s+[\w.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/gy;

/** Undefined for whatever is not one well-formed element. */
export const parseXml = (text: string): XmlElement | undefined => {
  const root: Open = { name: "", attributes: {}, children: [], text: "" };
  const open: Open[] = [root];
  let end = 0;
  for (const match of text.matchAll(token)) {
    if (match.index !== end) return undefined;
    end = match.index + match[0].length;
    const [, closes, name = "", attributes = "", isEmpty, words] = match;
    const current = open.at(-1);
    if (current === undefined) return undefined;
    if (words !== undefined) current.text += unescapeXml(words);
    else if (closes === "/") {
      open.pop();
      const parent = open.at(-1);
      if (current.name !== name || parent === undefined) return undefined;
      parent.children.push(current);
    } else {
      const element: Open = { name, attributes: attributesOf(attributes), children: [], text: "" };
      if (isEmpty === "/") current.children.push(element);
      else open.push(element);
    }
  }
  const [only, ...more] = root.children;
  return end === text.length && open.length === 1 && more.length === 0 && root.text.trim() === "" ? only : undefined;
};

/** The children of that name, one step down for each name. */
export const childrenAt = (element: XmlElement, ...names: readonly string[]): readonly XmlElement[] =>
  names.reduce<readonly XmlElement[]>(
    (found, name) => found.flatMap(({ children }) => children.filter((child) => child.name === name)),
    [element],
  );

export const escapeXml = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.codePointAt(0)};`);

const named: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

const unescapeXml = (text: string): string =>
  text.replace(/&(?:#(\d+)|#x([0-9a-fA-F]+)|(\w+));/g, (whole, decimal, hex, name) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    return named[String(name)] ?? whole;
  });

const attributesOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    [...text.matchAll(/([\w.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g)].map(([, name = "", double, single]) => [
      name,
      unescapeXml(double ?? single ?? ""),
    ]),
  );
