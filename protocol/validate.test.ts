import fc from "fast-check";
import type { TSchema } from "typebox";
import { describe, expect, test } from "vitest";
import { arbitraryOf } from "../test/model/arbitraries.ts";
import { Bundle } from "./bundle.ts";
import { Command } from "./command.ts";
import { Detection } from "./detection.ts";
import { Envelope } from "./envelope.ts";
import { Feedback } from "./feedback.ts";
import type { JsonSchema } from "./json-schema.ts";
import { KillState } from "./kill.ts";
import { Order } from "./order.ts";
import { Acknowledgement, Batch } from "./report.ts";
import { schemaFault } from "./schema-fault.ts";
import { Head, Heartbeat, SyncRequest, SyncResponse } from "./sync.ts";
import { Token } from "./token.ts";
import { Trust } from "./trust.ts";
import {
  type Check,
  checkAcknowledgement,
  checkBatch,
  checkBundle,
  checkCommand,
  checkDetection,
  checkEnvelope,
  checkFeedback,
  checkHead,
  checkHeartbeat,
  checkKillState,
  checkOf,
  checkOrder,
  checkSyncRequest,
  checkSyncResponse,
  checkToken,
  checkTrust,
  checkWeights,
} from "./validate.ts";
import { emptyWeights, Weights } from "./weights.ts";

const schemas: readonly (readonly [name: string, schema: TSchema, check: Check<unknown>])[] = [
  ["detection", Detection, checkDetection],
  ["command", Command, checkCommand],
  ["feedback", Feedback, checkFeedback],
  ["bundle", Bundle, checkBundle],
  ["weights", Weights, checkWeights],
  ["kill", KillState, checkKillState],
  ["trust", Trust, checkTrust],
  ["head", Head, checkHead],
  ["envelope", Envelope, checkEnvelope],
  ["sync request", SyncRequest, checkSyncRequest],
  ["sync response", SyncResponse, checkSyncResponse],
  ["heartbeat", Heartbeat, checkHeartbeat],
  ["batch", Batch, checkBatch],
  ["acknowledgement", Acknowledgement, checkAcknowledgement],
  ["token", Token, checkToken],
  ["order", Order, checkOrder],
];

/** Every place in a value, as a path. */
const pathsOf = (value: unknown): (readonly string[])[] =>
  typeof value !== "object" || value === null
    ? [[]]
    : [[], ...Object.entries(value).flatMap(([key, member]) => pathsOf(member).map((path) => [key, ...path]))];

/** The value with what is at the path replaced; `undefined` takes it out. */
const withChanged = (value: unknown, path: readonly string[], put: unknown): unknown => {
  const [key, ...rest] = path;
  if (key === undefined) return put;
  if (Array.isArray(value))
    return value.map((item, index) => (String(index) === key ? withChanged(item, rest, put ?? null) : item));
  const entries = Object.entries(value as object).map(
    ([name, member]) => [name, name === key ? withChanged(member, rest, put) : member] as const,
  );
  return Object.fromEntries(entries.filter(([, member]) => member !== undefined));
};

const strange = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    "",
    "x",
    -1,
    0,
    0.5,
    2,
    1e300,
    true,
    [],
    {},
    "2026-02-30T00:00:00.000Z",
    "a".repeat(2_000),
  ),
  fc.string({ unit: "binary" }),
  fc.jsonValue({ maxDepth: 2 }),
);
const changed = (schema: TSchema): fc.Arbitrary<unknown> =>
  fc.tuple(arbitraryOf(schema), fc.nat(), strange, fc.boolean()).map(([value, pick, put, extra]) => {
    const paths = pathsOf(value);
    const path = paths[pick % paths.length] as readonly string[];
    return withChanged(value, extra ? [...path.slice(0, -1), "never_heard_of"] : path, put);
  });

describe.each(schemas)("%s", (_, schema, check) => {
  const numRuns = 60;

  test("every message of the schema passes, or is refused for a reason beyond its shape", () => {
    const isShaped = checkOf(schema);
    fc.assert(
      fc.property(arbitraryOf(schema), (value) => {
        expect(isShaped(value)).toEqual({ ok: true, value });
        expect(schemaFault(schema as JsonSchema, value)).toBeUndefined();
        const checked = check(value);
        if (checked.ok) expect(checked.value).toBe(value);
        else expect(checked.error.code).toBe("schema-invalid");
      }),
      { numRuns },
    );
  });

  test("the compiled validator and the one that finds words agree on any change", () => {
    const isShaped = checkOf(schema);
    fc.assert(
      fc.property(changed(schema), (value) => {
        expect(schemaFault(schema as JsonSchema, value) === undefined).toBe(isShaped(value).ok);
      }),
      { numRuns: 4 * numRuns },
    );
  });

  test("anything at all is a refusal with few words, never a throw", () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), changed(schema)), (value) => {
        const checked = check(value);
        if (!checked.ok) expect(checked.error.detail.length).toBeLessThanOrEqual(512);
      }),
      { numRuns: 4 * numRuns },
    );
  });
});

const detection: Detection = {
  event_id: "e-1",
  timestamp: "2026-01-31T12:00:00.000Z",
  confidence: 0.9,
  confidence_origin: "vendor",
  severity: "high",
  tags: [],
  entities: [{ type: "address", value: "203.0.113.9" }],
  rule: { id: "5712", name: "", origin: "signature" },
  source: { kind: "wazuh", domain: "host" },
  enrichment: {},
};

describe("a refusal names the place and the fault, and repeats nothing that was sent", () => {
  test.each<readonly [string, unknown]>([
    ["/: must be an object", "top-secret"],
    ["/event_id: is missing", {}],
    ["/event_id: is empty", { ...detection, event_id: "" }],
    ["/confidence: is above 1", { ...detection, confidence: 93 }],
    ["/confidence: must be a number", { ...detection, confidence: Number.NaN }],
    ["/severity: must be one of low, medium, high, critical", { ...detection, severity: "top-secret" }],
    ["/entities/0/value: must be a string", { ...detection, entities: [{ type: "address", value: 7 }] }],
    ["/tags: has 65 items, at most 64 are allowed", { ...detection, tags: Array(65).fill("top-secret") }],
    [
      "/rule/name: has 1025 characters, at most 1024 are allowed",
      { ...detection, rule: { ...detection.rule, name: "n".repeat(1_025) } },
    ],
    ["/colour: is not a field of this message", { ...detection, colour: "top-secret" }],
    ["/…: is not a field of this message", { ...detection, "top-secret\n<script>": 1 }],
    ["/enrichment/…: is not a field of this message", { ...detection, enrichment: { "TOP-SECRET KEY": { any: [] } } }],
    ["/enrichment/a: must be one of: string, number, boolean", { ...detection, enrichment: { a: { top: "secret" } } }],
  ])("%s", (detail, value) => {
    const checked = checkDetection(value);
    expect(checked).toEqual({ ok: false, error: { code: "schema-invalid", detail } });
  });

  test("30 February is no time", () => {
    expect(checkDetection({ ...detection, timestamp: "2026-02-30T12:00:00.000Z" }).ok).toBe(false);
    expect(checkDetection({ ...detection, timestamp: "2024-02-29T12:00:00.000Z" }).ok).toBe(true);
  });

  test("of a union, the fault is told of the kind that was meant", () => {
    const at = "2026-01-31T12:00:00.000Z";
    const batch = { v: 1, org: "acme", site: "hq", agent: "a-1", boot_id: "boot-0001", first: 1, last: 1 };
    const refusedOf = (record: unknown): string => {
      const checked = checkBatch({ ...batch, records: [record] });
      return checked.ok ? "" : checked.error.detail;
    };
    expect(refusedOf({ sequence: 1, kind: "gap", body: { at, first: 0, last: 3, code: "spool-full" } })).toBe(
      "/records/0/body/first: is below 1",
    );
    expect(refusedOf({ sequence: 1, kind: "secret", body: {} })).toMatch(
      /^\/records\/0\/kind: must be one of token, command, /,
    );
  });
});

describe("what a schema cannot say", () => {
  const detailOf = (checked: ReturnType<Check<unknown>>): string | undefined =>
    checked.ok ? undefined : checked.error.detail;
  const at = "2026-01-31T12:00:00.000Z";

  test("weights before any feedback are legal", () => {
    expect(checkWeights(emptyWeights("acme")).ok).toBe(true);
  });

  test("a kill for every site is for every agent", () => {
    const kill = { v: 1, kind: "kill", state: "engaged", epoch: 1, reason: "drill", by: "k1", issued_at: at };
    expect(detailOf(checkKillState({ ...kill, aud: { org: "acme", site: "*", agent: "*" } }))).toBeUndefined();
    expect(detailOf(checkKillState({ ...kill, aud: { org: "acme", site: "*", agent: "a-1" } }))).toMatch(
      /^\/aud\/agent/,
    );
  });

  test("an order ends after it begins, and soon", () => {
    const order = {
      v: 1,
      kind: "order",
      aud: { org: "acme", site: "hq", agent: "a-1" },
      order_id: "019c1000-0000-7000-8000-000000000001",
      issued_at: "2026-01-31T12:00:00.000Z",
      do: { kind: "reconcile", connector: "edl" },
      by: "operator",
      reason: "drill",
    };
    const until = (expires_at: string) => detailOf(checkOrder({ ...order, expires_at }));
    expect(until("2026-01-31T12:10:00.000Z")).toBeUndefined();
    for (const wrong of ["2026-01-31T12:00:00.000Z", "2026-01-31T11:59:59.999Z", "2026-01-31T12:10:00.001Z"])
      expect(until(wrong)).toMatch(/^\/expires_at/);
  });

  test("a role can be filled by the keys it has, each counted once", () => {
    const key = (name: string) => ({ keyid: name, public: `${name.padEnd(43, "A")}=` });
    const role = (threshold: number, ...names: string[]) => ({ threshold, keys: names.map(key) });
    const roles = {
      root: role(2, "r1", "r2"),
      release: role(2, "p1", "p2"),
      head: role(1, "h1"),
      weights: role(1, "w1"),
      kill: role(1, "k1", "k2"),
    };
    const trust = { v: 1, kind: "trust", org: "acme", version: 1, issued_at: at, roles, kill_release_threshold: 2 };
    expect(detailOf(checkTrust(trust))).toBeUndefined();
    expect(detailOf(checkTrust({ ...trust, roles: { ...roles, release: role(3, "p1", "p2") } }))).toMatch(
      /^\/roles\/release\/threshold/,
    );
    expect(detailOf(checkTrust({ ...trust, roles: { ...roles, release: role(2, "p1", "p1") } }))).toMatch(
      /^\/roles\/release\/keys/,
    );
    expect(detailOf(checkTrust({ ...trust, kill_release_threshold: 3 }))).toMatch(/^\/kill_release_threshold/);
  });

  test("only the action layer holds permits, ids are unique, and a limit caps something", () => {
    const shared = { layer: "action", why: "w", match: [], unless: [], shadow: false };
    const permit = {
      ...shared,
      id: "action/p",
      kind: "permit",
      do: { action: "block_ip", target: "attacker.address", ttl_seconds: 600 },
    };
    const guard = { ...shared, id: "global/g", layer: "global", kind: "guard", then: "deny" };
    const bundleOf = (...policies: unknown[]) => ({
      v: 1,
      kind: "bundle",
      aud: { org: "acme", sites: ["*"] },
      version: 1,
      issued_at: at,
      engine: "reflex/1",
      changelog: "",
      policies,
      cases: [],
      lists: {},
      inventory: { assets: [], users: [], subnets: [] },
      never_touch: [],
      routing: [],
      settings: {
        freshness_seconds: 3_600,
        lease_seconds: 3_600,
        actions_per_minute_max: 60,
        history_seconds: 3_600,
        mode: "enforce",
      },
    });
    expect(detailOf(checkBundle(bundleOf(permit, guard)))).toBeUndefined();
    expect(detailOf(checkBundle(bundleOf(permit, permit)))).toMatch(/^\/policies\/1\/id/);
    expect(detailOf(checkBundle(bundleOf({ ...permit, id: "global/p", layer: "global" })))).toMatch(
      /^\/policies\/0\/kind/,
    );
    expect(detailOf(checkBundle(bundleOf({ ...guard, id: "domain/g" })))).toMatch(/^\/policies\/0\/layer/);
    const limit = { count: "targets", per: "subnet", window_seconds: 60 };
    expect(detailOf(checkBundle(bundleOf({ ...guard, limit })))).toMatch(/^\/policies\/0\/limit/);
    expect(detailOf(checkBundle(bundleOf({ ...guard, limit: { ...limit, max_percent: 5 } })))).toBeUndefined();
  });

  test("a batch leaves no report out", () => {
    const record = (sequence: number) => ({
      sequence,
      kind: "event",
      body: { at, level: "info", name: "n", detail: "" },
    });
    const batch = { v: 1, org: "acme", site: "hq", agent: "a-1", boot_id: "boot-0001", first: 7, last: 9 };
    expect(detailOf(checkBatch({ ...batch, records: [record(7), record(8), record(9)] }))).toBeUndefined();
    expect(detailOf(checkBatch({ ...batch, records: [record(7), record(9)] }))).toMatch(/^\/last/);
    expect(detailOf(checkBatch({ ...batch, records: [record(7), record(9), record(8)] }))).toMatch(
      /^\/records\/1\/sequence/,
    );
    const gap = { sequence: 9, kind: "gap", body: { at, first: 5, last: 4, code: "spool-full" } };
    expect(detailOf(checkBatch({ ...batch, records: [record(7), record(8), gap] }))).toMatch(
      /^\/records\/2\/body\/last/,
    );
  });
});
