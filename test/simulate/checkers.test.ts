import { createMemoryIngestStore, type MemoryIngestStore } from "@reflex/controller/link/memory-ingest-store";
import type { World } from "@reflex/edge-agent/assemble";
import type { Connector } from "@reflex/edge-agent/connectors/contract";
import type { Journal } from "@reflex/edge-agent/ports";
import { ok } from "@reflex/protocol/result";
import { expect, test } from "vitest";
import { type Sabotage, simulate } from "./simulate.ts";

/** Who guards the guards: an agent or a world that breaks one promise on purpose, and the check that must say so. */
const minutes = 30;
/** Not every history gives a broken agent the occasion: no restart, no kill, no lapse. */
const seedsMax = 40;

const brokenBy = async (sabotage: () => Sabotage, guarantee: string, firstSeed: number): Promise<readonly string[]> => {
  const broken = new Set<string>();
  for (let seed = firstSeed; seed < firstSeed + seedsMax && !broken.has(guarantee); seed += 1)
    for (const breach of (await simulate({ seed, minutes, sabotage: sabotage() })).breaches)
      broken.add(breach.guarantee);
  return [...broken];
};

const always =
  <T>(value: T) =>
  () =>
    value;
const instead = (change: (world: World) => Partial<World>): Sabotage => ({
  instead: (world) => ({ ...world, ...change(world) }),
});
const withJournal = (change: (journal: Journal) => Partial<Journal>): Sabotage =>
  instead(({ journal }) => ({ journal: { ...journal, ...change(journal) } }));
const withConnectors = (change: (connector: Connector) => Partial<Connector>): Sabotage =>
  instead(({ connectors }) => ({
    connectors: new Map([...connectors].map(([name, connector]) => [name, { ...connector, ...change(connector) }])),
  }));

const applyingAgain = (): Sabotage =>
  withConnectors((connector) => ({
    undo: async (call) => {
      const undone = await connector.undo(call);
      if (undone.kind === "undone") await connector.apply(call);
      return undone.kind === "undone" ? connector.undo(call) : undone;
    },
  }));

const losingOneBatch = (): Sabotage => {
  let isLost = false;
  return withJournal((journal) => ({
    write: (writes) => {
      if (isLost || !writes.some(({ kind }) => kind === "decided")) return journal.write(writes);
      isLost = true;
      return Promise.resolve(ok(undefined));
    },
  }));
};

const reportingAnotherScore = (): Sabotage =>
  withJournal((journal) => ({
    write: (writes) =>
      journal.write(
        writes.map((write) =>
          write.kind === "report" && write.reportKind === "token"
            ? { ...write, bodyJson: write.bodyJson.replace('"score":0.', '"score":0.0') }
            : write,
        ),
      ),
  }));

/** Has lost a record that it acknowledged. */
const storeWithALoss = (): MemoryIngestStore => {
  const store = createMemoryIngestStore();
  return { ...store, stored: (agent) => store.stored(agent).slice(0, -1) };
};

const underOtherKeys = (): Sabotage => {
  let calls = 0;
  const anotherKey = (): string => {
    calls += 1;
    return String(calls).padStart(64, "f");
  };
  return { farEnd: { apply: (subject) => ({ ...subject, key: anotherKey() }) } };
};

/** `firstSeed` is one that gives the occasion, to save time; another is found if it does not any more. */
const sabotages: readonly (readonly [guarantee: string, how: string, sabotage: () => Sabotage, firstSeed?: number])[] =
  [
    ["never act twice", "what was undone is done again, and undone again", applyingAgain],
    ["never lose a detection that was acknowledged", "one batch is acknowledged and never written", losingOneBatch],
    [
      "every lease is undone by its deadline or reported stuck",
      "undo says that it worked, and did nothing",
      () => ({ farEnd: { undo: always("pretend") } }),
    ],
    ["killed means killed", "kills on their topics are not listened to", () => ({ isDeaf: true }), 10],
    [
      "killed means killed",
      "the file KILL is not looked at",
      () => instead(() => ({ localKillFile: always(false) })),
      6,
    ],
    [
      "killed means killed",
      "kills are forgotten at a restart",
      () => ({ onBoot: (disk) => disk.forget((name) => name.startsWith("kill")) }),
      3,
    ],
    [
      "who is not heard from gives no right to act",
      "one clock stands still and the other is late",
      () => ({
        ...instead(({ wall }) => ({ monotonicMs: always(0), wall: { nowMs: () => wall.nowMs() - 290_000 } })),
        silentFromMinute: 8,
      }),
      29,
    ],
    ["a replayed decision equals its token", "another score is reported than was decided", reportingAnotherScore],
    [
      "a released version never comes back",
      "a bundle and its mark are forgotten at a restart",
      () => ({ onBoot: (disk) => disk.forget((name) => name === "bundle" || name === "bundle.b") }),
    ],
    [
      "never touch means never",
      "a call goes to another target than was decided",
      () => ({ farEnd: { apply: (subject) => ({ ...subject, target: "address|203.0.113.7" }) } }),
    ],
    ["the cap holds", "uses are forgotten at a restart", () => withJournal(() => ({ commandsSince: always([]) }))],
    [
      "a record acknowledged is a record stored",
      "the controller loses what it acknowledged",
      () => ({ store: storeWithALoss }),
    ],
    ["deny by default", "calls are made that no decision stands for", underOtherKeys],
    [
      "nothing acts on unverified policy",
      "every signature is believed",
      () => instead(({ crypto }) => ({ crypto: { ...crypto, verifyEd25519: always(true) } })),
      11,
    ],
  ];

for (const [guarantee, how, sabotage, firstSeed = 1] of sabotages) {
  test(`${guarantee}: seen to be broken when ${how}`, async () => {
    expect(await brokenBy(sabotage, guarantee, firstSeed)).toContain(guarantee);
  });
}
