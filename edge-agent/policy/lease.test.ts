import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createLease } from "./lease.ts";
import { createMemoryMarks } from "./signing-fixture.ts";

const leaseSeconds = 3_600;
const startMs = Date.UTC(2026, 5, 1);
const skewMs = 300_000;

const world = () => {
  const marks = createMemoryMarks();
  const time = { wallMs: startMs, monotonicMs: 0 };
  const start = () => createLease({ clock: { nowMs: () => time.wallMs }, monotonicMs: () => time.monotonicMs, marks });
  const pass = (ms: number) => {
    time.wallMs += ms;
    time.monotonicMs += ms;
  };
  return { marks, time, start, pass };
};

describe("the right to act ends with the lease", () => {
  test("never heard: never valid", () => {
    expect(world().start().valid(leaseSeconds)).toBe(false);
  });

  test("whatever jumps the wall clock makes, it never lasts longer than the lease since the controller was heard", () => {
    const step = fc.record({
      passMs: fc.integer({ min: 0, max: 2_000_000 }),
      jumpMs: fc.integer({ min: -1e11, max: 1e11 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const w = world();
        const lease = w.start();
        lease.renew(w.time.wallMs);
        for (const { passMs, jumpMs } of steps) {
          w.pass(passMs);
          w.time.wallMs += jumpMs;
          if (w.time.monotonicMs > leaseSeconds * 1_000) expect(lease.valid(leaseSeconds)).toBe(false);
        }
      }),
    );
  });

  test("a head that was held back gives no more than was left of it", () => {
    const w = world();
    const issuedMs = w.time.wallMs;
    w.pass(leaseSeconds * 1_000 + skewMs + 1);
    const lease = w.start();
    lease.renew(issuedMs);
    expect(lease.valid(leaseSeconds)).toBe(false);
  });

  test("a controller whose clock runs ahead gives no more than the lease either", () => {
    const w = world();
    const lease = w.start();
    lease.renew(w.time.wallMs + 1e12);
    w.pass(leaseSeconds * 1_000 + 1);
    expect(lease.valid(leaseSeconds)).toBe(false);
  });
});

describe("restart changes nothing", () => {
  test("what is left of the lease is left after a restart", () => {
    const w = world();
    w.start().renew(w.time.wallMs);
    w.pass(1_000_000);
    w.time.monotonicMs = 0;
    expect(w.start().valid(leaseSeconds)).toBe(true);
    w.pass(leaseSeconds * 1_000);
    expect(w.start().valid(leaseSeconds)).toBe(false);
  });

  test("a head heard while the wall clock was ahead does not count as heard later than it was, once the clock is right", () => {
    const w = world();
    w.time.wallMs += 400_000;
    const before = w.start();
    before.renew(w.time.wallMs - 400_000);
    w.time.wallMs -= 400_000;
    w.pass(60_000);
    before.renew(w.time.wallMs);
    w.time.monotonicMs = 0;
    w.pass(leaseSeconds * 1_000 + 1);
    expect(w.start().valid(leaseSeconds)).toBe(false);
  });

  test("a wall clock set back before the restart ends it until the controller is heard", () => {
    const w = world();
    w.start().renew(w.time.wallMs);
    w.time.wallMs -= 1;
    const lease = w.start();
    expect(lease.valid(leaseSeconds)).toBe(false);
    lease.renew(w.time.wallMs);
    expect(lease.valid(leaseSeconds)).toBe(true);
  });
});
