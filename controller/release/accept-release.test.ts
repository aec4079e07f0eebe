import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { engine } from "@reflex/policies/engine/engine";
import { type Bundle, defaultSettings } from "@reflex/protocol/bundle";
import { payloadTypes } from "@reflex/protocol/envelope";
import type { KillState } from "@reflex/protocol/kill";
import { emptyWeights } from "@reflex/protocol/weights";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { nodeCrypto } from "../link/node-crypto.ts";
import { createKeys, type KeyFile, readKey, signJson } from "../reflexctl/keys.ts";
import { acceptKill } from "./accept-kill.ts";
import { acceptBundle, acceptWeights } from "./accept-release.ts";
import { acceptTrust } from "./accept-trust.ts";
import { createKillRegister } from "./kill-register.ts";
import { makeSigningKey, readSigningKey } from "./signing-key.ts";

const folder = mkdtempSync(join(tmpdir(), "reflex-release-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const org = "acme";
const issuedAt = "2026-03-01T12:00:00.000Z";
const keysFolder = join(folder, "keys");
const { trust } = createKeys({ dir: keysFolder, org, releaseKeys: 2, releaseThreshold: 2, issuedAt });
const key = (name: string): KeyFile => readKey(join(keysFolder, `${name}.key`));
const release = [key("release-1"), key("release-2")];
const kill = [key("kill-1"), key("kill-2")];
const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

const bundle: Bundle = {
  v: 1,
  kind: "bundle",
  aud: { org, sites: ["north"] },
  version: 3,
  issued_at: issuedAt,
  engine,
  changelog: "",
  policies: [],
  cases: [],
  lists: {},
  inventory: { assets: [], users: [], subnets: [] },
  never_touch: [],
  routing: [],
  settings: defaultSettings,
};
const offer = (value: unknown, keys: readonly KeyFile[] = release, newest = 2) =>
  acceptBundle(nodeCrypto, trust, newest, bytesOf(signJson("bundle", value, keys)));
const codeOf = async (offered: ReturnType<typeof offer>): Promise<string> => {
  const accepted = await offered;
  return accepted.ok ? "accepted" : accepted.error.code;
};

describe("a bundle", () => {
  test("needs the threshold of distinct release keys, this organisation, a higher version and this engine", async () => {
    expect(await codeOf(offer(bundle))).toBe("accepted");
    expect(await codeOf(offer(bundle, [key("release-1")]))).toBe("threshold-not-met");
    expect(await codeOf(offer(bundle, [key("release-1"), key("release-1")]))).toBe("threshold-not-met");
    expect(await codeOf(offer(bundle, [key("head-1"), key("weights-1"), ...kill]))).toBe("signature-invalid");
    expect(await codeOf(offer({ ...bundle, aud: { org: "other", sites: ["north"] } }))).toBe("audience-wrong");
    expect(await codeOf(offer(bundle, release, 3))).toBe("version-rollback");
    expect(await codeOf(offer({ ...bundle, engine: "reflex/0" }))).toBe("engine-unknown");
    expect(await codeOf(offer({ ...bundle, surprise: true }))).toBe("schema-invalid");
  });

  test("one that fails its own cases is not released", async () => {
    const detection = {
      event_id: "case",
      timestamp: issuedAt,
      confidence: 0.9,
      confidence_origin: "vendor",
      severity: "high",
      tags: [],
      entities: [],
      rule: { id: "1", name: "rule", origin: "known_ioc" },
      source: { kind: "native", domain: "network" },
      enrichment: {},
    };
    const caseOf = (verdict: string) => ({ policy: "action/any", name: "case", detection, expect: { verdict } });
    expect(await codeOf(offer({ ...bundle, cases: [caseOf("hold")] }))).toBe("accepted");
    expect(await codeOf(offer({ ...bundle, cases: [caseOf("act")] }))).toBe("self-test-failed");
  });

  test("no byte of it can be changed", async () => {
    const whole = signJson("bundle", bundle, release);
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const payload = Buffer.from(whole.payload, "base64");
        const index = at % payload.length;
        payload[index] = (payload[index] ?? 0) ^ change;
        const changed = { ...whole, payload: payload.toString("base64") };
        expect((await acceptBundle(nodeCrypto, trust, 2, bytesOf(changed))).ok).toBe(false);
      }),
    );
    const asWeights = { ...whole, payloadType: payloadTypes.weights };
    expect(acceptWeights(nodeCrypto, trust, 0, bytesOf(asWeights)).ok).toBe(false);
  });
});

test("weights need the weights key, which can mint nothing else", () => {
  const weights = { ...emptyWeights(org), version: 1 };
  const offered = (keys: readonly KeyFile[]) =>
    acceptWeights(nodeCrypto, trust, 0, bytesOf(signJson("weights", weights, keys)));
  expect(offered([key("weights-1")]).ok).toBe(true);
  expect(offered([key("head-1")]).ok).toBe(false);
});

test("the next trust document needs the root before it and its own, and follows by one", () => {
  const otherFolder = join(folder, "other");
  createKeys({ dir: otherFolder, org, releaseKeys: 1, releaseThreshold: 1, issuedAt });
  const otherRoot = readKey(join(otherFolder, "root-1.key"));
  const root = key("root-1");
  const accept = (value: unknown, keys: readonly KeyFile[]) =>
    acceptTrust(nodeCrypto, org, bytesOf(signJson("trust", value, keys)), trust);
  expect(acceptTrust(nodeCrypto, org, readFileSync(join(keysFolder, "trust.json")), undefined).ok).toBe(true);
  expect(accept({ ...trust, version: 2 }, [root]).ok).toBe(true);
  expect(accept({ ...trust, version: 3 }, [root]).ok).toBe(false);
  expect(accept({ ...trust, version: 2, org: "other" }, [root]).ok).toBe(false);
  const rotated = {
    ...trust,
    version: 2,
    roles: { ...trust.roles, root: { threshold: 1, keys: [{ keyid: "root-2", public: otherRoot.public }] } },
  };
  expect(accept(rotated, [otherRoot]).ok).toBe(false);
  expect(accept(rotated, [root]).ok).toBe(false);
  expect(accept(rotated, [root, otherRoot]).ok).toBe(true);
});

describe("a kill", () => {
  const stateOf = (state: KillState["state"], epoch: number): KillState => ({
    v: 1,
    kind: "kill",
    aud: { org, site: "*", agent: "*" },
    state,
    epoch,
    reason: "test",
    by: "test",
    issued_at: issuedAt,
  });
  const accept = (state: KillState, keys: readonly KeyFile[]) =>
    acceptKill(nodeCrypto, trust, bytesOf(signJson("kill", state, keys))).ok;

  test("is engaged by one key and released by two", () => {
    expect(accept(stateOf("engaged", 1), [key("kill-1")])).toBe(true);
    expect(accept(stateOf("armed", 2), [key("kill-1")])).toBe(false);
    expect(accept(stateOf("armed", 2), [key("kill-1"), key("kill-1")])).toBe(false);
    expect(accept(stateOf("armed", 2), kill)).toBe(true);
    expect(accept(stateOf("engaged", 1), release)).toBe(false);
  });

  test("is kept by its highest epoch, engaged at a tie, whatever order they come in", () => {
    const states = fc.array(
      fc.record({ state: fc.constantFrom("engaged", "armed"), epoch: fc.integer({ min: 1, max: 6 }) }),
      { minLength: 1 },
    );
    fc.assert(
      fc.property(states, (all) => {
        const register = createKillRegister();
        for (const { state, epoch } of all)
          register.take({ state: stateOf(state as KillState["state"], epoch), envelope: "" });
        const epochMax = Math.max(...all.map(({ epoch }) => epoch));
        const isEngaged = all.some(({ state, epoch }) => epoch === epochMax && state === "engaged");
        expect(register.all()[0]?.state).toMatchObject({ epoch: epochMax, state: isEngaged ? "engaged" : "armed" });
        expect(register.epochsFor(org, "north")).toEqual({ [`${org}/*/*`]: epochMax });
      }),
    );
  });
});

test("a head key made here signs what its public half verifies, and is no other role's key", () => {
  const file = join(folder, "made-head.key");
  makeSigningKey(file, "head", "head-9");
  const made = readSigningKey(file, "head");
  const signed = made.sign("head", Buffer.from("{}"));
  const [signature] = signed.signatures;
  const message = Buffer.concat([
    Buffer.from(`DSSEv1 ${payloadTypes.head.length} ${payloadTypes.head} 2 `),
    Buffer.from("{}"),
  ]);
  expect(nodeCrypto.verify(made.public, message, signature?.sig ?? "")).toBe(true);
  expect(() => readSigningKey(file, "weights")).toThrow();
});
