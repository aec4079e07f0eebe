/**
 * PostgreSQL holds neither U+0000 nor half a surrogate pair in text or jsonb, and an attacker can put both into a detection.
 * They become U+FFFD in the columns that are searched; the exact text is kept apart, where JSON spells them as escapes.
 */
export const toPostgresText = (text: string): string => text.toWellFormed().replaceAll("\0", "\ufffd");

/** JSON that PostgreSQL can read as json or jsonb. */
export const toPostgresJson = (value: unknown): string => {
  const text = JSON.stringify(value);
  // Nearly always nothing to mend; the escapes are what JSON.stringify writes for both.
  return mayNeedMending.test(text) ? JSON.stringify(mend(value)) : text;
};

const mayNeedMending = /\\u(?:0000|d[89a-f])/;

const mend = (value: unknown): unknown => {
  if (typeof value === "string") return toPostgresText(value);
  if (Array.isArray(value)) return value.map(mend);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [toPostgresText(key), mend(inner)]));
  return value;
};
