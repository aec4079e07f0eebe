import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createNodeSlots } from "./node-slots.ts";

let folder: string;
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), "reflex-slots-")), "policy");
});
afterEach(() => rm(join(folder, ".."), { recursive: true, force: true }));

test("what was written is read back whole, by its owner alone, with nothing left beside it", async () => {
  const slots = createNodeSlots(folder);
  const bytes = Buffer.from([0, 1, 2, 255]);
  expect(await slots.read("bundle.a", 100)).toEqual({ ok: true, value: undefined });
  expect((await slots.write("bundle.a", Buffer.from("before"))).ok).toBe(true);
  expect((await slots.write("bundle.a", bytes)).ok).toBe(true);
  expect(await slots.read("bundle.a", 100)).toEqual({ ok: true, value: bytes });
  expect(await readdir(folder)).toEqual(["bundle.a"]);
  expect((await stat(join(folder, "bundle.a"))).mode & 0o077).toBe(0);
});

test("a file longer than allowed is refused before it is read", async () => {
  const slots = createNodeSlots(folder);
  await slots.write("bundle.a", Buffer.alloc(101));
  expect(await slots.read("bundle.a", 100)).toMatchObject({ ok: false, error: { code: "too-large" } });
});

test("writing many at once leaves one of them, whole", async () => {
  const slots = createNodeSlots(folder);
  await Promise.all(
    Array.from({ length: 20 }, (_, index) => slots.write("kill.a", Buffer.alloc(1_000 + index, index))),
  );
  const read = await slots.read("kill.a", 2_000);
  const bytes = read.ok ? Buffer.from(read.value ?? []) : Buffer.alloc(0);
  expect(bytes.equals(Buffer.alloc(1_000 + (bytes[0] ?? 0), bytes[0]))).toBe(true);
});

test("a folder that cannot be written is a refusal, not a crash", async () => {
  const slots = createNodeSlots(join(folder, "kill.a", "below-a-file"));
  await createNodeSlots(folder).write("kill.a", Buffer.from("a file"));
  expect(await slots.write("bundle.a", Buffer.from("x"))).toMatchObject({ ok: false, error: { code: "disk-full" } });
});

test.each(["../escape", "a/b", "", ".hidden", "A"])("%j names no slot", async (name) => {
  await expect(createNodeSlots(folder).write(name, Buffer.from("x"))).rejects.toThrow("not a slot name");
});
