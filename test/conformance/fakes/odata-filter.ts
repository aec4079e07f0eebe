/**
 * The part of OData's `$filter` that the faked Microsoft services take: `eq`, `ne`, `startswith`, `and`, `or`, brackets. Text is
 * in single quotes, a quote in it is doubled, and text is compared without case, as those services do.
 * https://docs.oasis-open.org/odata/odata/v4.01/odata-v4.01-part2-url-conventions.html (5.1.1)
 */
export type Fields = Readonly<Record<string, string>>;
export type Filter = (item: Fields) => boolean;

/** Undefined for what is not a filter, or names a field outside `filterable`. */
export const parseFilter = (text: string, filterable: readonly string[]): Filter | undefined => {
  const tokens = tokensOf(text);
  if (tokens === undefined) return undefined;
  let at = 0;
  const peek = (): string | undefined => tokens[at];
  const take = (expected?: string): string => {
    const token = tokens[at];
    if (token === undefined || (expected !== undefined && token !== expected)) throw new NotAFilter();
    at += 1;
    return token;
  };
  const field = (): string => {
    const name = take();
    if (!filterable.includes(name)) throw new NotAFilter();
    return name;
  };
  const value = (): string => {
    const token = take();
    if (!token.startsWith("'")) throw new NotAFilter();
    return token.slice(1, -1).replaceAll("''", "'").toLowerCase();
  };
  const textOf = (item: Fields, name: string): string => (item[name] ?? "").toLowerCase();
  const one = (): Filter => {
    if (peek() === "(") {
      take("(");
      const inner = either();
      take(")");
      return inner;
    }
    if (peek() === "startswith") {
      take();
      take("(");
      const name = field();
      take(",");
      const wanted = value();
      take(")");
      return (item) => textOf(item, name).startsWith(wanted);
    }
    const name = field();
    const operator = take();
    const wanted = value();
    if (operator === "eq") return (item) => textOf(item, name) === wanted;
    if (operator === "ne") return (item) => textOf(item, name) !== wanted;
    throw new NotAFilter();
  };
  const both = (): Filter => {
    const parts = [one()];
    while (peek() === "and") {
      take();
      parts.push(one());
    }
    return (item) => parts.every((part) => part(item));
  };
  const either = (): Filter => {
    const parts = [both()];
    while (peek() === "or") {
      take();
      parts.push(both());
    }
    return (item) => parts.some((part) => part(item));
  };
  try {
    const filter = either();
    return at === tokens.length ? filter : undefined;
  } catch (thrown) {
    if (thrown instanceof NotAFilter) return undefined;
    throw thrown;
  }
};

class NotAFilter extends Error {}

const tokensOf = (text: string): readonly string[] | undefined => {
  const tokens: string[] = [];
  const pattern = /\s*(?:('(?:[^']|'')*')|([A-Za-z][A-Za-z0-9]*)|([(),]))/y;
  let end = 0;
  while (end < text.trimEnd().length) {
    pattern.lastIndex = end;
    const match = pattern.exec(text);
    if (match === null) return undefined;
    tokens.push(match[1] ?? match[2] ?? match[3] ?? "");
    end = pattern.lastIndex;
  }
  return tokens;
};
