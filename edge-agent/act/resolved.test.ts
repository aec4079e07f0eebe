import { afterEach, describe, expect, test } from "vitest";
import { createWorld, planned, removeWorlds, stateOf } from "./simulated-world.test-fake.ts";

afterEach(removeWorlds);
const names = { "203.0.113.1": "one", "203.0.113.2": "one", "203.0.113.3": "other" };

describe("a target is one thing at the far end", () => {
  test("two names of it share one lease, and ending one does not free the other", async () => {
    const world = createWorld({ names });
    const first = planned("203.0.113.1", 60, world.time.clock.nowMs());
    const second = planned("203.0.113.2", 600, world.time.clock.nowMs());
    await world.plan([first, second]);
    await world.time.advance(5_000);
    expect([stateOf(world, first), stateOf(world, second)]).toEqual(["in_force", "in_force"]);
    expect([...world.farEnd.present.keys()]).toEqual(["block_ip one"]);
    await world.time.advance(60_000);
    expect([stateOf(world, first), stateOf(world, second)]).toEqual(["undone", "in_force"]);
    expect([...world.farEnd.present.keys()]).toEqual(["block_ip one"]);
    await world.time.advance(600_000);
    expect([...world.farEnd.present.keys()]).toEqual([]);
    await world.journal().close();
  });

  test("the lease is found again after a restart, by the id it was resolved to", async () => {
    const world = createWorld({ names });
    const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(5_000);
    await world.executor().stop();
    await world.journal().close();
    world.farEnd.names = {};
    world.restart();
    await world.time.advance(60_000);
    expect(stateOf(world, row)).toBe("undone");
    expect(world.farEnd.present.size).toBe(0);
    await world.journal().close();
  });

  test("none or several is refused, and nothing is sent", async () => {
    const world = createWorld({ names });
    const row = planned("198.51.100.9", 60, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    expect(world.rows()).toMatchObject([{ state: "failed", code: "target-unresolved" }]);
    expect(world.farEnd.applyCalls.size).toBe(0);
    await world.journal().close();
  });

  test("never touch means never, by its name at the far end too", async () => {
    const world = createWorld({ names });
    world.neverTouch = new Set(["other"]);
    const row = planned("203.0.113.3", 60, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    expect(world.rows()).toMatchObject([{ state: "failed", code: "never-touch" }]);
    expect(world.farEnd.applyCalls.size).toBe(0);
    await world.journal().close();
  });

  test("no answer is asked again, and an early undo meanwhile withdraws the plan", async () => {
    const world = createWorld({ names });
    world.farEnd.fates = ["try again"];
    const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(100);
    expect(stateOf(world, row)).toBe("planned");
    world.executor().undoNow(row.command.command_id, "asked");
    await world.time.advance(5_000);
    expect(stateOf(world, row)).toBe("failed");
    expect(world.farEnd.applyCalls.size).toBe(0);
    await world.journal().close();
  });
});

describe("a lease in other hands", () => {
  test.each([
    { isExpiring: false, canVerify: true },
    { isExpiring: true, canVerify: true },
    { isExpiring: true, canVerify: false },
  ])(
    "made longer it ends later, and the far end is told once (expiring by itself: $isExpiring, can verify: $canVerify)",
    async ({ isExpiring, canVerify }) => {
      const world = createWorld({ isExpiring, canVerify });
      const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
      await world.plan([row]);
      await world.time.advance(40_000);
      expect(world.executor().extend(row.command.command_id, 61, "ana")).toMatchObject({
        error: { code: "limit-exceeded" },
      });
      expect(world.executor().extend(row.command.command_id, 10, "ana")).toMatchObject({ error: { code: "conflict" } });
      expect(world.executor().extend(row.command.command_id, 60, "ana").ok).toBe(true);
      const untilMs = world.time.clock.nowMs() + 60_000;
      await world.time.advance(30_000);
      expect(stateOf(world, row)).toBe("in_force");
      const toldMs = world.farEnd.expiresAtMs?.get("block_ip 203.0.113.1") ?? untilMs;
      expect(toldMs).toBeGreaterThanOrEqual(untilMs);
      expect(world.farEnd.applyCalls.get(row.command.idempotency_key)).toBe(isExpiring ? 2 : 1);
      await world.time.advance(31_000);
      expect(stateOf(world, row)).toBe("undone");
      expect(world.outcomes).toEqual([`${row.command.command_id} success`]);
      await world.journal().close();
    },
  );

  test("handed over it stays in force for good, with every lease on the same target", async () => {
    const world = createWorld();
    const row = planned("203.0.113.1", 60, world.time.clock.nowMs());
    const beside = planned("203.0.113.1", 120, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    await world.plan([beside]);
    await world.time.advance(1_000);
    expect(world.executor().handOver(row.command.command_id, "ana")).toEqual({
      ok: true,
      value: [beside.command.command_id],
    });
    await world.time.advance(600_000);
    expect([stateOf(world, row), stateOf(world, beside)]).toEqual(["handed_over", "handed_over"]);
    expect([...world.farEnd.present.keys()]).toEqual(["block_ip 203.0.113.1"]);
    expect(world.executor().handOver(row.command.command_id, "ana")).toMatchObject({ error: { code: "not-found" } });
    await world.journal().close();
  });

  test("one that only joined waits for no call of its own after a crash, however often it is started", async () => {
    const world = createWorld();
    const first = planned("203.0.113.1", 20, world.time.clock.nowMs());
    await world.plan([first]);
    await world.time.advance(1_000);
    const joined = planned("203.0.113.1", 60, world.time.clock.nowMs());
    await world.plan([joined]);
    await world.time.advance(58_000);
    world.farEnd.fates = ["not done, no answer"];
    await world.time.advance(3_000);
    expect([stateOf(world, first), stateOf(world, joined)]).toEqual(["undone", "undoing"]);
    for (let life = 0; life < 3 && stateOf(world, joined) !== "undone"; life += 1) {
      await world.journal().close();
      world.farEnd.fates = [];
      world.restart();
      await world.time.advance(10_000);
    }
    expect(stateOf(world, joined)).toBe("undone");
    await world.journal().close();
  });

  test("a stop before the call puts the plan back: the next start carries it out without asking whether it was", async () => {
    const world = createWorld();
    world.farEnd.fates = ["not done, no answer"];
    const busy = Array.from({ length: 20 }, (_, index) =>
      planned(`203.0.113.${index + 10}`, 600, world.time.clock.nowMs()),
    );
    await world.plan(busy);
    const stopped = world.executor().stop();
    await world.time.advance(20_000);
    await stopped;
    const states = busy.map((row) => stateOf(world, row));
    expect(states.filter((state) => state === "planned")).toHaveLength(4);
    expect(states.filter((state) => state === "sent")).toHaveLength(0);
    await world.journal().close();
  });
});

describe("drift that policy wants reported", () => {
  test("is said once and left as it is", async () => {
    const world = createWorld({ drift: "report" });
    const row = planned("203.0.113.1", 600, world.time.clock.nowMs());
    await world.plan([row]);
    await world.time.advance(1_000);
    world.farEnd.present.clear();
    for (let run = 0; run < 3; run += 1) {
      const reconciled = world.executor().reconcile("far-end");
      await world.time.advance(5_000);
      expect(await reconciled).toMatchObject({ value: { missing: 1 } });
    }
    expect(world.farEnd.present.size).toBe(0);
    expect(world.events()).toEqual(["drift-missing"]);
    expect(world.rows()).toMatchObject([{ state: "in_force", verified: false, code: "verify-absent" }]);
    await world.journal().close();
  });
});
