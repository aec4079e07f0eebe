import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { type Fate, fates } from "./simulated-far-end.test-fake.ts";
import { createWorld, planned, removeWorlds, stateOf, type World } from "./simulated-world.test-fake.ts";

afterEach(removeWorlds);

describe("whatever fails, in whatever order", () => {
  const commitNumbers = fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 4 });
  const scenario = fc.record({
    canVerify: fc.boolean(),
    // Two names of one machine, or each its own id; a far end that expires entries, or not.
    names: fc.option(fc.constant({ "203.0.113.1": "one", "203.0.113.2": "one" }), { nil: undefined }),
    isExpiring: fc.boolean(),
    drift: fc.constantFrom("repair" as const, "report" as const),
    seed: fc.integer({ min: 1, max: 1e6 }),
    fates: fc.array(fc.constantFrom(...fates), { minLength: 1, maxLength: 12 }),
    plans: fc.array(
      fc.record({
        target: fc.constantFrom("203.0.113.1", "203.0.113.2"),
        ttl: fc.integer({ min: 10, max: 90 }),
        afterMs: fc.integer({ min: 0, max: 20_000 }),
        undoAfterMs: fc.option(fc.integer({ min: 0, max: 20_000 }), { nil: undefined }),
        extendAfterMs: fc.option(fc.integer({ min: 0, max: 60_000 }), { nil: undefined }),
      }),
      { minLength: 1, maxLength: 6 },
    ),
    crashBefore: commitNumbers,
    crashAfter: commitNumbers,
    diskFull: commitNumbers,
    killAtMs: fc.option(fc.integer({ min: 0, max: 40_000 }), { nil: undefined }),
  });

  test("never act twice, never act while killed, and every lease is undone by its deadline or reported stuck", async () => {
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(scenario, async (drawn) => {
        const { names, ...rest } = drawn;
        const world = createWorld({ ...rest, ...(names === undefined ? {} : { names }) });
        const { time, farEnd } = world;
        farEnd.fates = drawn.fates;
        world.crashBefore = new Set(drawn.crashBefore);
        world.crashAfter = new Set(drawn.crashAfter);
        world.diskFull = new Set(drawn.diskFull);
        if (drawn.killAtMs !== undefined) {
          time.timers.after(drawn.killAtMs, () => {
            world.brake = "kill-engaged";
            farEnd.isKilled = true;
          });
        }
        for (const { target, ttl, afterMs, undoAfterMs, extendAfterMs } of drawn.plans) {
          await time.advance(afterMs);
          const row = planned(target, ttl, time.clock.nowMs());
          await world.plan([row]);
          if (extendAfterMs !== undefined)
            time.timers.after(extendAfterMs, () => void world.executor().extend(row.command.command_id, ttl, "ana"));
          if (undoAfterMs !== undefined)
            time.timers.after(
              undoAfterMs,
              () => void world.executor().undoNow(row.command.command_id, "asked by an analyst"),
            );
        }
        await time.advance(120_000);
        // From here on the world is well, and the longest lease has ended.
        farEnd.fates = [];
        world.crashBefore = world.crashAfter = world.diskFull = new Set();
        await time.advance(15 * 60_000);

        expect(farEnd.violations).toEqual([]);
        for (const [key, effects] of farEnd.applied) expect(effects, `effects of ${key}`).toBe(1);
        const rows = world.rows();
        expect([...farEnd.present]).toEqual([]);
        for (const row of rows) expect(["undone", "failed"], `${row.command.command_id} ended`).toContain(row.state);
        for (const row of rows) seen.set(row.state, (seen.get(row.state) ?? 0) + 1);
        expect(world.executor().pending()).toEqual([]);
        expect(reportedStates(world)).toEqual(
          rows.map(({ command, state }) => `${command.command_id} ${state}`).sort(),
        );
        await world.journal().close();
        removeWorlds();
      }),
      { numRuns: 100 },
    );
    // The drawn worlds did act, and did fail: otherwise all of the above says nothing.
    expect(seen.get("undone")).toBeGreaterThan(20);
    expect(seen.get("failed")).toBeGreaterThan(20);
  });

  /** Newest reported state of each command. */
  const reportedStates = (world: World): string[] => {
    const newest = new Map<string, string>();
    for (const { kind, bodyJson } of world.journal().reports(0, 100_000, 1e9)) {
      if (kind !== "command") continue;
      const report = JSON.parse(bodyJson) as { command: { command_id: string }; state: string };
      newest.set(report.command.command_id, report.state);
    }
    const ids = new Set<string>(world.rows().map(({ command }) => command.command_id));
    return [...newest]
      .filter(([id]) => ids.has(id))
      .map(([id, state]) => `${id} ${state}`)
      .sort();
  };

  test("a connector that cannot verify is called at most once unless it said itself that nothing was done", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<Fate>("done, but no answer", "not done, no answer", "broken pipe"),
        fc.integer({ min: 1, max: 3 }),
        async (fate, crashAfter) => {
          const world = createWorld({ canVerify: false });
          world.farEnd.fates = [fate, "ok"];
          world.crashAfter = new Set([crashAfter]);
          const row = planned("203.0.113.1", 30, world.time.clock.nowMs());
          await world.plan([row]);
          await world.time.advance(20_000);
          expect(world.farEnd.applyCalls.get(row.command.idempotency_key) ?? 0).toBeLessThanOrEqual(1);
          expect(stateOf(world, row)).toBe("pending_verification");
          expect(world.events()).toContain("command-unproven");
          await world.time.advance(60_000);
          expect(stateOf(world, row)).toBe("undone");
          expect(world.farEnd.present.size).toBe(0);
          await world.journal().close();
        },
      ),
      { numRuns: 9 },
    );
  });
});

describe("brakes", () => {
  test("killed while planned: nothing is sent, and the command says why", async () => {
    const world = createWorld();
    world.brake = "kill-engaged";
    const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    expect(world.rows()).toMatchObject([{ state: "failed", code: "kill-engaged" }]);
    expect(world.farEnd.applyCalls.size).toBe(0);
    await world.journal().close();
  });

  test("a kill between the intent and the call still stops the call", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
    world.farEnd.fates = ["try again", "ok"];
    await world.plan([row]);
    await world.time.advance(100);
    expect(stateOf(world, row)).toBe("sent");
    world.brake = "kill-engaged";
    await world.time.advance(5_000);
    expect(world.rows()).toMatchObject([{ state: "failed", code: "kill-engaged" }]);
    expect(world.farEnd.applyCalls.get(row.command.idempotency_key)).toBe(1);
    await world.journal().close();
  });

  test("killing does not stop undoing", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    world.brake = "kill-engaged";
    await world.time.advance(61_000);
    expect(stateOf(world, row)).toBe("undone");
    await world.journal().close();
  });

  test("a plan found at start that is too old is withdrawn, not carried out late", async () => {
    const world = createWorld();
    await world.executor().stop();
    const row = planned("203.0.113.1", 3_600, world.time.clock.nowMs());
    await world.plan([row]);
    await world.journal().close();
    await world.time.advance(16 * 60_000);
    world.restart();
    await world.time.advance(1_000);
    expect(world.rows()).toMatchObject([{ state: "failed", code: "stale" }]);
    expect(world.farEnd.applyCalls.size).toBe(0);
    await world.journal().close();
  });
});

describe("an undo that does not work", () => {
  test("is tried again, then reported stuck with an alarm, still tried, and ends when the target answers again", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 10, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    world.farEnd.fates = ["refused"];
    await world.time.advance(60 * 60_000);
    expect(stateOf(world, row)).toBe("stuck");
    expect(world.events()).toEqual(["undo-stuck"]);
    expect(world.executor().pending()).toMatchObject([{ state: "stuck", code: "undo-failed" }]);
    world.farEnd.fates = [];
    await world.time.advance(10 * 60_000);
    expect(stateOf(world, row)).toBe("undone");
    await world.journal().close();
  });

  test("can be marked by a person who undid it by hand", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 10, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    expect(world.executor().markUndone(row.command.command_id, "ana")).toMatchObject({
      error: { code: "illegal-transition" },
    });
    world.farEnd.fates = ["refused"];
    await world.time.advance(60 * 60_000);
    expect(world.executor().markUndone(row.command.command_id, "ana").ok).toBe(true);
    await world.time.settle();
    expect(world.rows()).toMatchObject([{ state: "undone", detail: "undone by hand, says ana" }]);
    await world.journal().close();
  });

  test("does not take away what a later lease enforces", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 10, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    world.farEnd.fates = ["refused"];
    await world.time.advance(60 * 60_000);
    expect(stateOf(world, row)).toBe("stuck");
    world.farEnd.fates = [];
    const later = planned("203.0.113.1", 3_600, world.time.clock.nowMs());
    await world.plan([later]);
    await world.time.advance(10 * 60_000);
    expect([stateOf(world, row), stateOf(world, later)]).toEqual(["undone", "in_force"]);
    expect(world.farEnd.present.size).toBe(1);
    await world.journal().close();
  });
});

describe("desired and actual", () => {
  test("an entry that vanished is verified and applied again; one without a lease is reported, not removed", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 600, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    world.farEnd.present.clear();
    world.farEnd.present.set("block_ip 198.51.100.7", "somebody");
    const found = world.executor().reconcile("far-end");
    await world.time.advance(5_000);
    expect(await found).toEqual({ ok: true, value: { missing: 1, unowned: 1 } });
    expect(stateOf(world, row)).toBe("in_force");
    expect([...world.farEnd.present.keys()].sort()).toEqual(["block_ip 198.51.100.7", "block_ip 203.0.113.1"]);
    expect(world.events()).toEqual(["drift-missing", "drift-unowned"]);
    await world.journal().close();
  });
});

describe("outcomes", () => {
  test("each command says once whether the connector worked", async () => {
    const world = createWorld();
    const works = planned("203.0.113.1", 60, world.time.clock.nowMs());
    const late = planned("203.0.113.2", 60, world.time.clock.nowMs());
    const not = planned("203.0.113.3", 60, world.time.clock.nowMs());
    world.farEnd.fates = ["ok"];
    await world.plan([works]);
    await world.time.settle();
    world.farEnd.fates = ["done, but no answer", "ok", "ok"];
    await world.plan([late]);
    await world.time.advance(10_000);
    world.farEnd.fates = ["refused"];
    await world.plan([not]);
    await world.time.settle();
    world.farEnd.fates = [];
    await world.time.advance(120_000);
    expect(world.outcomes.sort()).toEqual(
      [
        `${works.command.command_id} success`,
        `${late.command.command_id} success`,
        `${not.command.command_id} failure`,
      ].sort(),
    );
    await world.journal().close();
  });

  test("drain waits for what is under way, and no longer than it is told", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
    world.farEnd.fates = ["not done, no answer", "ok"];
    await world.plan([row]);
    const tooShort = world.executor().drain(1_000);
    await world.time.advance(1_001);
    expect(await tooShort).toBe(false);
    const longEnough = world.executor().drain(90_000);
    await world.time.advance(50_000);
    expect(await longEnough).toBe(true);
    expect(stateOf(world, row)).toBe("in_force");
    await world.journal().close();
  });
});
