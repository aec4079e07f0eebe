import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { orderSecondsMax } from "@reflex/protocol/limits";
import type { Order, OrderDo } from "@reflex/protocol/order";
import { timestampOf } from "@reflex/protocol/timestamp";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { createExecutor, type Executor } from "./act/executor.ts";
import { createFarEnd } from "./act/simulated-far-end.test-fake.ts";
import { createSimulatedTime } from "./act/simulated-time.test-fake.ts";
import { planned } from "./act/simulated-world.test-fake.ts";
import { createNodeCrypto } from "./adapters/node-crypto.ts";
import { createOrders } from "./orders.ts";
import { createMemoryMarks, makeKeys, signBytes, testSelf, trustOf } from "./policy/signing-fixture.ts";
import type { CommandRow } from "./ports.ts";
import { openJournal } from "./store/journal.ts";

const keys = makeKeys();
const trust = trustOf(keys);
const log = { info: () => {}, warn: () => {}, error: () => {} };
const startMs = Date.UTC(2026, 5, 1);
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

let orderIds = 0;
/** The acting half of an agent with its real journal and executor, over simulated time and a simulated far end. */
const createWorld = () => {
  const folder = mkdtempSync(join(tmpdir(), "reflex-orders-"));
  folders.push(folder);
  const time = createSimulatedTime(startMs);
  const farEnd = createFarEnd(time, true);
  const { clock, timers } = time;
  const opened = openJournal({ folder, clock, timers, log });
  if (!opened.ok) throw new Error(opened.error.detail);
  const journal = opened.value;
  const marks = createMemoryMarks();
  const executor: Executor = createExecutor({
    clock,
    timers,
    random: { bytes: (count) => new Uint8Array(count) },
    journal,
    connectors: new Map([["far-end", farEnd.connector(() => true)]]),
    brakes: { check: () => undefined },
    log,
    onChange: (row) => orders.noteCommand(row),
  });
  const deps = { self: testSelf, executor, crypto: createNodeCrypto(), trust: { current: () => trust }, marks };
  const orders = createOrders({ ...deps, clock, wall: clock, timers, journal, log });
  executor.start();

  const orderOf = (what: OrderDo, more: Partial<Order> = {}): Order => {
    orderIds += 1;
    const now = clock.nowMs();
    return {
      v: 1,
      kind: "order",
      aud: testSelf,
      order_id: `019c1000-0000-7000-8000-${String(orderIds).padStart(12, "0")}`,
      issued_at: timestampOf(now),
      expires_at: timestampOf(now + 300_000),
      do: what,
      by: "ops",
      reason: "drill",
      ...more,
    };
  };
  return {
    time,
    farEnd,
    marks,
    orders,
    orderOf,
    act: async (target: string, ttl: number): Promise<CommandRow> => {
      const row = planned(target, ttl, clock.nowMs());
      await Promise.all([journal.write([{ kind: "command", row }]), time.settle()]);
      executor.run([row]);
      await time.advance(1_000);
      return row;
    },
    order: async (what: OrderDo, more: Partial<Order> = {}) => {
      const order = orderOf(what, more);
      const taken = orders.take(signBytes("order", order, keys.head));
      await time.settle();
      return { order, taken: await taken };
    },
    now: ({ command }: CommandRow) =>
      journal.commandsSince(0).find((row) => row.command.command_id === command.command_id),
    answers: () =>
      journal
        .reports(0, 1_000, 1e9)
        .filter(({ kind }) => kind === "event")
        .map(
          ({ bodyJson }) => JSON.parse(bodyJson) as { name: string; code?: string; detail: string; order_id?: string },
        )
        .filter(({ order_id }) => order_id !== undefined),
    close: () => journal.close(),
  };
};
const onCommand = (kind: "undo" | "hand_over" | "mark_undone", { command }: CommandRow): OrderDo => ({
  kind,
  command_id: command.command_id,
});
const extendBy = ({ command }: CommandRow, ttl_seconds: number): OrderDo => ({
  kind: "extend",
  command_id: command.command_id,
  ttl_seconds,
});

describe("a person's order", () => {
  test("undo ends a lease early and is answered when it is over", async () => {
    const world = createWorld();
    const row = await world.act("203.0.113.1", 3_600);
    const { order } = await world.order(onCommand("undo", row));
    await world.time.advance(1_000);
    expect(world.farEnd.present.size).toBe(0);
    expect(world.now(row)?.state).toBe("undone");
    expect(world.answers()).toMatchObject([{ name: "order-done", order_id: order.order_id }]);
    await world.close();
  });

  test("undo of one of two leases on a target says which one keeps it enforced", async () => {
    const world = createWorld();
    const one = await world.act("203.0.113.1", 600);
    const other = await world.act("203.0.113.1", 600);
    await world.order(onCommand("undo", one));
    await world.time.advance(1_000);
    expect(world.farEnd.present.size).toBe(1);
    expect(world.answers()[0]?.detail).toContain(other.command.command_id);
    await world.close();
  });

  test("undo that does not come to an end is answered at its expiry, and goes on", async () => {
    const world = createWorld();
    const row = await world.act("203.0.113.1", 3_600);
    world.farEnd.fates = ["not done, no answer"];
    await world.order(onCommand("undo", row), { expires_at: timestampOf(world.time.clock.nowMs() + 3_000) });
    await world.time.advance(3_001);
    expect(world.answers()).toMatchObject([{ name: "order-refused", code: "undo-failed" }]);
    world.farEnd.fates = [];
    await world.time.advance(600_000);
    expect(world.now(row)?.state).toBe("undone");
    expect(world.answers()).toHaveLength(1);
    await world.close();
  });

  test("extend keeps it in force beyond its first end, and it is undone at the new one", async () => {
    const world = createWorld();
    const row = await world.act("203.0.113.1", 600);
    await world.time.advance(500_000);
    await world.order(extendBy(row, 600));
    expect(world.answers()).toMatchObject([{ name: "order-done" }]);
    await world.time.advance(500_000);
    expect(world.farEnd.present.size).toBe(1);
    expect(world.now(row)?.state).toBe("in_force");
    await world.time.advance(200_000);
    expect(world.farEnd.present.size).toBe(0);
    await world.order(extendBy(row, 600));
    expect(world.answers()).toMatchObject([{ name: "order-done" }, { name: "order-refused", code: "not-found" }]);
    await world.close();
  });

  test("extend never gives more than its policy at a time, nor more than a day in all, however often and late it is heard", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 60, max: 8 * 3_600 }),
        fc.array(fc.tuple(fc.integer({ min: 10, max: 9 * 3_600 }), fc.integer({ min: 1, max: 3_000 })), {
          maxLength: 12,
        }),
        async (ttl, asked) => {
          const world = createWorld();
          const row = await world.act("203.0.113.1", ttl);
          const ends = [world.now(row)?.undoAtMs ?? 0];
          for (const [seconds, waitSeconds] of asked) {
            const issuedMs = world.time.clock.nowMs();
            const order = signBytes("order", world.orderOf(extendBy(row, seconds)), keys.head);
            const late = Math.min(waitSeconds, 200) * 1_000;
            for (let copy = 0; copy < 2; copy += 1) {
              const [taken] = await Promise.all([world.orders.take(order), world.time.settle()]);
              expect(taken.ok || taken.error.code === "replayed").toBe(true);
              await world.time.advance(late / 2);
            }
            const endMs = world.now(row)?.undoAtMs ?? 0;
            const allowedMs = issuedMs + Math.min(seconds, ttl) * 1_000;
            const hadMs = ends.at(-1) ?? 0;
            if (endMs !== hadMs) expect(endMs).toBeLessThanOrEqual(allowedMs);
            expect(endMs).toBeLessThanOrEqual(Date.parse(row.command.issued_at) + (ttl + 86_400) * 1_000);
            ends.push(endMs);
            await world.time.advance(waitSeconds * 1_000);
          }
          await world.time.advance((ttl + 86_400) * 1_000);
          expect(world.now(row)?.state).toBe("undone");
          expect(world.farEnd.present.size).toBe(0);
          await world.close();
        },
      ),
      { numRuns: 15 },
    );
  });

  test("hand-over leaves in force what it finds so, and nothing else", async () => {
    const world = createWorld();
    const row = await world.act("203.0.113.1", 60);
    await world.order(onCommand("hand_over", row));
    await world.time.advance(3_600_000);
    expect(world.now(row)?.state).toBe("handed_over");
    expect(world.farEnd.present.size).toBe(1);
    await world.order(onCommand("hand_over", row));
    expect(world.answers()).toMatchObject([{ name: "order-done" }, { name: "order-refused", code: "not-found" }]);
    await world.close();
  });

  test("a stuck one is marked, one that is not stuck is not; a connector is compared, one that is not there is not", async () => {
    const world = createWorld();
    const row = await world.act("203.0.113.1", 600);
    await world.order(onCommand("mark_undone", row));
    world.farEnd.fates = ["not done, no answer"];
    await world.order(onCommand("undo", row));
    await world.time.advance(7 * 86_400_000);
    expect(world.now(row)?.state).toBe("stuck");
    await world.order(onCommand("mark_undone", row));
    expect(world.now(row)?.state).toBe("undone");
    world.farEnd.fates = [];
    await world.order({ kind: "reconcile", connector: "far-end" });
    await world.order({ kind: "reconcile", connector: "no-such" });
    await world.time.advance(1_000);
    expect(world.answers().map(({ name, code }) => [name, code])).toEqual([
      ["order-refused", "illegal-transition"],
      ["order-refused", "undo-failed"],
      ["order-done", undefined],
      ["order-done", undefined],
      ["order-refused", "connector-unknown"],
    ]);
    await world.close();
  });
});

test("who holds the head key and floods an agent is heard a thousand times in ten minutes, and then again", async () => {
  const world = createWorld();
  const codes: string[] = [];
  const flood = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      const order = world.orderOf({ kind: "reconcile", connector: "no-such" });
      const taken = await world.orders.take(signBytes("order", order, keys.head));
      if (!taken.ok) codes.push(taken.error.code);
    }
  };
  await flood(1_001);
  expect(codes).toEqual(["queue-full"]);
  await world.time.advance(orderSecondsMax * 1_000 + 1);
  await flood(1);
  expect(codes).toHaveLength(1);
  await world.close();
});

describe("an order that is not to be believed does nothing and is not answered", () => {
  test("another role's key, another agent, another kind of message", async () => {
    const world = createWorld();
    const row = await world.act("203.0.113.1", 600);
    const order = world.orderOf(onCommand("undo", row));
    const codeOf = async (bytes: Uint8Array) => {
      const taken = await world.orders.take(bytes);
      return taken.ok ? "taken" : taken.error.code;
    };
    for (const other of [keys.release, keys.kill, keys.weights, keys.root])
      expect(await codeOf(signBytes("order", order, other))).toBe("signature-invalid");
    expect(await codeOf(signBytes("head", order, keys.head))).toBe("payload-type-wrong");
    for (const aud of [{ agent: "edge-2" }, { site: "paris" }, { org: "other" }])
      expect(await codeOf(signBytes("order", { ...order, aud: { ...testSelf, ...aud } }, keys.head))).toBe(
        "audience-wrong",
      );
    const tooLong = { ...order, expires_at: timestampOf(startMs + (orderSecondsMax + 2) * 1_000) };
    expect(await codeOf(signBytes("order", tooLong, keys.head))).toBe("schema-invalid");
    await world.time.advance(5_000);
    expect(world.now(row)?.state).toBe("in_force");
    expect(world.answers()).toEqual([]);
    await world.close();
  });

  test("one that comes late is refused and said so, by whichever clock is ahead: the agent's, or the last head's", async () => {
    const world = createWorld();
    const row = await world.act("203.0.113.1", 3_600);
    const order = signBytes("order", world.orderOf(onCommand("undo", row)), keys.head);
    const other = signBytes("order", world.orderOf(onCommand("undo", row)), keys.head);
    await world.time.advance(300_001);
    await world.orders.take(order);
    // Set back by an attacker or a dead battery; the controller was heard meanwhile.
    world.marks.raise({ "lease/issued": world.time.clock.nowMs() });
    world.time.setBack(300_000);
    await world.orders.take(other);
    await world.order(onCommand("undo", row), {
      issued_at: timestampOf(startMs + 3_600_000),
      expires_at: timestampOf(startMs + 3_700_000),
    });
    await world.time.advance(1_000);
    expect(world.answers().map(({ code }) => code)).toEqual(["expired", "expired", "timestamp-absurd"]);
    expect(world.now(row)?.state).toBe("in_force");
    await world.close();
  });
});
