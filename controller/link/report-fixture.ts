import { createHash, generateKeyPairSync, sign } from "node:crypto";
import type { CommandState } from "@reflex/protocol/command-life";
import { payloadTypes, preAuthEncoding } from "@reflex/protocol/envelope";
import type { CommandId, DecisionId } from "@reflex/protocol/ids";
import type { ReportRecord } from "@reflex/protocol/report";
import type { AgentAddress } from "@reflex/protocol/topics";

/** An agent that signs batches with a key of its own, and small but whole reports. For tests. */
export type AgentFixture = {
  readonly address: AgentAddress;
  readonly reportKey: string;
  readonly batch: (records: readonly ReportRecord[]) => Uint8Array;
  /** A batch whose records are this very text. */
  readonly batchText: (first: number, last: number, recordsText: string) => Uint8Array;
};

export const agentFixture = (org: string, site: string, agent: string): AgentFixture => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const batchText = (first: number, last: number, recordsText: string): Uint8Array => {
    const frame = JSON.stringify({ v: 1, org, site, agent, boot_id: "boot-fixture", first, last });
    const payload = Buffer.from(`${frame.slice(0, -1)},"records":${recordsText}}`);
    const sig = sign(null, preAuthEncoding(payloadTypes.batch, payload), privateKey).toString("base64");
    const envelope = {
      payloadType: payloadTypes.batch,
      payload: payload.toString("base64"),
      signatures: [{ keyid: agent, sig }],
    };
    return Buffer.from(JSON.stringify(envelope));
  };
  return {
    address: { org, site, agent },
    reportKey: publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("base64"),
    batch: (records) => batchText(records[0]?.sequence ?? 1, records.at(-1)?.sequence ?? 1, JSON.stringify(records)),
    batchText,
  };
};

const at = "2026-03-01T12:00:00.000Z";
const hash = (text: string): string => createHash("sha256").update(text).digest("hex");
/** A UUIDv7 of the fixture's instant that differs by what it is for. */
const idOf = <Id extends string>(text: string): Id => {
  const hex = hash(text);
  return `019cb000-0000-7${hex.slice(0, 3)}-8${hex.slice(3, 6)}-${hex.slice(6, 18)}` as Id;
};

export const eventRecord = (sequence: number): ReportRecord => ({
  sequence,
  kind: "event",
  body: { at, level: "info", name: "fixture", detail: `event ${sequence}` },
});

export const commandRecord = (
  { address }: Pick<AgentFixture, "address">,
  sequence: number,
  state: CommandState,
): Extract<ReportRecord, { kind: "command" }> => ({
  sequence,
  kind: "command",
  body: {
    command: {
      command_id: idOf<CommandId>(`command ${address.agent}`),
      decision_id: idOf<DecisionId>(`decision ${address.agent} 1`),
      action: "block_ip",
      target: { type: "address", value: "203.0.113.9" },
      reason: "fixture",
      ttl: 600,
      idempotency_key: hash(address.agent),
      connector: "edl",
      issued_at: at,
    },
    state,
    at,
    attempts: 1,
    verified: false,
  },
});

export const tokenRecord = (
  { address }: Pick<AgentFixture, "address">,
  sequence: number,
  chainSequence: number,
  ruleName = "known scanner",
): Extract<ReportRecord, { kind: "token" }> => {
  const zeros = "0".repeat(64);
  return {
    sequence,
    kind: "token",
    body: {
      header: {
        v: 1,
        ...address,
        sequence: chainSequence,
        engine: "reflex/1",
        decided_at: at,
        bundle: { version: 1, hash: zeros },
        weights: { version: 0, hash: zeros },
      },
      detection: {
        event_id: `event-${address.agent}-${chainSequence}`,
        timestamp: at,
        confidence: 0.9,
        confidence_origin: "vendor",
        severity: "high",
        tags: [],
        entities: [{ type: "address", value: "203.0.113.9", role: "attacker" }],
        rule: { id: "1001", name: ruleName, origin: "known_ioc" },
        source: { kind: "native", domain: "network" },
        enrichment: {},
      },
      context: {
        received_at: at,
        mode: "enforce",
        killed: false,
        lease_valid: true,
        circuit_closed: true,
        assets: [],
        history: { detections: 0, distinct_rules: 0, actions: 0 },
        agreement: [],
        prior: { confirmed: 0, failed: 0, overridden: 0 },
        limits: {},
        leases: [],
      },
      slice: {
        policies: [],
        lists: {},
        never_touch: [],
        routing: [],
        weights: { version: 0, prior_strength: 5, cells: {} },
      },
      decision: {
        decision_id: idOf<DecisionId>(`decision ${address.agent} ${chainSequence}`),
        event_id: `event-${address.agent}-${chainSequence}`,
        verdict: "hold",
        code: "no-permit",
        exception: "unmatched",
        score: 0.5,
        confidence: 0.9,
        factors: [],
        candidates: [],
        justification: "no policy covers it",
        undo: "nothing to undo",
      },
      digests: { header: zeros, detection: zeros, context: zeros, slice: zeros, decision: zeros },
      previous: zeros,
      hash: hash(`${address.agent} ${chainSequence}`),
    },
  };
};
