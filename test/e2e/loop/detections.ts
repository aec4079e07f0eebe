// Detections and whole feeds for the loop tests, written by hand.

export const detection = (eventId: string, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => ({
  event_id: eventId,
  timestamp: new Date().toISOString(),
  confidence: 0.97,
  severity: "critical",
  src_host: "ws-017",
  dst_host: "198.51.100.201",
  tags: ["c2", "attack.ta0011"],
  rule: { id: "ti-4411", name: "Beacon to a command-and-control address", origin: "known_ioc" },
  entities: [
    { type: "host", value: "ws-017", role: "victim" },
    { type: "address", value: "198.51.100.201", role: "attacker" },
  ],
  source: { kind: "native", domain: "network", sensor: "ndr-core" },
  ...more,
});

/** A detection that the starter policies act on; each address is one target of its own. */
export const acting = (eventId: string, address: string): Record<string, unknown> =>
  detection(eventId, {
    dst_host: address,
    entities: [
      { type: "host", value: "ws-017", role: "victim" },
      { type: "address", value: address, role: "attacker" },
    ],
  });

/** Fixed in time, so that the same text is the same detection in every run. */
export const recorded = (eventId: string, atSecond = 0, more: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify(
    detection(eventId, { timestamp: new Date(Date.UTC(2026, 0, 10) + atSecond * 1_000).toISOString(), ...more }),
  );

/** Nothing in it is acted on: a call under way when everything is killed is verified for a while after the next start. */
export const recording = (count: number, prefix: string): string =>
  Array.from({ length: count }, (_, index) =>
    recorded(`${prefix}-${index}`, index, {
      tags: [],
      rule: { id: "odd-1", name: "Nobody has seen this before", origin: "anomaly" },
      entities: [{ type: "address", value: `198.51.${100 + (index % 50)}.${1 + (index % 250)}`, role: "attacker" }],
      dst_host: `198.51.${100 + (index % 50)}.${1 + (index % 250)}`,
    }),
  ).join("\n");

export type HostileLine = { readonly text: string; readonly code: string };

/** One line each, and the code its dead letter must carry. */
export const hostileLines: readonly HostileLine[] = [
  { text: '{"event_id":"cut', code: "json-malformed" },
  { text: "\u0000\u0001\u0002", code: "json-malformed" },
  { text: '{"a":1} {"b":2}', code: "json-malformed" },
  { text: `${"[".repeat(20_000)}${"]".repeat(20_000)}`, code: "json-too-deep" },
  { text: `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`, code: "json-too-deep" },
  { text: '{"event_id":"one","event_id":"two"}', code: "json-duplicate-key" },
  { text: '{"event_id":"nan","confidence":NaN}', code: "json-malformed" },
  { text: recorded("huge-number").replace("0.97", "1e999"), code: "json-number" },
  { text: '{"__proto__":{"polluted":true}}', code: "json-key" },
  { text: '"only a text"', code: "format-unknown" },
  { text: recorded("year-one", 0, { timestamp: "0001-01-01T00:00:00Z" }), code: "timestamp-absurd" },
  { text: recorded("year-9999", 0, { timestamp: "9999-12-31T23:59:59Z" }), code: "timestamp-absurd" },
  { text: recorded("yesterday", 0, { timestamp: "yesterday" }), code: "timestamp-malformed" },
  { text: recorded("megabyte-tag", 0, { tags: ["x".repeat(1 << 20)] }), code: "too-large" },
  { text: recorded("long-line", 0, { enrichment: { a: "y".repeat(300 * 1024) } }), code: "too-large" },
];
