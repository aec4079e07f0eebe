import { bundleBytesMax } from "@reflex/protocol/limits";
import type { RefusalCode } from "@reflex/protocol/refusal";
import { refusal } from "@reflex/protocol/refusal";
import { err, ok } from "@reflex/protocol/result";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { createNodeCrypto } from "../adapters/node-crypto.ts";
import { createActivation, type SelfTest } from "./activate.ts";
import { envelopeBytesMax } from "./open-signed.ts";
import { selfTestBundle } from "./self-test.ts";
import {
  bundleOf,
  bytesOf,
  createMemoryMarks,
  createMemorySlots,
  makeKey,
  makeKeys,
  signBytes,
  signEnvelope,
  testSelf,
  trustOf,
  weightsOf,
} from "./signing-fixture.ts";
import { createTrustStore } from "./trust.ts";

const crypto = createNodeCrypto();
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const keys = makeKeys();
const two = keys.release.slice(0, 2);
const signed = (version: number, changes = {}) => signBytes("bundle", bundleOf(version, changes), two);

const world = () => {
  const slots = createMemorySlots();
  const marks = createMemoryMarks();
  const told: { name: string; code: RefusalCode | undefined }[] = [];
  const start = async (selfTest: SelfTest = async (payload, site) => selfTestBundle(crypto, payload, site)) => {
    const trust = createTrustStore({ crypto, slots, marks, org: testSelf.org });
    if (!(await trust.load()).ok) await trust.pin(signBytes("trust", trustOf(keys), keys.root.slice(0, 2)));
    const activation = createActivation({
      crypto,
      self: testSelf,
      engine: "reflex/1",
      slots,
      marks,
      trust,
      selfTest,
      build: (bundle, weights) => ok({ bundle: bundle.version, weights: weights.version }),
      tell: (_level, name, _detail, code) => told.push({ name, code }),
      log,
    });
    await activation.boot();
    return { activation, trust };
  };
  return { slots, marks, told, start };
};

const codeOf = async (offered: Promise<{ ok: true } | { ok: false; error: { code: RefusalCode } }>) => {
  const result = await offered;
  return result.ok ? "ok" : result.error.code;
};

describe("nothing acts on unverified policy", () => {
  let first: Awaited<ReturnType<ReturnType<typeof world>["start"]>>;
  let w: ReturnType<typeof world>;
  beforeEach(async () => {
    w = world();
    first = await w.start();
    expect(await codeOf(first.activation.offerBundle(signed(1)))).toBe("ok");
  });

  const stranger = makeKey("release-1");
  const deep = "[".repeat(100) + "]".repeat(100);
  const offers: readonly (readonly [what: string, make: () => Uint8Array, code: RefusalCode])[] = [
    ["one signature of two", () => signBytes("bundle", bundleOf(2), keys.release.slice(0, 1)), "threshold-not-met"],
    [
      "one key signing twice",
      () => signBytes("bundle", bundleOf(2), [two[0] as never, two[0] as never]),
      "threshold-not-met",
    ],
    ["a stranger's key under our key's name", () => signBytes("bundle", bundleOf(2), [stranger]), "signature-invalid"],
    ["the weights key", () => signBytes("bundle", bundleOf(2), keys.weights), "signature-invalid"],
    ["the head key", () => signBytes("bundle", bundleOf(2), keys.head), "signature-invalid"],
    ["a signature over another kind of message", () => signBytes("kill", bundleOf(2), two), "payload-type-wrong"],
    ["another site's bundle", () => signed(2, { aud: { org: testSelf.org, sites: ["paris"] } }), "audience-wrong"],
    ["another organisation's bundle", () => signed(2, { aud: { org: "other", sites: ["*"] } }), "audience-wrong"],
    ["another engine's bundle", () => signed(2, { engine: "reflex/2" }), "self-test-failed"],
    ["no JSON", () => Buffer.from("<bundle/>"), "json-malformed"],
    ["bytes that are not UTF-8", () => Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d), "text-malformed"],
    ["a depth bomb around the envelope", () => Buffer.from(deep), "json-too-deep"],
    ["a depth bomb inside the signed payload", () => signBytes("bundle", deep, two), "json-too-deep"],
    [
      "one key twice inside the signed payload",
      () => signBytes("bundle", JSON.stringify(bundleOf(2)).replace('"v":1,', '"v":1,"version":9,'), two),
      "json-duplicate-key",
    ],
    ["a field nobody knows", () => signBytes("bundle", { ...bundleOf(2), surprise: true }, two), "schema-invalid"],
    ["100 MB", () => new Uint8Array(100 * 1024 * 1024), "too-large"],
    [
      "17 signatures",
      () =>
        signBytes(
          "bundle",
          bundleOf(2),
          Array.from({ length: 17 }, () => two[0] as never),
        ),
      "schema-invalid",
    ],
  ];

  test.each(offers)("%s is refused and the last good stays", async (_what, make, code) => {
    expect(await codeOf(first.activation.offerBundle(make()))).toBe(code);
    expect(first.activation.active()).toEqual({ bundle: 1, weights: 0 });
    expect(first.activation.observed("bundle")).toMatchObject({ version: 1, phase: "refused", refused: { code } });
    expect(w.told.at(-1)).toEqual({ name: "bundle-refused", code });
    // What was refused leaves nothing behind that a restart could pick up.
    const again = await w.start();
    expect(again.activation.active()).toEqual({ bundle: 1, weights: 0 });
  });

  test("the limit is on the bytes as they come, before anything reads them", async () => {
    const offered = first.activation.offerBundle(new Uint8Array(envelopeBytesMax(bundleBytesMax) + 1).fill(0x20));
    expect(await codeOf(offered)).toBe("too-large");
  });

  test("no flipped byte of the envelope ever activates", async () => {
    const blob = signed(2);
    // A key id is a hint and decides nothing, so its bytes may change; everything else may not.
    const hints = hintsOf(blob);
    const positions = [...blob.keys()].filter((at) => !hints.some(([from, to]) => at >= from && at < to));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...positions), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const bad = Uint8Array.from(blob);
        bad[at] = (bad[at] ?? 0) ^ flip;
        expect((await first.activation.offerBundle(bad)).ok).toBe(false);
        expect(first.activation.active()?.bundle).toBe(1);
      }),
      { numRuns: 600 },
    );
    expect(await codeOf(first.activation.offerBundle(blob))).toBe("ok");
  });

  /** Where the key ids' own characters lie. */
  const hintsOf = (blob: Uint8Array): readonly (readonly [number, number])[] => {
    const text = Buffer.from(blob).toString("latin1");
    return [...text.matchAll(/"keyid":"([^"]*)"/g)].map((match) => {
      const from = match.index + '"keyid":"'.length;
      return [from, from + (match[1] ?? "").length] as const;
    });
  };

  test("signatures of a three-key threshold cannot be dropped, swapped or borrowed from another bundle", async () => {
    const good = signEnvelope("bundle", bundleOf(2), two);
    const other = signEnvelope("bundle", bundleOf(3), two);
    const [a, b] = good.signatures;
    for (const signatures of [[a], [b], [a, other.signatures[1]], [other.signatures[0], other.signatures[1]]]) {
      expect((await first.activation.offerBundle(bytesOf({ ...good, signatures }))).ok).toBe(false);
    }
    const swapped = { ...good, signatures: [b, a] };
    expect(await codeOf(first.activation.offerBundle(bytesOf(swapped)))).toBe("ok");
  });

  test("bytes other than announced are refused even when they are well signed", async () => {
    const blob = signed(2);
    const pointer = { version: 2, hash: crypto.sha256Hex(signed(3)), bytes: blob.length };
    expect(await codeOf(first.activation.offerBundle(blob, pointer))).toBe("hash-mismatch");
  });

  test("a self-test that fails or never ends refuses the bundle", async () => {
    const crashing = await w.start(async () => err(refusal("self-test-timeout", "as the test wants")));
    expect(await codeOf(crashing.activation.offerBundle(signed(2)))).toBe("self-test-timeout");
    expect(crashing.activation.active()?.bundle).toBe(1);
  });

  test("a case that this engine decides otherwise refuses the bundle", async () => {
    const detection = {
      event_id: "1",
      timestamp: "2026-06-01T00:00:00.000Z",
      confidence: 0.9,
      confidence_origin: "vendor",
      severity: "high",
      tags: [],
      entities: [],
      rule: { id: "1", name: "", origin: "signature" },
      source: { kind: "native", domain: "network" },
      enrichment: {},
    };
    const caseOf = (verdict: string) => [
      { policy: "action/none", name: "nothing covers it", detection, expect: { verdict } },
    ];
    expect(await codeOf(first.activation.offerBundle(signed(2, { cases: caseOf("act") })))).toBe("self-test-failed");
    expect(await codeOf(first.activation.offerBundle(signed(3, { cases: caseOf("hold") })))).toBe("ok");
  });
});

describe("a released version never comes back", () => {
  test("whatever old envelopes are replayed in whatever order, with restarts between, the version only grows", async () => {
    const blobs = Array.from({ length: 8 }, (_, index) => signed(index + 1));
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.nat(blobs.length - 1).map((index) => ({ kind: "offer" as const, index })) },
      { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const w = world();
        let { activation } = await w.start();
        let highest = 0;
        for (const each of steps) {
          if (each.kind === "restart") ({ activation } = await w.start());
          else {
            const result = await activation.offerBundle(blobs[each.index] as Uint8Array);
            if (each.index + 1 > highest) expect(result.ok).toBe(true);
            highest = Math.max(highest, each.index + 1);
          }
          expect(activation.active()?.bundle ?? 0).toBe(highest);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("an old bundle does not come back over a lost slot, and the lost one may be fetched again", async () => {
    const w = world();
    const { activation } = await w.start();
    await activation.offerBundle(signed(1));
    await activation.offerBundle(signed(2));
    await activation.offerBundle(signed(3));
    const newest = [...w.slots.files].find(
      ([name, bytes]) => /^bundle/.test(name) && crypto.sha256Hex(bytes) === crypto.sha256Hex(signed(3)),
    );
    w.slots.files.set(newest?.[0] ?? "", Buffer.from("damaged"));
    const after = await w.start();
    expect(after.activation.active()?.bundle).toBe(2);
    expect(await codeOf(after.activation.offerBundle(signed(1)))).toBe("version-rollback");
    expect(await codeOf(after.activation.offerBundle(signed(3)))).toBe("ok");
  });
});

describe("a crash or a full disk at any write leaves the old or the new, whole", () => {
  test.each(["before", "after"] as const)("bundle: failing %s the bytes are down", async (when) => {
    const w = world();
    const { activation } = await w.start();
    await activation.offerBundle(signed(1));
    w.slots.fail((name) => (name.startsWith("bundle") ? when : undefined));
    expect(await codeOf(activation.offerBundle(signed(2)))).toBe("disk-full");
    expect(activation.active()?.bundle).toBe(1);
    w.slots.fail(() => undefined);
    const after = await w.start();
    expect(after.activation.active()?.bundle).toBe(when === "before" ? 1 : 2);
    expect(w.marks.get("bundle")).toBe(when === "before" ? 1 : 2);
    expect(await codeOf(after.activation.offerBundle(signed(3)))).toBe("ok");
  });

  test("marks that cannot be raised keep the new bundle out until they can", async () => {
    const w = world();
    const { activation } = await w.start();
    await activation.offerBundle(signed(1));
    w.marks.fail(true);
    expect(await codeOf(activation.offerBundle(signed(2)))).toBe("disk-full");
    expect(activation.active()?.bundle).toBe(1);
    w.marks.fail(false);
    expect(await codeOf(activation.offerBundle(signed(2)))).toBe("ok");
  });

  test("any damage to any file of the store never activates what was not signed", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), async (file, at, flip) => {
        const w = world();
        const { activation } = await w.start();
        await activation.offerBundle(signed(1));
        await activation.offerBundle(signed(2));
        const names = [...w.slots.files.keys()].sort();
        const name = names[file % names.length] as string;
        const bytes = w.slots.files.get(name) as Uint8Array;
        bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ flip;
        const after = await w.start();
        expect([1, 2]).toContain(after.activation.active()?.bundle);
      }),
      { numRuns: 80 },
    );
  });
});

describe("expiry and rotation never stop the agent", () => {
  test("a bundle accepted under the old keys survives a rotation and a restart, but a new one needs the new keys", async () => {
    const w = world();
    const { activation, trust } = await w.start();
    await activation.offerBundle(signed(1));
    const rotated = { ...makeKeys(), root: keys.root };
    expect((await trust.advance(signBytes("trust", trustOf(rotated, 2), keys.root.slice(1)))).ok).toBe(true);
    expect(await codeOf(activation.offerBundle(signed(2)))).toBe("signature-invalid");
    const after = await w.start();
    expect(after.activation.active()?.bundle).toBe(1);
    expect(await codeOf(after.activation.offerBundle(signBytes("bundle", bundleOf(2), rotated.release.slice(1))))).toBe(
      "ok",
    );
  });
});

describe("weights move only within signed bounds", () => {
  const at = (k: number, n: number) => ({ berlin: { k, n, m: 5 } });
  const offer = async (changes = {}) => {
    const w = world();
    const { activation } = await w.start();
    await activation.offerBundle(signed(1, changes));
    return activation;
  };
  const weights = (version: number, cells = {}) => signBytes("weights", weightsOf(version, cells), keys.weights);

  test("a stolen weights key cannot raise every confidence in one step", async () => {
    const activation = await offer();
    expect(await codeOf(activation.offerWeights(weights(1, at(10_000, 10_000))))).toBe("limit-exceeded");
    expect(activation.active()?.weights).toBe(0);
  });

  test("a small step, and any step towards asking, is accepted", async () => {
    const activation = await offer();
    expect(await codeOf(activation.offerWeights(weights(1, at(3, 4))))).toBe("ok");
    expect(await codeOf(activation.offerWeights(weights(2, at(0, 500))))).toBe("ok");
    expect(activation.active()?.weights).toBe(2);
  });

  test("the bound is the release keys' to set", async () => {
    const settings = { ...bundleOf(1).settings, weights_step_up_max: 0.1 };
    expect(await codeOf((await offer({ settings })).offerWeights(weights(1, at(3, 4))))).toBe("limit-exceeded");
  });

  test("the release keys do not sign weights, nor other sites' keys ours", async () => {
    const activation = await offer();
    expect(await codeOf(activation.offerWeights(signBytes("weights", weightsOf(1), two)))).toBe("signature-invalid");
    const elsewhere = { ...weightsOf(1), aud: { org: testSelf.org, sites: ["paris"] } };
    expect(await codeOf(activation.offerWeights(signBytes("weights", elsewhere, keys.weights)))).toBe("audience-wrong");
  });
});
