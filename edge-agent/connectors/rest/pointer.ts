/** A JSON pointer (RFC 6901) in which `*` stands for every entry of a list. */
export type Pointer = { readonly text: string; readonly tokens: readonly string[]; readonly isMany: boolean };

const pointerLengthMax = 512;

export const parsePointer = (text: string): Pointer | undefined => {
  if (text.length > pointerLengthMax || (text !== "" && !text.startsWith("/")) || /~(?![01])/.test(text))
    return undefined;
  const tokens = text
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
  return { text, tokens, isMany: tokens.includes("*") };
};

/** Everything the pointer names: none or one, or any number where it has a `*`. */
export const valuesAt = (root: unknown, { tokens }: Pointer): unknown[] => {
  let found: unknown[] = [root];
  for (const token of tokens) found = found.flatMap((value) => stepInto(value, token));
  return found;
};

const stepInto = (value: unknown, token: string): unknown[] => {
  if (Array.isArray(value)) {
    if (token === "*") return value;
    return /^(?:0|[1-9]\d{0,8})$/.test(token) && Number(token) < value.length ? [value[Number(token)]] : [];
  }
  // In XML a list of one looks like its entry.
  if (token === "*") return value === null || value === "" || value === undefined ? [] : [value];
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, token)) return [];
  return [(value as Record<string, unknown>)[token]];
};
