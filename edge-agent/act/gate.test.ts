import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createGate, type GateLimits } from "./gate.ts";
import { createSimulatedTime } from "./simulated-time.test-fake.ts";

const limits: GateLimits = { callsAtOnceMax: 4, failuresMax: 3, pause: { firstMs: 1_000, mostMs: 8_000 } };
const open = (changed: Partial<GateLimits> = {}) => {
  const time = createSimulatedTime(0);
  const circuits: boolean[] = [];
  const gate = createGate(
    { ...limits, ...changed },
    { timers: time.timers, random: { bytes: () => Uint8Array.of(128) }, onCircuit: (isOpen) => circuits.push(isOpen) },
  );
  return { time, gate, circuits };
};

describe("what stands before a connector", () => {
  test("never more calls at once than it takes, never more than its rate, and every caller gets its turn", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.option(fc.record({ perSecond: fc.integer({ min: 1, max: 300 }), burst: fc.integer({ min: 1, max: 20 }) }), {
          nil: undefined,
        }),
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 60 }),
        async (callsAtOnceMax, rate, durationsMs) => {
          const { time, gate } = open({ callsAtOnceMax, ...(rate === undefined ? {} : { rate }) });
          const beganAtMs: number[] = [];
          let underWay = 0;
          for (const [index, durationMs] of durationsMs.entries()) {
            void gate.take(index % 3 === 0).then((release) => {
              beganAtMs.push(time.clock.nowMs());
              underWay += 1;
              expect(underWay).toBeLessThanOrEqual(callsAtOnceMax);
              time.timers.after(durationMs, () => {
                underWay -= 1;
                release();
              });
            });
          }
          await time.advance(600_000);
          expect(beganAtMs).toHaveLength(durationsMs.length);
          if (rate === undefined) return;
          for (const [index, fromMs] of beganAtMs.entries())
            for (const [later, untilMs] of beganAtMs.slice(index).entries())
              expect(later + 1).toBeLessThanOrEqual(rate.burst + ((untilMs - fromMs) * rate.perSecond) / 1_000 + 1);
        },
      ),
      { numRuns: 30 },
    );
  });

  test("an undo goes before everything that waits", async () => {
    const { time, gate } = open({ callsAtOnceMax: 1 });
    const order: string[] = [];
    const first = await gate.take(false);
    for (const name of ["apply 1", "apply 2"])
      void gate.take(false).then((release) => {
        order.push(name);
        release();
      });
    void gate.take(true).then((release) => {
      order.push("undo");
      release();
    });
    first();
    await time.settle();
    expect(order).toEqual(["undo", "apply 1", "apply 2"]);
  });

  test("calls in a row that bring nothing pause applying; one tries after the pause, and an answer closes the circuit", async () => {
    const { time, gate, circuits } = open();
    for (let failure = 0; failure < limits.failuresMax; failure += 1) {
      expect(gate.admit()).toBe(true);
      gate.note(false);
    }
    expect(circuits).toEqual([true]);
    expect(gate.admit()).toBe(false);
    expect(gate.waitMs()).toBeGreaterThan(0);
    await time.advance(limits.pause.firstMs);
    expect([gate.admit(), gate.admit()]).toEqual([true, false]);
    gate.note(false);
    await time.advance(limits.pause.firstMs);
    expect(gate.admit(), "the second pause is longer").toBe(false);
    await time.advance(limits.pause.firstMs);
    expect(gate.admit()).toBe(true);
    gate.note(true);
    expect(circuits).toEqual([true, false]);
    expect([gate.admit(), gate.admit()]).toEqual([true, true]);
  });

  test("one that tries and never comes back does not shut the gate for good", async () => {
    const { time, gate } = open();
    for (let failure = 0; failure < limits.failuresMax; failure += 1) gate.note(false);
    await time.advance(limits.pause.firstMs);
    expect(gate.admit()).toBe(true);
    await time.advance(limits.pause.firstMs);
    expect(gate.admit()).toBe(true);
  });
});
