import fc from "fast-check";
import { expect, test } from "vitest";
import { createNodeClock } from "./node-clock.ts";

const world = () => {
  const time = { wallMs: 1_000_000, monotonicMs: 0 };
  const jumps: unknown[] = [];
  const log = { info: () => undefined, warn: (fields: unknown) => void jumps.push(fields), error: () => undefined };
  const clock = createNodeClock({ log, wallMs: () => time.wallMs, monotonicMs: () => time.monotonicMs });
  return { time, jumps, clock };
};

test("whatever the wall clock does, time never goes back, and keeps passing", () => {
  const step = fc.record({ passMs: fc.nat(10_000), jumpMs: fc.integer({ min: -1e12, max: 1e12 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const { time, clock } = world();
      let beforeMs = clock.nowMs();
      for (const { passMs, jumpMs } of steps) {
        time.wallMs += passMs + jumpMs;
        time.monotonicMs += passMs;
        const nowMs = clock.nowMs();
        // Also after a step back: a TTL must run on while the wall clock catches up.
        expect(nowMs).toBeGreaterThanOrEqual(beforeMs + (jumpMs <= 0 && nowMs > time.wallMs ? passMs : 0));
        beforeMs = nowMs;
      }
    }),
  );
});

test("a jump is told once, slewing is not", () => {
  const { time, jumps, clock } = world();
  time.wallMs += 1_500;
  time.monotonicMs += 1_000;
  clock.nowMs();
  expect(jumps).toEqual([]);
  time.wallMs -= 3_600_000;
  clock.nowMs();
  clock.nowMs();
  expect(jumps).toEqual([{ jumpedMs: -3_600_000 }]);
});

test("readings in quick succession do not outrun real time after a step back", () => {
  const { time, clock } = world();
  time.wallMs -= 60_000;
  const beforeMs = clock.nowMs();
  for (let reading = 0; reading < 1_000; reading += 1) {
    time.monotonicMs += 0.7;
    clock.nowMs();
  }
  expect(clock.nowMs() - beforeMs).toBe(700);
});
