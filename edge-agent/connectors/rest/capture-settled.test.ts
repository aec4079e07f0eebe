import { refusal } from "@reflex/protocol/refusal";
import { err, ok } from "@reflex/protocol/result";
import { expect, test } from "vitest";
import { captureSettled, readsThatAgreeMin } from "./capture-settled.ts";

const reading = (...answers: readonly (string | undefined)[]) => {
  let reads = 0;
  const capture = async () => {
    const answer = answers[Math.min(reads, answers.length - 1)];
    reads += 1;
    return answer === undefined ? err(refusal("unreachable", "lost")) : ok(answer);
  };
  return {
    run: () =>
      captureSettled(
        capture,
        (data) => data === "so before",
        async () => {},
      ),
    reads: () => reads,
  };
};

test("what was not so before us is believed at once", async () => {
  const { run, reads } = reading("free", "so before");
  expect(await run()).toEqual(ok("free"));
  expect(reads()).toBe(1);
});

test("what was so before us takes reads that agree", async () => {
  const { run, reads } = reading("so before");
  expect(await run()).toEqual(ok("so before"));
  expect(reads()).toBe(readsThatAgreeMin);
});

test("an old read that ends in time is not believed", async () => {
  const late = reading(...Array.from({ length: readsThatAgreeMin - 1 }, () => "so before"), "free");
  expect(await late.run()).toEqual(ok("free"));
});

test("a read that fails in between is no agreement", async () => {
  const { run } = reading("so before", undefined);
  expect(await run()).toMatchObject({ ok: false, error: { code: "unreachable" } });
});
