/**
 * One spelling for one value, for hashing: members sorted by UTF-16 code unit, no white space, numbers and escapes as
 * JSON.stringify writes them (RFC 8785), members that are undefined left out. Lone surrogates are escaped, so two different
 * strings never become the same bytes. Throws on what JSON cannot say: that is a bug of the caller, never input.
 */
export const canonicalJson = (value: unknown): string => write(value, 0);

/** Deeper than anything the gate lets in, wrapped a few times; a cycle ends here instead of at the end of the stack. */
const depthMax = 64;

const write = (value: unknown, depth: number): string => {
  switch (typeof value) {
    case "string":
      return writeString(value);
    case "number":
      if (!Number.isFinite(value)) throw new TypeError("canonical JSON cannot say NaN or infinity");
      return String(value === 0 ? 0 : value);
    case "boolean":
      return value ? "true" : "false";
    case "object":
      if (value === null) return "null";
      if (depth >= depthMax) throw new TypeError(`canonical JSON is not deeper than ${depthMax} levels`);
      return Array.isArray(value) ? writeArray(value, depth + 1) : writeObject(value, depth + 1);
    default:
      throw new TypeError(`canonical JSON cannot say ${typeof value}`);
  }
};

const writeArray = (items: readonly unknown[], depth: number): string => {
  if (items.length === 0) return "[]";
  let text = `[${write(items[0], depth)}`;
  for (let index = 1; index < items.length; index += 1) text += `,${write(items[index], depth)}`;
  return `${text}]`;
};

const writeObject = (object: object, depth: number): string => {
  // A Map, Date or class instance would come out as {} and make two different things equal.
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null)
    throw new TypeError("canonical JSON takes plain objects only");
  const members = object as Readonly<Record<string, unknown>>;
  let text = "";
  for (const key of sortedKeys(members)) {
    const member = members[key];
    if (member !== undefined) text += `${text === "" ? "{" : ","}${writeKey(key)}${write(member, depth)}`;
  }
  return text === "" ? "{}" : `${text}}`;
};

const sortedKeys = (members: Readonly<Record<string, unknown>>): string[] => {
  const keys = Object.keys(members);
  // Short and nearly sorted is the rule: inserting beats the general sort there, and compares code units as it does.
  if (keys.length > 32) return keys.sort();
  for (let from = 1; from < keys.length; from += 1) {
    const key = keys[from] as string;
    let to = from;
    for (; to > 0 && (keys[to - 1] as string) > key; to -= 1) keys[to] = keys[to - 1] as string;
    keys[to] = key;
  }
  return keys;
};

/** Keys come again and again; bounded, because enrichment and counters may bring any number of different ones. */
const writtenKeysMax = 4_096;
const writtenKeys = new Map<string, string>();
const writeKey = (key: string): string => {
  const known = writtenKeys.get(key);
  if (known !== undefined) return known;
  const written = `${JSON.stringify(key)}:`;
  if (writtenKeys.size < writtenKeysMax) writtenKeys.set(key, written);
  return written;
};

const writeString = (text: string): string => {
  // The native call costs more than a short string; most strings are short and have nothing to escape.
  if (text.length > 40) return JSON.stringify(text);
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code === 0x22 || code === 0x5c || code >= 0xd800) return JSON.stringify(text);
  }
  return `"${text}"`;
};
