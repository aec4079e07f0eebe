import { strongerKillState } from "@reflex/protocol/kill";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createNodeCrypto } from "../adapters/node-crypto.ts";
import { createKillSwitch } from "./kill.ts";
import {
  createMemoryMarks,
  createMemorySlots,
  killOf,
  makeKey,
  makeKeys,
  signBytes,
  testSelf,
  trustOf,
} from "./signing-fixture.ts";

const crypto = createNodeCrypto();
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const keys = makeKeys();
const [one, two] = [keys.kill.slice(0, 1), keys.kill.slice(0, 2)];
const engage = (epoch: number, aud = {}) => signBytes("kill", killOf("engaged", epoch, aud), one);
const release = (epoch: number, aud = {}) => signBytes("kill", killOf("armed", epoch, aud), two);

const world = () => {
  const slots = createMemorySlots();
  const marks = createMemoryMarks();
  marks.raise({ trust: 1 }); // as pinning the trust document does
  const local = { file: false };
  const delayed: (() => void)[] = [];
  const start = async () => {
    const kill = createKillSwitch({
      crypto,
      slots,
      marks,
      trust: { current: () => trustOf(keys) },
      self: testSelf,
      localFile: () => local.file,
      timers: {
        after: (_delayMs, run) => {
          delayed.push(run);
          return () => undefined;
        },
        soon: (run) => queueMicrotask(run),
      },
      tell: () => undefined,
      log,
    });
    await kill.boot();
    return kill;
  };
  return { slots, marks, local, delayed, start };
};

describe("killed means killed", () => {
  test("any interleaving, duplicate, replay and restart converges to the highest epoch, engaged at a tie", async () => {
    const scopes = [{}, { agent: testSelf.agent }, { site: "*" }] as const;
    const messages = scopes.flatMap((aud) =>
      [1, 2, 3, 4].flatMap((epoch) => [
        { state: killOf("engaged", epoch, aud), bytes: engage(epoch, aud) },
        { state: killOf("armed", epoch, aud), bytes: release(epoch, aud) },
      ]),
    );
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.nat(messages.length - 1) },
      { weight: 1, arbitrary: fc.constant("restart" as const) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 24 }), async (steps) => {
        const w = world();
        let kill = await w.start();
        const model = new Map<string, (typeof messages)[number]["state"]>();
        for (const each of steps) {
          if (each === "restart") {
            kill = await w.start();
          } else {
            const { state, bytes } = messages[each] as (typeof messages)[number];
            await kill.accept(bytes);
            const key = `${state.aud.site}/${state.aud.agent}`;
            const known = model.get(key);
            model.set(key, known === undefined ? state : strongerKillState(known, state));
          }
          expect(kill.killed() !== undefined).toBe([...model.values()].some((state) => state.state === "engaged"));
        }
        expect(Object.values(kill.epochs()).sort()).toEqual([...model.values()].map((state) => state.epoch).sort());
      }),
      { numRuns: 150 },
    );
  });

  test("through restart: what was accepted stays, without asking anyone", async () => {
    const w = world();
    expect((await (await w.start()).accept(engage(1))).ok).toBe(true);
    expect((await w.start()).killed()).toMatchObject({ engaged: true, epoch: 1, by: "the analyst on duty" });
  });

  test("through skew: no clock takes part, a kill from 1970 and one from 2100 both stop", async () => {
    for (const issued_at of ["1970-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z"]) {
      const kill = await world().start();
      await kill.accept(signBytes("kill", { ...killOf("engaged", 1), issued_at }, one));
      expect(kill.killed()).toBeDefined();
    }
  });

  test("through a full disk: from RAM at once, told as not durable, stored when there is room", async () => {
    const w = world();
    const kill = await w.start();
    w.slots.fail((name) => (name.startsWith("kill") ? "before" : undefined));
    const accepted = await kill.accept(engage(1));
    expect(accepted).toMatchObject({ ok: false, error: { code: "disk-full" } });
    expect(kill.killed()).toBeDefined();
    // The mark was durable although the state was not, so even a crash now keeps the agent still.
    expect((await w.start()).killed()).toBeDefined();
    w.slots.fail(() => undefined);
    for (const run of w.delayed.splice(0)) run();
    await kill.accept(engage(1));
    expect((await w.start()).killed()).toMatchObject({ scope: `${testSelf.org}/${testSelf.site}/*` });
  });

  test("both copies damaged: nothing acts until a head's epochs are all known again", async () => {
    const w = world();
    await (await w.start()).accept(engage(1));
    for (const name of ["kill.a", "kill.b"]) w.slots.files.set(name, Buffer.from("damaged"));
    const kill = await w.start();
    expect(kill.killed()?.scope).toBe("unread");
    kill.expect({ [`${testSelf.org}/${testSelf.site}/*`]: 2 });
    expect(kill.killed()).toBeDefined();
    await kill.accept(release(2));
    expect(kill.killed()).toBeUndefined();
  });

  test("one damaged copy costs nothing", async () => {
    const w = world();
    await (await w.start()).accept(engage(1));
    w.slots.files.set("kill.a", Buffer.from("damaged"));
    expect((await w.start()).killed()?.epoch).toBe(1);
  });

  test("files deleted: the marks remember that there was a state, and an old release does not help", async () => {
    const w = world();
    const kill = await w.start();
    await kill.accept(release(1));
    await kill.accept(engage(2));
    w.slots.files.clear();
    const after = await w.start();
    expect(after.killed()?.scope).toBe("unread");
    expect((await after.accept(release(1))).ok).toBe(false);
    expect(after.killed()).toBeDefined();
  });

  test("marks lost on an enrolled agent: still until the controller is heard", async () => {
    const w = world();
    const kill = await w.start();
    await kill.accept(release(1));
    expect(kill.killed()).toBeUndefined();
    w.marks.lose();
    const after = await w.start();
    expect(after.killed()?.scope).toBe("unread");
    after.expect({ [`${testSelf.org}/${testSelf.site}/*`]: 1 });
    expect(after.killed()).toBeUndefined();
  });

  test("a head that names a higher epoch than we heard stops until the state is heard", async () => {
    const kill = await world().start();
    await kill.accept(release(1));
    const scope = `${testSelf.org}/${testSelf.site}/*`;
    kill.expect({ [scope]: 2, "acme/paris/*": 9, "other/*/*": 9 });
    expect(kill.killed()).toMatchObject({ scope: "unheard", epoch: 2 });
    await kill.accept(release(2));
    expect(kill.killed()).toBeUndefined();
  });

  test("the local file stops without key, clock or network, and removing it starts again", async () => {
    const w = world();
    await (await w.start()).accept(release(1));
    const kill = await w.start();
    w.local.file = true;
    expect(kill.killed()).toMatchObject({ scope: "local" });
    w.local.file = false;
    expect(kill.killed()).toBeUndefined();
  });
});

describe("who may say it", () => {
  const refusals: readonly (readonly [string, () => Uint8Array, string])[] = [
    ["releasing with one key", () => signBytes("kill", killOf("armed", 9), one), "threshold-not-met"],
    [
      "releasing with one key twice",
      () => signBytes("kill", killOf("armed", 9), [...one, ...one]),
      "threshold-not-met",
    ],
    [
      "engaging with a stranger's key",
      () => signBytes("kill", killOf("engaged", 9), [makeKey("kill-1")]),
      "signature-invalid",
    ],
    ["engaging with the head key", () => signBytes("kill", killOf("engaged", 9), keys.head), "signature-invalid"],
    ["another site's kill", () => engage(9, { site: "paris" }), "audience-wrong"],
    ["another organisation's kill", () => engage(9, { org: "other" }), "audience-wrong"],
    ["another agent's kill", () => engage(9, { agent: "edge-2" }), "audience-wrong"],
    ["a kill for one agent of every site", () => engage(9, { site: "*", agent: testSelf.agent }), "schema-invalid"],
    ["a kill signed as a bundle", () => signBytes("bundle", killOf("engaged", 9), two), "payload-type-wrong"],
    ["a megabyte", () => new Uint8Array(1024 * 1024), "too-large"],
  ];
  test.each(refusals)("%s is refused", async (_what, make, code) => {
    const kill = await world().start();
    await kill.accept(engage(1));
    expect(await kill.accept(make())).toMatchObject({ ok: false, error: { code } });
    expect(kill.epochs()).toEqual({ [`${testSelf.org}/${testSelf.site}/*`]: 1 });
    expect(kill.killed()?.epoch).toBe(1);
  });

  test("a replayed release never undoes a later kill", async () => {
    const kill = await world().start();
    for (const bytes of [engage(1), release(2), engage(3), release(2), release(2), engage(1)]) await kill.accept(bytes);
    expect(kill.killed()?.epoch).toBe(3);
  });
});
