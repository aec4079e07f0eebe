import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type AdmitContext, type Admitted, admitRecord } from "./admit.ts";

/** Public recordings kept outside this repository; without them there is nothing to say here. */
const samples = new URL("../../../shared/samples/", import.meta.url);
const decoder = new TextDecoder("utf-8", { fatal: true });
const recordings = [
  { path: "suricata-eve/honeypot-2018.eve.ndjson", lines: 44, newest: "2019-01-03T00:00:00Z" },
  { path: "suricata-eve/wrccdc-2018.eve.ndjson", lines: 207, newest: "2018-03-25T01:00:00Z" },
  { path: "wazuh-alerts/ait-ldsv1-insect.alerts.ndjson", lines: 497, newest: "2020-03-04T14:30:00Z" },
] as const;

const linesOf = (path: string): string[] =>
  readFileSync(new URL(path, samples), "utf8")
    .split("\n")
    .filter((line) => line !== "");

const admitAll = (lines: readonly string[], newest: string): Admitted[] => {
  const seen = new Map<string, string>();
  const feedTimeMs = Date.parse(newest);
  const context: AdmitContext = {
    nowMs: feedTimeMs,
    wallNowMs: feedTimeMs,
    freshnessSeconds: 900,
    seen: (eventId) => seen.get(eventId),
    homeNets: [],
    crypto: {
      sha256Hex: (bytes) => createHash("sha256").update(bytes).digest("hex"),
      textOf: (bytes) => decoder.decode(bytes),
    },
  };
  return lines.map((line) => {
    const admitted = admitRecord({ bytes: Buffer.from(line), format: "auto", feedTimeMs }, context);
    if (admitted.kind === "detection") seen.set(admitted.detection.event_id, admitted.contentHash);
    return admitted;
  });
};

const count = (values: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const value of values.toSorted()) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
};

describe.skipIf(!existsSync(samples))("real recordings", () => {
  test.each(recordings)("every line of $path has a fate", ({ path, lines, newest }) => {
    const all = linesOf(path);
    const admitted = admitAll(all, newest);
    const detections = admitted.filter((one) => one.kind === "detection").map(({ detection }) => detection);
    const fates = count(admitted.map((one) => (one.kind === "dead_letter" ? one.refusal.code : one.kind)));
    const sum = Object.values(fates).reduce((total, each) => total + each, 0);
    console.log(path, {
      ...fates,
      severity: count(detections.map(({ severity }) => severity)),
      origin: count(detections.map(({ rule }) => rule.origin)),
      accused: detections.filter(({ entities }) => entities.some(({ role }) => role === "attacker")).length,
    });
    expect(all).toHaveLength(lines);
    expect(sum).toBe(lines);
    expect(fates["detection"]).toBe(lines);
  });

  test("Wazuh writes level 3 over what Suricata called high: the inner severity decides", () => {
    const lines = linesOf(recordings[2].path).filter((line) => line.includes('"id":"86601"'));
    const severities = admitAll(lines, recordings[2].newest).map((one, index) => {
      const inner = (JSON.parse(lines[index] ?? "") as { data: { alert: { severity: string } } }).data.alert.severity;
      return [inner, one.kind === "detection" ? one.detection.severity : one.kind] as const;
    });
    expect(severities.length).toBe(87);
    for (const [inner, severity] of severities) expect(severity).toBe(inner === "1" ? "high" : "medium");
  });
});
