import { tagLengthMax, tagsMax } from "@reflex/protocol/limits";
import { parseTimestamp } from "@reflex/protocol/timestamp";

/** Readers of hostile values: each takes anything and gives something short and clean, or undefined. */
export type Fields = Readonly<Record<string, unknown>>;

export const fieldsOf = (value: unknown): Fields | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;

/** The object below a key; an empty one if there is none, so that reading goes on to `undefined`. */
export const below = (fields: Fields | undefined, key: string): Fields =>
  (fields !== undefined && Object.hasOwn(fields, key) ? fieldsOf(fields[key]) : undefined) ?? {};

/**
 * One line of readable text: control and invisible format characters dropped (they forge log lines and hide in names),
 * trimmed, cut. Numbers are written out, because vendors quote ids or not as they like.
 */
export const readText = (value: unknown, lengthMax: number): string | undefined => {
  if (typeof value === "number") return Number.isFinite(value) ? String(value).slice(0, lengthMax) : undefined;
  if (typeof value !== "string") return undefined;
  const cleaned = isPlain.test(value) ? value : value.replace(unreadable, "").toWellFormed();
  const cut = cutText(cleaned.trim(), lengthMax).trim();
  return cut === "" ? undefined : cut;
};

/** An id is taken whole or not at all: cutting or cleaning one could make it equal to another. */
export const readId = (value: unknown, lengthMax: number): string | undefined => {
  const text = readText(value, lengthMax);
  return text !== undefined && text === String(value) ? text : undefined;
};

/** A number, or a string that is one (Wazuh quotes the numbers of what it wraps). */
export const readNumber = (value: unknown): number | undefined => {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  return typeof value === "string" && /^-?\d{1,16}(?:\.\d{1,16})?$/.test(value) ? Number(value) : undefined;
};

/** One text or several. */
export const readTexts = (value: unknown, lengthMax: number): readonly string[] => {
  const values = Array.isArray(value) ? value.slice(0, listLengthMax) : [value];
  return values.map((one) => readText(one, lengthMax)).filter((text) => text !== undefined);
};

/** Lower case, no repeats, bounded; a list that was cut says so in its last tag. */
export const tagsOf = (texts: readonly (string | undefined)[]): string[] => {
  const tags = new Set<string>();
  for (const text of texts) {
    const tag = readText(text?.toLowerCase(), tagLengthMax);
    if (tag === undefined || tags.has(tag)) continue;
    if (tags.size === tagsMax - 1) return [...tags, "tags:cut"];
    tags.add(tag);
  }
  return [...tags];
};

/** Event time in ms. Some sensors write no offset; those are read as UTC, and say so in a tag. */
export const readTime = (value: unknown): { readonly timeMs: number; readonly tag?: string } | undefined => {
  if (typeof value !== "string" || value.length > timestampLengthMax) return undefined;
  const withoutOffset = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?$/.test(value);
  const timeMs = parseTimestamp(withoutOffset ? `${value.replace(" ", "T")}Z` : value);
  if (timeMs === undefined) return undefined;
  return withoutOffset ? { timeMs, tag: "timestamp:assumed-utc" } : { timeMs };
};

/** 2026-01-31T12:00:00.123456789+00:00 has 35 characters. */
const timestampLengthMax = 40;
/** More entries than any list of a finding; what follows is not looked at. */
const listLengthMax = 128;
const unreadable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
/** Printable ASCII: nearly every field, and then there is nothing to clean. */
const isPlain = /^[ -~]*$/;

/** Never ends in half a surrogate pair. */
const cutText = (text: string, lengthMax: number): string =>
  text.length <= lengthMax ? text : text.slice(0, lengthMax).replace(/[\ud800-\udbff]$/, "");
