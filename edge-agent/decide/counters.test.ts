import { newCommandId, newDecisionId } from "@reflex/protocol/ids";
import type { Limit } from "@reflex/protocol/policy";
import { timestampOf } from "@reflex/protocol/timestamp";
import { expect, test } from "vitest";
import type { CommandRow } from "../ports.ts";
import { createCounters } from "./counters.ts";

const limit: Limit = { count: "actions", per: "agent", max: 2, window_seconds: 900 };
const decidedMs = Date.UTC(2026, 0, 1);

const rowAt = (state: CommandRow["state"], atMs: number): CommandRow => ({
  command: {
    command_id: newCommandId(decidedMs, new Uint8Array(10)),
    decision_id: newDecisionId(decidedMs, new Uint8Array(10)),
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    reason: "test",
    ttl: 60,
    idempotency_key: "0".repeat(64),
    connector: "firewall",
    issued_at: timestampOf(decidedMs),
  },
  state,
  atMs,
  attempts: 1,
  undoAttempts: 1,
  verified: true,
  limits: ["cap|agent"],
});

test("the cap holds: a use counts from its decision, whatever step its command came to and whatever clock dated that step", () => {
  for (const stepMs of [-3_600_000, 0, 600_000]) {
    const counters = createCounters(() => limit);
    counters.reserve(rowAt("undone", decidedMs + stepMs));
    expect(counters.used("cap|agent", decidedMs + 899_000)).toBe(1);
    expect(counters.used("cap|agent", decidedMs + 901_000)).toBe(0);
  }
});
