import { expect, test } from "vitest";
import { bundleOf, bytesOf } from "../policy/signing-fixture.ts";
import { createWorkerSelfTest } from "./worker-self-test.ts";

const payload = bytesOf(bundleOf(1));

test("a sound bundle passes in a thread of its own", async () => {
  expect(await createWorkerSelfTest()(payload, "berlin")).toEqual({ ok: true, value: undefined });
});

test("bytes that are no bundle are refused by the thread, with the code of what is wrong", async () => {
  const refused = await createWorkerSelfTest()(bytesOf({ v: 1 }), "berlin");
  expect(refused).toMatchObject({ ok: false, error: { code: "schema-invalid" } });
});

const hostile: readonly (readonly [what: string, source: string, code: string])[] = [
  ["hangs", "for (;;) {}", "self-test-timeout"],
  [
    "eats memory",
    "const all = []; for (;;) all.push(new Array(1e5).fill({}).map(() => ({ a: 1 })))",
    "self-test-timeout",
  ],
  ["throws", "throw new Error('index 21 of 20')", "self-test-failed"],
  ["overflows the stack", "const again = () => again() + 1; again()", "self-test-failed"],
  ["ends without a word", "process.exit(0)", "self-test-failed"],
];
test.each(hostile)("an engine that %s takes nothing of the agent with it", async (_what, source, code) => {
  const selfTest = createWorkerSelfTest({ entry: { source }, deadlineMs: 3_000, heapMb: 32 });
  expect(await selfTest(payload, "berlin")).toMatchObject({ ok: false, error: { code } });
});
