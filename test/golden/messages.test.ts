import { createHash } from "node:crypto";
import { canonicalJson } from "@reflex/protocol/canonical";
import { parseJson } from "@reflex/protocol/json";
import {
  decodeCommand,
  decodeDetection,
  decodeFeedback,
  encodeCommand,
  encodeDetection,
  encodeFeedback,
} from "@reflex/protocol/protobuf";
import type { Token } from "@reflex/protocol/token";
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
  checkOrder,
  checkSyncRequest,
  checkSyncResponse,
  checkToken,
  checkTrust,
  checkWeights,
} from "@reflex/protocol/validate";
import { describe, expect, test } from "vitest";
import { goldenBytes, goldenJson, goldenText } from "./fixture.ts";

const sha256Hex = (text: string): string => createHash("sha256").update(text).digest("hex");

const messages: readonly (readonly [name: string, check: Check<unknown>])[] = [
  ["detection", checkDetection],
  ["detection-bare", checkDetection],
  ["command", checkCommand],
  ["feedback", checkFeedback],
  ["bundle", checkBundle],
  ["weights", checkWeights],
  ["kill-state", checkKillState],
  ["trust", checkTrust],
  ["head", checkHead],
  ["envelope", checkEnvelope],
  ["sync-request", checkSyncRequest],
  ["sync-response", checkSyncResponse],
  ["heartbeat", checkHeartbeat],
  ["batch", checkBatch],
  ["acknowledgement", checkAcknowledgement],
  ["token", checkToken],
  ["order", checkOrder],
];

describe("old bytes stay readable for ever", () => {
  const hashes = goldenJson<Readonly<Record<string, string>>>("canonical-sha256");

  test.each(messages)("%s passes the gate, means what it meant, and hashes as it did", (name, check) => {
    const read = parseJson(goldenText(`${name}.json`), { depthMax: 32 });
    if (!read.ok) throw new Error(read.error.code);
    expect(check(read.value)).toEqual({ ok: true, value: read.value });
    expect(sha256Hex(canonicalJson(read.value))).toBe(hashes[name]);
  });

  test("every kind of message has one", () => {
    expect(Object.keys(hashes).sort()).toEqual(messages.map(([name]) => name).sort());
  });
});

describe("old protobuf bytes stay readable for ever, and are still what is written", () => {
  test.each([
    ["detection", encodeDetection, decodeDetection],
    ["detection-bare", encodeDetection, decodeDetection],
    ["command", encodeCommand, decodeCommand],
    ["feedback", encodeFeedback, decodeFeedback],
  ] as const)("%s", (name, encode, decode) => {
    const message = goldenJson(name);
    expect(decode(goldenBytes(name))).toEqual({ ok: true, value: message });
    expect(encode(message as never)).toEqual({ ok: true, value: goldenBytes(name) });
  });
});

describe("an old token proves itself", () => {
  test("digests are over its sections as written, the hash over the one before and the digests", () => {
    const token = goldenJson<Token>("token");
    const { header, detection, context, slice, decision, digests, previous, hash } = token;
    for (const [name, section] of Object.entries({ header, detection, context, slice, decision })) {
      expect([name, sha256Hex(JSON.stringify(section))]).toEqual([name, digests[name as keyof typeof digests]]);
    }
    const chained = [previous, digests.header, digests.detection, digests.context, digests.slice, digests.decision];
    expect(sha256Hex(chained.join("\n"))).toBe(hash);
  });
});
