/** Four 32-bit words, most significant first. An IPv4 address is in the last one. */
export type Words = readonly [number, number, number, number];

/** One address (`last === first`) or one network. The families never overlap. */
export type AddressRange = { readonly family: 4 | 6; readonly first: Words; readonly last: Words };

export const isPoint = (range: AddressRange): boolean => range.first === range.last;

export const compareWords = (a: Words, b: Words): number =>
  a[0] !== b[0] ? a[0] - b[0] : a[1] !== b[1] ? a[1] - b[1] : a[2] !== b[2] ? a[2] - b[2] : a[3] - b[3];

export const contains = (outer: AddressRange, inner: AddressRange): boolean =>
  outer.family === inner.family &&
  compareWords(outer.first, inner.first) <= 0 &&
  compareWords(inner.last, outer.last) <= 0;

export const overlaps = (a: AddressRange, b: AddressRange): boolean =>
  a.family === b.family && compareWords(a.first, b.last) <= 0 && compareWords(b.first, a.last) <= 0;

/**
 * `203.0.113.9` or `2001:db8::1`; undefined for anything else. Strict: leading zeros, zones and spaces are not addresses,
 * because two readers would disagree about them. `::ffff:10.0.0.1` is the IPv4 address it stands for, or a guard on
 * 10.0.0.0/8 could be walked around by spelling.
 */
export const parseAddress = (text: string): AddressRange | undefined => {
  const v4 = parseV4(text, 0);
  if (v4 >= 0) return point(4, [0, 0, 0, v4]);
  const words = text.includes(":") ? parseV6(text) : undefined;
  if (words === undefined) return undefined;
  return isMapped(words) ? point(4, [0, 0, 0, words[3]]) : point(6, words);
};

/** `10.0.0.0/8`, `2001:db8::/32` or one address. Host bits are cleared: the network that the text lies in. */
export const parseNetwork = (text: string): AddressRange | undefined => {
  const slash = text.indexOf("/");
  if (slash < 0) return parseAddress(text);
  const prefixText = text.slice(slash + 1);
  if (!/^(?:0|[1-9]\d{0,2})$/.test(prefixText)) return undefined;
  const addressText = text.slice(0, slash);
  const base = parseAddress(addressText);
  if (base === undefined) return undefined;
  const mapped = base.family === 4 && addressText.includes(":");
  const prefix = Number(prefixText) - (mapped ? 96 : 0);
  if (prefix < 0 || prefix > (base.family === 4 ? 32 : 128)) return undefined;
  return networkOf(base, prefix);
};

/** The network of `prefix` bits around an address. */
export const networkOf = (base: AddressRange, prefix: number): AddressRange => {
  const bits = base.family === 4 ? prefix + 96 : prefix;
  if (bits === 128) return point(base.family, base.first);
  const first: [number, number, number, number] = [0, 0, 0, 0];
  const last: [number, number, number, number] = [0, 0, 0, 0];
  for (const index of [0, 1, 2, 3] as const) {
    const kept = Math.min(32, Math.max(0, bits - 32 * index));
    const mask = kept === 0 ? 0 : (0xffffffff << (32 - kept)) >>> 0;
    first[index] = (base.first[index] & mask) >>> 0;
    // An IPv4 network has nothing above its one word.
    last[index] = base.family === 4 && index < 3 ? 0 : (base.first[index] | ~mask) >>> 0;
  }
  return { family: base.family, first, last };
};

/** One key per address, whatever its spelling: a number for IPv4, text for IPv6, so the families cannot meet. */
export type AddressKey = number | string;
export const addressKey = (address: AddressRange): AddressKey =>
  address.family === 4 ? address.first[3] : address.first.join(".");

const point = (family: 4 | 6, words: Words): AddressRange => ({ family, first: words, last: words });

const isMapped = (words: Words): boolean => words[0] === 0 && words[1] === 0 && words[2] === 0xffff;

/** The 32-bit value, or -1. */
const parseV4 = (text: string, from: number): number => {
  let value = 0;
  let part = -1;
  let parts = 0;
  let digits = 0;
  for (let index = from; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === 46) {
      if (part < 0 || parts === 3) return -1;
      value = value * 256 + part;
      parts += 1;
      part = -1;
      digits = 0;
    } else if (code >= 48 && code <= 57) {
      if (digits === 3 || (digits > 0 && part === 0)) return -1;
      part = part < 0 ? code - 48 : part * 10 + (code - 48);
      digits += 1;
      if (part > 255) return -1;
    } else return -1;
  }
  return parts === 3 && part >= 0 ? value * 256 + part : -1;
};

const groupPattern = /^[0-9a-fA-F]{1,4}$/;

const parseV6 = (text: string): Words | undefined => {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const word = (index: number): number => (groups[index] ?? 0) * 65_536 + (groups[index + 1] ?? 0);
  return [word(0), word(2), word(4), word(6)];
};

/** 16-bit groups of one half; the very last may be dotted IPv4. */
const groupsOf = (half: string, endsHere: boolean): number[] | undefined => {
  if (half === "") return [];
  const texts = half.split(":");
  const groups: number[] = [];
  for (const [index, text] of texts.entries()) {
    if (endsHere && index === texts.length - 1 && text.includes(".")) {
      const v4 = parseV4(text, 0);
      if (v4 < 0) return undefined;
      groups.push(v4 >>> 16, v4 & 0xffff);
    } else if (groupPattern.test(text)) groups.push(Number.parseInt(text, 16));
    else return undefined;
  }
  return groups;
};
