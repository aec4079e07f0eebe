/**
 * Event times as SIEMs write them, to milliseconds since 1970 in UTC, and back in one spelling. Date.parse reads neither
 * `+0000` (Suricata, Wazuh) reliably nor refuses 30 February, so the text is read digit by digit.
 */

/**
 * RFC 3339 with these freedoms: a space or `t` for `T`, an offset without colon (`-0600`), any number of fraction digits
 * after `.` or `,` (cut to milliseconds, not rounded: a time never moves into the future). Undefined for anything else: no offset,
 * no such day, an hour past 23. A leap second `:60` is taken as the last millisecond of `:59` of the same minute,
 * and only at 23:59 UTC, where there can be one.
 */
export const parseTimestamp = (text: string): number | undefined => {
  const length = text.length;
  // `2026-01-31T12:00:00Z` to nanoseconds with offset; longer fractions are noise.
  if (length < 20 || length > 40) return undefined;
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2);
  const month = twoDigits(text, 5);
  const day = twoDigits(text, 8);
  const hour = twoDigits(text, 11);
  const minute = twoDigits(text, 14);
  const second = twoDigits(text, 17);
  // One sum is NaN when any part is; every comparison below is false for NaN, so each is asked the way that NaN fails.
  if (!(year + month + day + hour + minute + second >= 0)) return undefined;
  if (!hasSeparators(text)) return undefined;
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  if (hour > 23 || minute > 59 || second > 60) return undefined;

  let at = 19;
  let millisecond = 0;
  const point = text.charCodeAt(at);
  if (point === 0x2e || point === 0x2c) {
    let weight = 100;
    const from = at + 1;
    for (at = from; at < length && isDigit(text.charCodeAt(at)); at += 1) {
      millisecond += (text.charCodeAt(at) - zero) * weight;
      // The fourth digit and those after it weigh nothing.
      weight = weight === 1 ? 0 : weight / 10;
    }
    if (at === from) return undefined;
  }
  const offsetMinutes = readOffset(text, at);
  if (offsetMinutes === undefined) return undefined;
  const leap = second === 60;
  const ms = utcMs(year, month, day, hour, minute - offsetMinutes, leap ? 59 : second, leap ? 999 : millisecond);
  if (leap && !endsDay(ms)) return undefined;
  return ms >= earliestMs && ms <= latestMs ? ms : undefined;
};

/** `YYYY-MM-DDTHH:MM:SS.mmmZ`, the one spelling on the wire. Years 0000 to 9999; anything else is a bug of the caller. */
export const timestampOf = (ms: number): string => {
  if (!(ms >= earliestMs && ms <= latestMs)) throw new RangeError("a timestamp has a year of four digits");
  const whole = Math.floor(ms);
  const day = Math.floor(whole / dayMs);
  const ofDay = whole - day * dayMs;
  const seconds = Math.floor(ofDay / 1_000);
  const minutes = Math.floor(seconds / 60);
  const millisecond = String(ofDay % 1_000).padStart(3, "0");
  return `${dateText(day)}${pair[Math.floor(minutes / 60)]}:${pair[minutes % 60]}:${pair[seconds % 60]}.${millisecond}Z`;
};

/** A real time in exactly the spelling of timestampOf: what the pattern of UtcTimestamp cannot say. */
export const isUtcTimestamp = (text: string): boolean =>
  text.length === 24 &&
  text.charCodeAt(23) === 0x5a &&
  text.charCodeAt(10) === 0x54 &&
  text.charCodeAt(19) === 0x2e &&
  !isLeap(text) &&
  parseTimestamp(text) !== undefined;

const pair: readonly string[] = Array.from({ length: 60 }, (_, value) => String(value).padStart(2, "0"));

// Nearly every time written is of the same day as the one before; the native conversion costs ten times the rest.
let writtenDay = Number.NaN;
let writtenDate = "";
const dateText = (day: number): string => {
  if (day !== writtenDay) {
    writtenDate = new Date(day * dayMs).toISOString().slice(0, 11);
    writtenDay = day;
  }
  return writtenDate;
};

const zero = 0x30;
const dayMs = 86_400_000;
const earliestMs = -62_167_219_200_000; // 0000-01-01
const latestMs = 253_402_300_799_999; // 9999-12-31

const isDigit = (code: number): boolean => code >= zero && code <= zero + 9;

/** NaN unless both characters are digits. */
const twoDigits = (text: string, at: number): number => {
  const tens = text.charCodeAt(at);
  const ones = text.charCodeAt(at + 1);
  return isDigit(tens) && isDigit(ones) ? (tens - zero) * 10 + (ones - zero) : Number.NaN;
};

const hasSeparators = (text: string): boolean => {
  const between = text.charCodeAt(10);
  return (
    (between === 0x54 || between === 0x20 || between === 0x74) &&
    text.charCodeAt(4) === 0x2d &&
    text.charCodeAt(7) === 0x2d &&
    text.charCodeAt(13) === 0x3a &&
    text.charCodeAt(16) === 0x3a
  );
};

/** Minutes east of UTC from `Z`, `+hh:mm`, `+hhmm` or `+hh` at the end of the text. RFC 3339 §4.3: `-00:00` is UTC. */
const readOffset = (text: string, at: number): number | undefined => {
  const sign = text.charCodeAt(at);
  const left = text.length - at;
  if (sign === 0x5a || sign === 0x7a) return left === 1 ? 0 : undefined;
  if (sign !== 0x2b && sign !== 0x2d) return undefined;
  const colon = text.charCodeAt(at + 3) === 0x3a;
  if (left !== 3 && left !== (colon ? 6 : 5)) return undefined;
  const hours = twoDigits(text, at + 1);
  const minutes = left === 3 ? 0 : twoDigits(text, at + (colon ? 4 : 3));
  if (!(hours <= 23 && minutes <= 59)) return undefined;
  return sign === 0x2d ? -(hours * 60 + minutes) : hours * 60 + minutes;
};

const isLeapYear = (year: number): boolean => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
const daysInMonth = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;
const daysIn = (year: number, month: number): number =>
  month === 2 && isLeapYear(year) ? 29 : (daysInMonth[month - 1] ?? 0);

/** Days from civil (howardhinnant.github.io/date_algorithms.html): Date.UTC takes the years 0 to 99 for 1900 to 1999. */
const utcMs = (
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
  ms: number,
): number => {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  const days = era * 146_097 + dayOfEra - 719_468;
  return days * dayMs + hour * 3_600_000 + minute * 60_000 + second * 1_000 + ms;
};

const isLeap = (text: string): boolean => text.charCodeAt(17) === 0x36;
const endsDay = (ms: number): boolean => (ms + 1) % dayMs === 0;
