import { canonicalJson } from "@reflex/protocol/canonical";
import type { Detection } from "@reflex/protocol/detection";
import { parseJson } from "@reflex/protocol/json";
import { detectionBytesMax, futureSkewSecondsMax, timestampMsMin } from "@reflex/protocol/limits";
import { decodeDetection } from "@reflex/protocol/protobuf";
import { type Refusal, type RefusalCode, refusal } from "@reflex/protocol/refusal";
import { err, type Result } from "@reflex/protocol/result";
import { parseTimestamp } from "@reflex/protocol/timestamp";
import { checkDetection } from "@reflex/protocol/validate";
import type { Crypto, RawRecord } from "../ports.ts";
import { defaultHomeNets, type Net, netsOf } from "./address.ts";
import type { Normalised, NormaliserSettings } from "./normalise/normaliser.ts";
import { isJsonFormat, normalisers, recogniseFormat } from "./normalise/recognise.ts";

export type Admitted =
  | { readonly kind: "detection"; readonly detection: Detection; readonly contentHash: string }
  | { readonly kind: "duplicate"; readonly eventId: string }
  | { readonly kind: "not_detection"; readonly reason: string }
  | { readonly kind: "dead_letter"; readonly refusal: Refusal };

/** What admission looks at besides the record. */
export type AdmitContext = {
  /** The agent's clock; the feed's, when a recording plays. Freshness is judged against it, or against the record's own feed time. */
  readonly nowMs: number;
  /** Wall time: what lies beyond it in the future has not happened, in any recording. */
  readonly wallNowMs: number;
  readonly freshnessSeconds: number;
  /** Content hash under which an event id was decided. */
  readonly seen: (eventId: string) => string | undefined;
  /** Networks that are ours, as CIDR; private ranges if empty. */
  readonly homeNets: readonly string[];
  readonly crypto: Pick<Crypto, "sha256Hex" | "textOf">;
};

/**
 * Whether a raw record may be decided about. Pure; cheapest question first, so that a flood costs little: size, text, JSON,
 * format, schema, time, repetition.
 */
export const admitRecord = (
  raw: Pick<RawRecord, "bytes" | "format" | "feedTimeMs">,
  context: AdmitContext,
): Admitted => {
  if (raw.bytes.length > detectionBytesMax) return refuse("too-large", `more than ${detectionBytesMax} bytes`);
  const value = readValue(raw, context.crypto);
  if (!value.ok) return { kind: "dead_letter", refusal: value.error };
  const normalised = normalise(value.value, raw.format, parsedHomeNets(context.homeNets));
  if (normalised.kind !== "detection") return normalised;
  // Normalisers bound what they read; the schema is the promise that everything behind this line relies on.
  const checked = checkDetection(normalised.detection);
  if (!checked.ok) return { kind: "dead_letter", refusal: checked.error };
  const detection = checked.value;
  const untimely = judgeTime(detection, context, raw.feedTimeMs);
  if (untimely !== undefined) return { kind: "dead_letter", refusal: untimely };
  return judgeRepetition(detection, context);
};

/**
 * Recordings are disordered inside (one sample here is sorted by signature and spans two days), so in a feed a record is
 * stale only when it is this much older than the newest one of its own file.
 */
export const feedFreshnessSeconds = 7 * 24 * 3600;

const refuse = (code: RefusalCode, detail: string): Admitted => ({
  kind: "dead_letter",
  refusal: refusal(code, detail),
});

const readValue = (
  { bytes, format }: Pick<RawRecord, "bytes" | "format">,
  { textOf }: AdmitContext["crypto"],
): Result<unknown, Refusal> => {
  if (format === "protobuf") return decodeDetection(bytes);
  const text = textOf(bytes);
  return text === undefined ? err(refusal("text-malformed", "not UTF-8")) : parseJson(text);
};

const normalise = (value: unknown, format: string, homeNets: NormaliserSettings["homeNets"]): Normalised => {
  // The binary spelling of our own words passes through the same hands as the text one: equal messages, equal hashes.
  const name = format === "auto" ? recogniseFormat(value) : format === "protobuf" ? "native" : format;
  if (name === undefined)
    return { kind: "dead_letter", refusal: refusal("format-unknown", "no format has this shape") };
  if (!isJsonFormat(name)) return { kind: "dead_letter", refusal: refusal("format-unknown", "no such format") };
  return normalisers[name](value, { homeNets });
};

const netsByTexts = new WeakMap<readonly string[], readonly Net[]>();
/** Settings do not change while the agent runs; parsing them for each record would cost as much as the record. */
const parsedHomeNets = (texts: readonly string[]): readonly Net[] => {
  if (texts.length === 0) return defaultHomeNets;
  const known = netsByTexts.get(texts);
  if (known !== undefined) return known;
  const nets = netsOf(texts);
  netsByTexts.set(texts, nets);
  return nets;
};

const judgeTime = (
  { timestamp }: Detection,
  { nowMs, wallNowMs, freshnessSeconds }: AdmitContext,
  feedTimeMs: number | undefined,
): Refusal | undefined => {
  const timeMs = parseTimestamp(timestamp);
  if (timeMs === undefined) return refusal("timestamp-malformed", "timestamp");
  if (timeMs < timestampMsMin) return refusal("timestamp-absurd", "before the year 2000");
  if (timeMs > wallNowMs + futureSkewSecondsMax * 1_000) {
    return refusal("timestamp-absurd", `more than ${futureSkewSecondsMax} s in the future`);
  }
  const windowSeconds = feedTimeMs === undefined ? freshnessSeconds : Math.max(freshnessSeconds, feedFreshnessSeconds);
  const ageSeconds = Math.floor(((feedTimeMs ?? nowMs) - timeMs) / 1_000);
  return ageSeconds > windowSeconds
    ? refusal("stale", `${ageSeconds} s old, ${windowSeconds} s are allowed`)
    : undefined;
};

/** The same id with the same content is one detection delivered again; with other content it would hide the second behind the first. */
const judgeRepetition = (detection: Detection, { seen, crypto }: AdmitContext): Admitted => {
  const contentHash = crypto.sha256Hex(canonicalJson(detection));
  const before = seen(detection.event_id);
  if (before === undefined) return { kind: "detection", detection, contentHash };
  if (before === contentHash) return { kind: "duplicate", eventId: detection.event_id };
  return refuse("event-id-reused", "other content was decided under this event_id");
};
