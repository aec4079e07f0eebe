/** UTF-8 in pure code (RFC 3629): no TextEncoder here, and both ways strict where that one would put U+FFFD. */

const surrogateHighMin = 0xd800;
const surrogateLowMin = 0xdc00;
const surrogateMax = 0xdfff;

/** Bytes the text takes; undefined if half a surrogate pair stands alone, which UTF-8 cannot say. */
export const utf8Length = (text: string): number | undefined => {
  let length = text.length;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x80) continue;
    if (code < 0x800) {
      length += 1;
    } else if (code < surrogateHighMin || code > surrogateMax) {
      length += 2;
    } else {
      const low = text.charCodeAt(at + 1);
      if (code >= surrogateLowMin || !(low >= surrogateLowMin && low <= surrogateMax)) return undefined;
      length += 2; // a pair is two units and four bytes
      at += 1;
    }
  }
  return length;
};

/** Writes text that utf8Length measured; returns where it ends. */
export const writeUtf8 = (text: string, bytes: Uint8Array, from: number): number => {
  let to = from;
  for (let at = 0; at < text.length; at += 1) {
    let code = text.charCodeAt(at);
    if (code < 0x80) {
      bytes[to++] = code;
      continue;
    }
    if (code < 0x800) {
      bytes[to++] = 0xc0 | (code >> 6);
    } else {
      if (code >= surrogateHighMin && code <= surrogateMax) {
        at += 1;
        code = 0x10000 + ((code - surrogateHighMin) << 10) + (text.charCodeAt(at) - surrogateLowMin);
        bytes[to++] = 0xf0 | (code >> 18);
        bytes[to++] = 0x80 | ((code >> 12) & 0x3f);
      } else {
        bytes[to++] = 0xe0 | (code >> 12);
      }
      bytes[to++] = 0x80 | ((code >> 6) & 0x3f);
    }
    bytes[to++] = 0x80 | (code & 0x3f);
  }
  return to;
};

export const encodeUtf8 = (text: string): Uint8Array | undefined => {
  const length = utf8Length(text);
  if (length === undefined) return undefined;
  const bytes = new Uint8Array(length);
  writeUtf8(text, bytes, 0);
  return bytes;
};

/** Arguments of one call; the stack holds many times as many. */
const unitsAtOnceMax = 4_096;

/** Undefined for anything but the shortest spelling of real characters: overlong, surrogate, past U+10FFFF or cut off. */
export const decodeUtf8 = (bytes: Uint8Array, from = 0, to = bytes.length): string | undefined => {
  let text = "";
  let at = from;
  // Most texts are short and plain ASCII; those need no list of units.
  if (to - from <= 64)
    while (at < to && (bytes[at] as number) < 0x80) text += String.fromCharCode(bytes[at++] as number);
  if (at === to) return text;
  let units: number[] = [];
  while (at < to) {
    const lead = bytes[at++] as number;
    if (lead < 0x80) {
      units.push(lead);
    } else {
      const following = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
      // 0x80-0xc1 begin nothing, past 0xf4 nothing begins.
      if (lead < 0xc2 || lead > 0xf4 || at + following > to) return undefined;
      let code = lead & (0x3f >> following);
      for (let count = 0; count < following; count += 1) {
        const next = bytes[at++] as number;
        if ((next & 0xc0) !== 0x80) return undefined;
        code = (code << 6) | (next & 0x3f);
      }
      if (following === 2 && (code < 0x800 || (code >= surrogateHighMin && code <= surrogateMax))) return undefined;
      if (following === 3 && (code < 0x10000 || code > 0x10ffff)) return undefined;
      if (following === 3) {
        units.push(surrogateHighMin + ((code - 0x10000) >> 10), surrogateLowMin + ((code - 0x10000) & 0x3ff));
      } else {
        units.push(code);
      }
    }
    if (units.length >= unitsAtOnceMax) {
      text += String.fromCharCode(...units);
      units = [];
    }
  }
  return text + String.fromCharCode(...units);
};
