import { afterEach, describe, expect, test } from "vitest";
import { createWorld, planned, removeWorlds, stateOf } from "./simulated-world.test-fake.ts";

afterEach(removeWorlds);

describe("a lease", () => {
  test("restart changes nothing enforced: stopping and starting makes no call but verifying", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    expect(stateOf(world, row)).toBe("in_force");
    const appliedBefore = world.farEnd.applyCalls.get(row.command.idempotency_key);
    await world.executor().stop();
    await world.journal().close();
    await world.time.advance(1_000);
    world.restart();
    await world.time.advance(1_000);
    expect(world.farEnd.present.size).toBe(1);
    expect(world.farEnd.undoCalls()).toBe(0);
    expect(world.farEnd.applyCalls.get(row.command.idempotency_key)).toBe(appliedBefore);
    expect(world.executor().inForce()).toHaveLength(1);
    await world.time.advance(60_000);
    expect(stateOf(world, row)).toBe("undone");
    expect(world.farEnd.present.size).toBe(0);
    await world.journal().close();
  });

  test("that was over before its turn came is never begun", async () => {
    const world = createWorld();
    // As many as fill every call the connector takes at once until the others' time is up.
    world.farEnd.fates = ["not done, no answer"];
    const rows = Array.from({ length: 60 }, (_, at) => planned(`203.0.113.${at + 1}`, 10, world.time.clock.nowMs()));
    await world.plan(rows);
    await world.time.advance(15_000);
    world.farEnd.fates = [];
    await world.time.advance(5 * 60_000);
    expect(world.farEnd.violations).toEqual([]);
    expect(world.farEnd.applyCalls.size).toBeLessThan(rows.length);
    for (const row of rows) expect(["undone", "failed"]).toContain(stateOf(world, row));
    expect(world.farEnd.present.size).toBe(0);
    await world.journal().close();
  });

  test("that ended while the agent was down is undone as soon as it is up", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    await world.executor().stop();
    await world.journal().close();
    await world.time.advance(3_600_000);
    expect(world.farEnd.present.size).toBe(1);
    world.restart();
    await world.time.advance(100);
    expect(world.farEnd.present.size).toBe(0);
    expect(stateOf(world, row)).toBe("undone");
    await world.journal().close();
  });

  test("is not made longer by a clock set back while the agent was down", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    await world.executor().stop();
    await world.journal().close();
    world.time.setBack(10 * 365 * 86_400_000);
    world.restart();
    await world.time.advance(61_000);
    expect(stateOf(world, row)).toBe("undone");
    expect(world.farEnd.present.size).toBe(0);
    await world.journal().close();
  });

  test("is not made longer either by restarts after the clock was set back", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    world.time.setBack(10 * 365 * 86_400_000);
    for (let restart = 0; restart < 3; restart += 1) {
      await world.executor().stop();
      await world.journal().close();
      world.restart();
      await world.time.advance(25_000);
    }
    expect(stateOf(world, row)).toBe("undone");
    expect(world.farEnd.present.size).toBe(0);
    await world.journal().close();
  });

  test("ends by the feed's own clock as well, without any timer", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(10);
    world.time.jump(61_000);
    world.executor().tick();
    await world.time.settle();
    expect(stateOf(world, row)).toBe("undone");
    await world.journal().close();
  });

  test("joined by another is one enforcement: one call to apply, one to undo when the last lease ends", async () => {
    const world = createWorld();
    const first = planned("203.0.113.1", 20, world.time.clock.nowMs());
    const second = planned("203.0.113.1", 60, world.time.clock.nowMs());
    await world.plan([first, second]);
    await world.time.advance(1_000);
    expect([stateOf(world, first), stateOf(world, second)]).toEqual(["in_force", "in_force"]);
    expect([...world.farEnd.applyCalls.values()]).toEqual([1]);
    await world.time.advance(25_000);
    expect([stateOf(world, first), stateOf(world, second)]).toEqual(["undone", "in_force"]);
    expect(world.farEnd.present.size, "the second lease still holds").toBe(1);
    expect(world.executor().undoNow(second.command.command_id, "false positive")).toEqual({ ok: true, value: [] });
    await world.time.settle();
    expect(stateOf(world, second)).toBe("undone");
    expect(world.farEnd.present.size).toBe(0);
    expect(world.farEnd.undoCalls()).toBe(1);
    await world.journal().close();
  });

  test("ended early says which other leases still hold the target", async () => {
    const world = createWorld();
    const first = planned("203.0.113.1", 20, world.time.clock.nowMs());
    const second = planned("203.0.113.1", 60, world.time.clock.nowMs());
    await world.plan([first, second]);
    await world.time.advance(1_000);
    expect(world.executor().undoNow(first.command.command_id, "false positive")).toEqual({
      ok: true,
      value: [second.command.command_id],
    });
    await world.journal().close();
  });

  test("is undone although the call of a killed agent arrives after its end", async () => {
    const world = createWorld();
    world.farEnd.outlivesCaller = true;
    world.farEnd.fates = ["done late"];
    const row = planned("203.0.113.1", 6, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    expect(stateOf(world, row)).toBe("sent");
    world.farEnd.fates = [];
    // Dies when it gives up on the call, four seconds before that arrives.
    world.crashBefore = new Set(Array.from({ length: 1_000 }, (_, index) => index));
    await world.time.advance(4_020);
    world.crashBefore = new Set();
    await world.time.advance(120_000);
    expect(world.farEnd.applied.get(row.command.idempotency_key)).toBe(1);
    expect([...world.farEnd.present]).toEqual([]);
    expect(["undone", "failed"]).toContain(stateOf(world, row));
    await world.journal().close();
  });

  test("ended early is over on the disk first; a disk that stays full holds that up for a moment only", async () => {
    for (const isFullForLong of [false, true]) {
      const world = createWorld();
      const row = planned("203.0.113.1", 600, world.time.clock.nowMs());
      await world.plan([row]);
      await world.time.advance(1_000);
      world.diskFull = new Set(Array.from({ length: 1_000 }, (_, index) => index));
      world.executor().undoNow(row.command.command_id, "false positive");
      await world.time.advance(500);
      expect(world.farEnd.undoCalls()).toBe(0);
      if (!isFullForLong) world.diskFull = new Set();
      await world.time.advance(10_000);
      expect(world.farEnd.undoCalls()).toBe(1);
      expect(stateOf(world, row)).toBe(isFullForLong ? "in_force" : "undone");
      world.diskFull = new Set();
      await world.time.advance(2_000);
      expect(stateOf(world, row)).toBe("undone");
      await world.journal().close();
    }
  });
});
