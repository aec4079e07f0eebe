import { type Envelope, openEnvelope } from "@reflex/protocol/envelope";
import { parseJson } from "@reflex/protocol/json";
import { batchBytesMax, batchesUnackedMax, batchRecordsMax, mqttPacketBytesMax } from "@reflex/protocol/limits";
import { refusal } from "@reflex/protocol/refusal";
import { err, ok } from "@reflex/protocol/result";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createNodeCrypto } from "../adapters/node-crypto.ts";
import { createReportSigner, nodeIdentityKeys } from "../adapters/node-identity.ts";
import type { Journal } from "../ports.ts";
import { createReporter } from "./reporter.ts";

const crypto = createNodeCrypto();
const signer = createReportSigner(nodeIdentityKeys.makeReportKey().keyPem);
const self = { org: "acme", site: "berlin", agent: "edge-1" };
type Row = { sequence: number; kind: "event" | "gap"; bodyJson: string };
type Batch = {
  first: number;
  last: number;
  records: { sequence: number; kind: string; body: Record<string, unknown> }[];
};

/** A spool, a link that loses what it is told to, and a clock that moves when told. */
const world = (bodies: readonly string[]) => {
  let rows: Row[] = bodies.map((bodyJson, index) => ({ sequence: index + 1, kind: "event", bodyJson }));
  let acknowledged = 0;
  const last = () => bodies.length;
  const journal: Pick<Journal, "reports" | "spool" | "write"> = {
    reports: (from, recordsMax, bytesMax) => {
      const found: Row[] = [];
      let bytes = 0;
      for (const row of rows.filter((each) => each.sequence >= from).slice(0, recordsMax)) {
        bytes += row.bodyJson.length;
        if (bytes > bytesMax && found.length > 0) break;
        found.push(row);
      }
      return found;
    },
    spool: () => ({ first: acknowledged + 1, last: last(), bytes: 0 }),
    write: async (writes) => {
      for (const write of writes) {
        if (write.kind === "acknowledged") acknowledged = Math.max(acknowledged, write.upTo);
      }
      rows = rows.filter((row) => row.sequence > acknowledged);
      return ok(undefined);
    },
  };
  const waiting: { atMs: number; run: () => void }[] = [];
  const state = { nowMs: 0, isConnected: true, isLossy: false };
  const sent: Envelope[] = [];
  const errors: string[] = [];
  const reporter = createReporter({
    self,
    bootId: "boot-0001",
    journal,
    link: {
      connected: () => state.isConnected,
      publish: async (_name, payload) => {
        if (!state.isConnected) return err(refusal("unreachable"));
        if (!state.isLossy) sent.push(payload as Envelope);
        return ok(undefined);
      },
    },
    signer,
    crypto,
    clock: { nowMs: () => state.nowMs },
    timers: {
      after: (delayMs, run) => {
        const entry = { atMs: state.nowMs + delayMs, run };
        waiting.push(entry);
        return () => void waiting.splice(waiting.indexOf(entry) >>> 0, 1);
      },
      soon: (run) => queueMicrotask(run),
    },
    log: { info: () => undefined, warn: () => undefined, error: (_fields, message) => errors.push(message) },
  });
  const pass = (ms: number) => {
    const untilMs = state.nowMs + ms;
    for (;;) {
      const due = waiting.filter((entry) => entry.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      waiting.splice(waiting.indexOf(due), 1);
      state.nowMs = Math.max(state.nowMs, due.atMs);
      due.run();
    }
    state.nowMs = untilMs;
  };
  const drop = (first: number, gapAt: number) => {
    const body = { at: "2026-06-01T00:00:00.000Z", first, last: gapAt, code: "spool-full" };
    rows = rows.filter((row) => row.sequence > gapAt);
    rows.unshift({ sequence: gapAt, kind: "gap", bodyJson: JSON.stringify(body) });
  };
  return { reporter, state, sent, errors, pass, drop, last, acknowledged: () => acknowledged };
};

const open = (envelope: Envelope): Batch => {
  const keys = [{ keyid: "", public: signer.public }];
  const deps = { verify: crypto.verifyEd25519, decodeBase64: crypto.decodeBase64 };
  const opened = openEnvelope(deps, envelope, "batch", { keys, threshold: 1 });
  if (!opened.ok) throw new Error(opened.error.code);
  const parsed = parseJson(crypto.textOf(opened.value) ?? "");
  if (!parsed.ok) throw new Error(parsed.error.code);
  return parsed.value as Batch;
};

/** A controller that commits what follows on what it has, and says how far it is. */
const controller = () => {
  const stored: number[] = [];
  let committed = 0;
  const take = (envelope: Envelope): number => {
    const batch = open(envelope);
    const [first] = batch.records;
    const isExplained = first?.kind === "gap" && (first.body["first"] as number) <= committed + 1;
    if (batch.first > committed + 1 && !isExplained) return committed;
    for (const record of batch.records) {
      if (record.sequence <= committed) continue;
      stored.push(record.sequence);
      committed = record.sequence;
    }
    return committed;
  };
  return { stored, take, committed: () => committed };
};

const body = (size: number): string => JSON.stringify({ detail: "x".repeat(Math.max(0, size - 13)) });

describe("a record acknowledged is a record stored", () => {
  test("through lost batches, lost acknowledgements, disconnects and time-outs: each once, in order, none missing", () => {
    const step = fc.constantFrom("deliver", "lose-ack", "lossy", "reliable", "disconnect", "reconnect", "wait");
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 20, max: 60_000 }), { minLength: 1, maxLength: 60 }),
        fc.array(step, { maxLength: 60 }),
        (sizes, steps) => {
          const w = world(sizes.map(body));
          const c = controller();
          const deliver = (isAckLost: boolean) => {
            for (const envelope of w.sent.splice(0)) {
              const upTo = c.take(envelope);
              if (!isAckLost) w.reporter.acknowledge(upTo);
            }
          };
          w.reporter.start();
          for (const each of steps) {
            if (each === "deliver" || each === "lose-ack") deliver(each === "lose-ack");
            if (each === "lossy" || each === "reliable") w.state.isLossy = each === "lossy";
            if (each === "disconnect") w.state.isConnected = false;
            if (each === "reconnect") {
              w.state.isConnected = true;
              w.reporter.reconnected();
            }
            w.pass(each === "wait" ? 15_000 : 100);
            expect(w.reporter.inFlight()).toBeLessThanOrEqual(batchesUnackedMax);
            expect(w.acknowledged()).toBeLessThanOrEqual(c.committed());
          }
          w.state.isLossy = false;
          w.state.isConnected = true;
          w.reporter.reconnected();
          for (let round = 0; round < 100 && w.acknowledged() < w.last(); round += 1) {
            deliver(false);
            w.pass(1_000);
          }
          expect(c.stored).toEqual(sizes.map((_, index) => index + 1));
          expect(w.acknowledged()).toBe(sizes.length);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("what is acknowledged beyond what was ever written is not believed", () => {
    const w = world([body(100)]);
    w.reporter.start();
    w.pass(100);
    w.reporter.acknowledge(500);
    expect(w.acknowledged()).toBe(0);
    expect(w.errors).toHaveLength(1);
  });
});

describe("batches keep their bounds", () => {
  test("a full spool goes out in batches of at most 256 records and 320 kB, eight at a time", () => {
    const w = world(Array.from({ length: 5_000 }, (_, index) => body(index % 7 === 0 ? 9_000 : 200)));
    w.reporter.start();
    w.pass(100);
    expect(w.sent).toHaveLength(batchesUnackedMax);
    for (const envelope of w.sent) {
      expect(open(envelope).records.length).toBeLessThanOrEqual(batchRecordsMax);
      expect(crypto.decodeBase64(envelope.payload)?.length).toBeLessThanOrEqual(batchBytesMax);
    }
  });

  test("a record longer than a batch travels alone, and its neighbours are not held up", () => {
    const w = world([body(100), body(batchBytesMax + 1_000), body(100)]);
    const c = controller();
    w.reporter.start();
    w.pass(100);
    expect(w.sent.map((envelope) => open(envelope).records.length)).toEqual([1, 1, 1]);
    for (const envelope of w.sent) {
      expect(JSON.stringify(envelope).length).toBeLessThanOrEqual(mqttPacketBytesMax);
      w.reporter.acknowledge(c.take(envelope));
    }
    expect(c.stored).toEqual([1, 2, 3]);
  });

  test("a record longer than a packet is replaced by a signed gap, loudly", () => {
    const w = world([body(100), body(mqttPacketBytesMax), body(100)]);
    const c = controller();
    w.reporter.start();
    w.pass(100);
    for (const envelope of w.sent) w.reporter.acknowledge(c.take(envelope));
    const gap = w.sent.map(open).find((batch) => batch.first === 2)?.records[0];
    expect(gap).toMatchObject({ sequence: 2, kind: "gap", body: { first: 2, last: 2, code: "too-large" } });
    expect(w.errors).toHaveLength(1);
    expect(w.acknowledged()).toBe(3);
  });
});

describe("nothing is dropped silently", () => {
  test("what a full spool dropped is explained by the gap in its place", () => {
    const w = world(Array.from({ length: 10 }, () => body(50)));
    const c = controller();
    w.drop(1, 4);
    w.reporter.start();
    w.pass(100);
    for (const envelope of w.sent) w.reporter.acknowledge(c.take(envelope));
    expect(c.stored).toEqual([4, 5, 6, 7, 8, 9, 10]);
    expect(w.acknowledged()).toBe(10);
  });

  test("a body goes out byte for byte as it was stored", () => {
    const odd = '{"detail":"\\u00e4 1.50","n":1.50}';
    const w = world([odd]);
    w.reporter.start();
    w.pass(100);
    const text = crypto.textOf(crypto.decodeBase64(w.sent[0]?.payload ?? "") ?? new Uint8Array());
    expect(text).toContain(odd);
  });
});
