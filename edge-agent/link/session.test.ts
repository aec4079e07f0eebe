import { refusal } from "@reflex/protocol/refusal";
import { err, ok } from "@reflex/protocol/result";
import type { SyncResponse } from "@reflex/protocol/sync";
import { expect, test } from "vitest";
import { createNodeCrypto } from "../adapters/node-crypto.ts";
import { createKillSwitch } from "../policy/kill.ts";
import { createLease } from "../policy/lease.ts";
import {
  bytesOf,
  createMemoryMarks,
  headOf,
  killOf,
  makeKeys,
  signEnvelope,
  testSelf,
  trustOf,
} from "../policy/signing-fixture.ts";
import { createSession } from "./session.ts";

const quiet = { info: () => {}, warn: () => {}, error: () => {} };

test("killed means killed: every kill of one sync answer is heard at once, however slow the disk is", async () => {
  const keys = makeKeys();
  const crypto = createNodeCrypto();
  const marks = createMemoryMarks();
  const clock = { nowMs: () => Date.UTC(2026, 5, 1) };
  const timers = { after: () => () => {}, soon: () => {} };
  const trust = trustOf(keys);
  // A disk that takes what it is given and never says so.
  const slots = { read: async () => ok(undefined), write: () => new Promise<never>(() => {}) };
  const kill = createKillSwitch({
    crypto,
    slots,
    marks,
    trust: { current: () => trust },
    self: testSelf,
    localFile: () => false,
    timers,
    tell: () => {},
    log: quiet,
  });
  await kill.boot();
  const unused = async () => err(refusal("unreachable"));
  const session = createSession({
    self: testSelf,
    bootId: "boot-000001",
    engine: "reflex/1",
    link: {
      start: () => {},
      stop: async () => {},
      connected: () => false,
      publish: unused,
      on: () => {},
      onConnected: () => {},
    },
    syncOverHttps: unused,
    blobs: { fetch: unused, fetchTrust: unused },
    trust: {
      load: async () => ok(trust),
      current: () => trust,
      newestVersion: () => trust.version,
      chain: () => [trust],
      pin: unused,
      advance: unused,
    },
    activation: {
      offerBundle: unused,
      offerWeights: unused,
      noteRefused: () => {},
      noteFetching: () => {},
      observed: () => ({ version: 0, phase: "none" }),
    },
    kill,
    orders: { take: async () => ok(undefined) },
    lease: createLease({ clock, monotonicMs: () => 0, marks }),
    marks,
    reporter: { acknowledge: () => {}, reconnected: () => {} },
    facts: () => ({
      mode: "enforce",
      counts: { detections: 0, dead_letters: 0, in_force: 0, stuck: 0, spool: 0 },
      connectors: {},
      spool: { first: 1, last: 0 },
    }),
    crypto,
    clock,
    timers,
    random: { bytes: (count) => new Uint8Array(count) },
    tell: () => {},
    log: quiet,
  });
  const answer: SyncResponse = {
    v: 1,
    boot_id: "boot-000001",
    head: signEnvelope("head", headOf(1), keys.head),
    kills: [
      signEnvelope("kill", killOf("armed", 2, { agent: testSelf.agent }), keys.kill),
      signEnvelope("kill", killOf("engaged", 1), keys.kill.slice(0, 1)),
    ],
    acknowledged: 0,
  };
  void session.takeSync(bytesOf(answer));
  expect(kill.killed()).toMatchObject({ engaged: true, epoch: 1 });
});
