/** Durations (`90s`, `30m`, `24h`, `7d`) and percents (`5%`) as people write them. */
const secondsByUnit = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
type Unit = keyof typeof secondsByUnit;

export const durationPattern = "^[0-9]{1,7} ?[smhd]$";
export const percentPattern = "^[0-9]{1,3}(\\.[0-9]{1,3})? ?%$";

const duration = /^([0-9]{1,7}) ?([smhd])$/;
const percent = new RegExp(percentPattern);

/** Seconds; undefined if it is not a whole number with one unit. */
export const parseDurationSeconds = (text: string): number | undefined => {
  const [, count, unit] = duration.exec(text) ?? [];
  return count === undefined || unit === undefined ? undefined : Number(count) * secondsByUnit[unit as Unit];
};

/** The largest unit that is exact, but hours up to two days, as people say them. */
export const durationText = (seconds: number): string => {
  if (seconds % 86_400 === 0 && seconds > 2 * 86_400) return `${seconds / 86_400}d`;
  if (seconds % 3_600 === 0) return `${seconds / 3_600}h`;
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
};

/** In words for a sentence: `1 minute`, `24 hours`. */
export const durationWords = (seconds: number): string => {
  const text = durationText(seconds);
  const count = text.slice(0, -1);
  const word = { s: "second", m: "minute", h: "hour", d: "day" }[text.slice(-1) as Unit];
  return `${count} ${word}${count === "1" ? "" : "s"}`;
};

export const parsePercent = (text: string): number | undefined => {
  if (!percent.test(text)) return undefined;
  const value = Number(text.replace(/ ?%$/, ""));
  return value <= 100 ? value : undefined;
};
