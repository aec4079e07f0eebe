import { createHash } from "node:crypto";
import { detectionBytesMax } from "@reflex/protocol/limits";
import { encodeDetection } from "@reflex/protocol/protobuf";
import { parseTimestamp } from "@reflex/protocol/timestamp";
import { describe, expect, test } from "vitest";
import { type AdmitContext, type Admitted, admitRecord, feedFreshnessSeconds } from "./admit.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const crypto: AdmitContext["crypto"] = {
  sha256Hex: (bytes) => createHash("sha256").update(bytes).digest("hex"),
  textOf: (bytes) => {
    try {
      return decoder.decode(bytes);
    } catch {
      return undefined;
    }
  },
};
const nowMs = parseTimestamp("2026-03-01T09:05:00Z") ?? Number.NaN;
const context: AdmitContext = {
  nowMs,
  wallNowMs: nowMs,
  freshnessSeconds: 900,
  seen: () => undefined,
  homeNets: [],
  crypto,
};
const native = { event_id: "siem-1", timestamp: "2026-03-01T09:00:00Z", severity: "high", src_host: "203.0.113.9" };
const bytesOf = (value: unknown): Uint8Array => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
const admit = (
  value: unknown,
  extra: Partial<AdmitContext> & { format?: string; feedTimeMs?: number } = {},
): Admitted => {
  const { format = "auto", feedTimeMs, ...rest } = extra;
  const bytes = value instanceof Uint8Array ? value : bytesOf(value);
  return admitRecord({ bytes, format, ...(feedTimeMs === undefined ? {} : { feedTimeMs }) }, { ...context, ...rest });
};
const codeOf = (admitted: Admitted): string =>
  admitted.kind === "dead_letter" ? admitted.refusal.code : admitted.kind;

describe("what cannot be read is refused by name", () => {
  const text = JSON.stringify(native);
  const wrapped = (inner: string): string => text.replace("}", `,"enrichment":${inner}}`);
  test.each<readonly [name: string, value: unknown, code: string]>([
    ["a record over the limit", "x".repeat(detectionBytesMax + 1), "too-large"],
    ["a tag of a megabyte", { ...native, tags: ["t".repeat(1 << 20)] }, "too-large"],
    ["bytes that are not UTF-8", Uint8Array.from([0x7b, 0xff, 0x7d]), "text-malformed"],
    ["half a record", text.slice(0, -5), "json-malformed"],
    ["nothing", "", "json-malformed"],
    ["NaN", text.replace('"high"', "NaN"), "json-malformed"],
    ["a number beyond 2^53", wrapped('{"n":12345678901234567890}'), "json-number"],
    ["a number that is infinite", wrapped('{"n":1e999}'), "json-number"],
    ["a key named twice", text.replace("{", '{"event_id":"other",'), "json-duplicate-key"],
    ["a key named twice, spelt differently", text.replace("{", '{"event\\u005fid":"other",'), "json-duplicate-key"],
    ["a bomb of lists", "[".repeat(100_000) + "]".repeat(100_000), "json-too-deep"],
    ["a bomb of objects", '{"a":'.repeat(40_000), "json-too-deep"],
    ["a shape nobody has", { hello: 1 }, "format-unknown"],
    ["a list of records", [native], "format-unknown"],
    ["no event_id", { ...native, event_id: undefined, rule: { level: 3 } }, "format-unknown"],
    ["a time before 2000", { ...native, timestamp: "1970-01-01T00:00:00Z" }, "timestamp-absurd"],
    ["a time in the year zero", { ...native, timestamp: "0000-01-01T00:00:00Z" }, "timestamp-absurd"],
    ["a time in the year 9999", { ...native, timestamp: "9999-12-31T23:59:59Z" }, "timestamp-absurd"],
    ["a time that is none", { ...native, timestamp: "2026-02-30T00:00:00Z" }, "timestamp-malformed"],
  ])("%s: %#", (_name, value, code) => {
    expect(codeOf(admit(value))).toBe(code);
  });

  test("what is no protobuf message", () => {
    expect(codeOf(admit(native, { format: "protobuf" }))).toBe("protobuf-malformed");
  });

  test("a format that does not exist", () => {
    for (const format of ["nothing", "__proto__", "constructor", "toString"]) {
      expect(codeOf(admit(native, { format }))).toBe("format-unknown");
    }
  });

  test("a named format is not guessed away", () => {
    expect(codeOf(admit(native, { format: "wazuh" }))).toBe("schema-invalid");
  });
});

describe("time", () => {
  const at = (offsetSeconds: number) => ({
    ...native,
    timestamp: new Date(nowMs + offsetSeconds * 1_000).toISOString(),
  });

  test.each([
    [-900, "detection"],
    [-901, "stale"],
    [0, "detection"],
    [300, "detection"],
    [301, "timestamp-absurd"],
  ])("%i s from now: %s", (offsetSeconds, expected) => {
    expect(codeOf(admit(at(offsetSeconds)))).toBe(expected);
  });

  test("in a feed age is measured against the file's own newest record, over seven days", () => {
    const wallNowMs = nowMs + 5 * 365 * 86_400_000;
    const feed = { wallNowMs, nowMs: wallNowMs, feedTimeMs: nowMs };
    expect(codeOf(admit(at(-feedFreshnessSeconds), feed))).toBe("detection");
    expect(codeOf(admit(at(-feedFreshnessSeconds - 1), feed))).toBe("stale");
    // The file's clock never runs ahead of the wall: what is in the future there is absurd here too.
    expect(codeOf(admit(at(6 * 365 * 86_400), feed))).toBe("timestamp-absurd");
  });
});

describe("repetition", () => {
  const first = admit(native);
  const hash = first.kind === "detection" ? first.contentHash : "";

  test("the same content again is a duplicate, however its fields are ordered or spaced", () => {
    const reordered = JSON.stringify(Object.fromEntries(Object.entries(native).reverse()), null, 2);
    expect(codeOf(admit(reordered, { seen: (id) => (id === "siem-1" ? hash : undefined) }))).toBe("duplicate");
  });

  test("the binary spelling of a detection is the same detection", () => {
    if (first.kind !== "detection") throw new Error(first.kind);
    const encoded = encodeDetection(first.detection);
    if (!encoded.ok) throw new Error(encoded.error.code);
    expect(admit(encoded.value, { format: "protobuf" })).toEqual(first);
    expect(admit(first.detection)).toEqual(first);
    expect(codeOf(admit(encoded.value, { format: "protobuf", seen: () => hash }))).toBe("duplicate");
  });

  test("other content under the same id is refused", () => {
    const other = admit({ ...native, src_host: "203.0.113.10" }, { seen: () => hash });
    expect(codeOf(other)).toBe("event-id-reused");
  });

  test("a refusal never quotes the record", () => {
    const secret = "hunter2-secret";
    for (const value of [
      { ...native, confidence: secret },
      { ...native, entities: [{ type: secret }] },
      `{"${secret}`,
    ]) {
      const admitted = admit(value);
      expect(admitted.kind).toBe("dead_letter");
      expect(JSON.stringify(admitted)).not.toContain(secret);
    }
  });
});

test("home networks decide who is accused", () => {
  const eve = {
    timestamp: "2026-03-01T09:00:00Z",
    event_type: "alert",
    src_ip: "198.51.100.7",
    dest_ip: "203.0.113.9",
    alert: { signature_id: 1, signature: "ET DROP Example group 1", severity: 2 },
  };
  const attacker = (homeNets: readonly string[]): string | undefined => {
    const admitted = admit(eve, { homeNets });
    return admitted.kind === "detection"
      ? admitted.detection.entities.find(({ role }) => role === "attacker")?.value
      : admitted.kind;
  };
  expect(attacker([])).toBeUndefined();
  expect(attacker(["203.0.113.0/24"])).toBe("198.51.100.7");
  expect(attacker(["198.51.100.0/24"])).toBe("203.0.113.9");
});
