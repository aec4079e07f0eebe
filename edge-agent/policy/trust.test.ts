import { describe, expect, test } from "vitest";
import { createNodeCrypto } from "../adapters/node-crypto.ts";
import { createMemoryMarks, createMemorySlots, makeKeys, signBytes, testSelf, trustOf } from "./signing-fixture.ts";
import { createTrustStore } from "./trust.ts";

const crypto = createNodeCrypto();
const [keys, next, last] = [makeKeys(), makeKeys(), makeKeys()];
const first = signBytes("trust", trustOf(keys), keys.root.slice(0, 2));
const second = signBytes("trust", trustOf(next, 2), [...keys.root.slice(1), ...next.root.slice(1)]);
const third = signBytes("trust", trustOf(last, 3), [...next.root.slice(1), ...last.root.slice(1)]);

const world = () => {
  const slots = createMemorySlots();
  const marks = createMemoryMarks();
  const start = async () => {
    const trust = createTrustStore({ crypto, slots, marks, org: testSelf.org });
    await trust.load();
    return trust;
  };
  return { slots, marks, start };
};
const code = (result: { ok: true } | { ok: false; error: { code: string } }) => (result.ok ? "ok" : result.error.code);

describe("one stolen key cannot mint policy", () => {
  test("a new document needs the threshold of the old root and of the new", async () => {
    const trust = await world().start();
    expect(code(await trust.pin(first))).toBe("ok");
    const byNew = signBytes("trust", trustOf(next, 2), next.root);
    const byOld = signBytes("trust", trustOf(next, 2), keys.root);
    const byOneOld = signBytes("trust", trustOf(next, 2), [...keys.root.slice(0, 1), ...next.root]);
    const byOneNew = signBytes("trust", trustOf(next, 2), [...keys.root, ...next.root.slice(0, 1)]);
    expect(code(await trust.advance(byNew))).toBe("signature-invalid");
    expect(code(await trust.advance(byOld))).toBe("signature-invalid");
    expect(code(await trust.advance(byOneOld))).toBe("threshold-not-met");
    expect(code(await trust.advance(byOneNew))).toBe("threshold-not-met");
    expect(trust.current()?.version).toBe(1);
    expect(code(await trust.advance(second))).toBe("ok");
    expect(trust.current()?.version).toBe(2);
  });

  test("versions are followed one by one, and never back", async () => {
    const trust = await world().start();
    await trust.pin(first);
    expect(code(await trust.advance(third))).not.toBe("ok");
    await trust.advance(second);
    await trust.advance(third);
    expect(code(await trust.advance(second))).not.toBe("ok");
    expect(code(await trust.advance(first))).not.toBe("ok");
    expect(trust.current()?.version).toBe(3);
  });

  test("another organisation's document, and a second first one, are refused", async () => {
    const trust = await world().start();
    const other = signBytes("trust", { ...trustOf(keys), org: "other" }, keys.root);
    expect(code(await trust.pin(other))).toBe("audience-wrong");
    expect(code(await trust.pin(first))).toBe("ok");
    expect(code(await trust.pin(first))).toBe("ok");
    expect(code(await trust.pin(signBytes("trust", trustOf(next), next.root)))).toBe("conflict");
  });

  test("pinning again after a rotation keeps the newest", async () => {
    const trust = await world().start();
    await trust.pin(first);
    await trust.advance(second);
    expect(code(await trust.pin(first))).toBe("ok");
    expect(trust.current()?.version).toBe(2);
    expect(code(await trust.pin(third))).toBe("ok");
    expect(trust.current()?.version).toBe(3);
  });
});

describe("through restart and damage", () => {
  test("the chain is read back and verified", async () => {
    const w = world();
    const trust = await w.start();
    await trust.pin(first);
    await trust.advance(second);
    expect((await w.start()).chain().map((each) => each.version)).toEqual([2, 1]);
  });

  test("one damaged copy costs nothing; both mean that the agent trusts nobody", async () => {
    const w = world();
    await (await w.start()).pin(first);
    w.slots.files.set("trust.a", Buffer.from("damaged"));
    expect((await w.start()).current()?.version).toBe(1);
    w.slots.files.set("trust.b", Buffer.from("damaged"));
    expect((await w.start()).current()).toBeUndefined();
  });

  test("a document behind its mark is obeyed by nobody, but still leads to the next", async () => {
    const w = world();
    await (await w.start()).pin(first);
    w.marks.raise({ trust: 2 });
    const trust = await w.start();
    expect(trust.current()).toBeUndefined();
    expect(trust.chain()).toEqual([]);
    expect(trust.newestVersion()).toBe(1);
    expect(code(await trust.advance(second))).toBe("ok");
    expect(trust.current()?.version).toBe(2);
  });
});
