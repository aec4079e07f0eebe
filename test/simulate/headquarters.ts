import { createAnswerSync } from "@reflex/controller/link/answer-sync";
import { createHeads } from "@reflex/controller/link/heads";
import { createIngest, type IngestStore } from "@reflex/controller/link/ingest";
import { type Link, startLink } from "@reflex/controller/link/link";
import { createLive } from "@reflex/controller/link/live";
import { createMemoryIngestStore, type MemoryIngestStore } from "@reflex/controller/link/memory-ingest-store";
import { nodeCrypto } from "@reflex/controller/link/node-crypto";
import { acceptKill } from "@reflex/controller/release/accept-kill";
import { createKillRegister, type Kill, type KillRegister } from "@reflex/controller/release/kill-register";
import type { Envelope } from "@reflex/protocol/envelope";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { BlobPointer, SyncRequest } from "@reflex/protocol/sync";
import { bytesOf, headKey, keys, self, signed, startMs, trustOf } from "./keys.ts";
import type { Network } from "./network.ts";
import type { Sim } from "./sim.ts";

/** The controller: its own ingest, heads, sync, kill register and link, over a store in memory that outlives it. */
export type Headquarters = {
  readonly start: () => void;
  readonly restart: () => void;
  readonly syncOverHttps: (request: SyncRequest) => Promise<Result<Uint8Array, Refusal>>;
  readonly fetch: (pointer: { readonly hash: string }) => Promise<Result<Uint8Array, Refusal>>;
  readonly fetchTrust: (version: number) => Promise<Result<Uint8Array, Refusal>>;
  readonly desire: (
    part: "bundle" | "weights",
    blob: { readonly pointer: BlobPointer; readonly bytes: Uint8Array },
  ) => void;
  readonly rotateTrust: () => void;
  /** A signed kill state as somebody hands it in; false when it is not good enough. */
  readonly takeKill: (envelope: Envelope) => boolean;
  readonly store: MemoryIngestStore;
  readonly lost: () => number;
};

/** As link.ts does. */
const verifyDeps = { verify: nodeCrypto.verify, decodeBase64: nodeCrypto.decodeBase64, textOf: nodeCrypto.textOf };

export const createHeadquarters = (
  sim: Sim,
  network: Network,
  store: MemoryIngestStore = createMemoryIngestStore(),
): Headquarters => {
  const { dice, time, weather } = sim;
  const skewMs = dice.between(-60_000, 60_000);
  const nowMs = (): number => startMs + time.nowMs() + skewMs;
  const blobs = new Map<string, Uint8Array>();
  const desired: { bundle?: BlobPointer; weights?: BlobPointer } = {};
  const kills: Kill[] = [];
  let headSequence = 0;
  let trustVersion = 1;
  let lost = 0;
  let register: KillRegister = createKillRegister();
  let link: Link | undefined;
  let answerSync: ReturnType<typeof createAnswerSync> | undefined;
  const timers = new Set<() => void>();
  store.enrol({ agent: self.agent, site: self.site, reportKey: keys.report[0].public });

  const wait = (ms: number): Promise<void> => new Promise((resolve) => time.after(sim.world, ms, resolve));
  /** The database fails before the commit, or after it without saying so. */
  const shaky: IngestStore = {
    agent: store.agent,
    quarantine: (content) => {
      sim.breach(
        "a record acknowledged is a record stored",
        `the controller could not read a batch: ${content.refusal.code} ${content.refusal.detail}`,
      );
      return store.quarantine(content);
    },
    commit: async (units) => {
      await wait(dice.between(1, dice.chance(weather.storeError) ? 5_000 : 30));
      if (dice.chance(weather.storeError)) throw new Error("the database is away");
      const committed = await store.commit(units);
      if (dice.chance(weather.storeError)) throw new Error("the database was lost after the commit");
      return committed;
    },
  };

  const every = (ms: number, run: () => void): (() => void) => {
    let isOn = true;
    const again = (): void => {
      time.after(sim.world, ms, () => {
        if (!isOn) return;
        if (!weather.isControllerDown) run();
        again();
      });
    };
    again();
    const stop = (): void => {
      isOn = false;
      timers.delete(stop);
    };
    timers.add(stop);
    return stop;
  };

  const start = (): void => {
    register = createKillRegister();
    for (const kill of kills) register.take(kill);
    const heads = createHeads({
      org: self.org,
      key: headKey,
      store: {
        nextHeadSequence: async () => {
          headSequence += 1;
          return headSequence;
        },
        desired: async () => ({ ...desired }),
        storeHead: async () => undefined,
      },
      kills: { epochsFor: (org, site) => register.epochsFor(org, site) },
      trustVersion: () => trustVersion,
      nowMs,
    });
    const fleet = {
      heard: async () => undefined,
      gone: async () => undefined,
      quiet: async () => undefined,
      skipLost: async () => {
        lost += 1;
      },
    };
    answerSync = createAnswerSync({
      org: self.org,
      agents: store,
      fleet,
      heads,
      kills: { reaching: (agent) => register.reaching(agent) },
    });
    link = startLink({
      org: self.org,
      connect: network.connectController,
      ingest: createIngest({ org: self.org, store: shaky, ...verifyDeps, sha256Hex: nodeCrypto.sha256Hex }),
      answerSync,
      fleet,
      sites: async () => [self.site],
      heads,
      kills: { all: () => register.all() },
      live: createLive(),
      nowMs,
      textOf: nodeCrypto.textOf,
      log: () => undefined,
      every,
    });
  };

  const sayHeads = (): void => {
    link?.sendHeads([self.site]).catch(() => undefined);
  };
  const overHttps = async <T>(answer: () => Promise<Result<T, Refusal>>): Promise<Result<T, Refusal>> => {
    await wait(dice.between(5, dice.chance(weather.delayed) ? 8_000 : 100));
    if (weather.isCutOff || weather.isControllerDown || dice.chance(weather.lost)) return err(refusal("unreachable"));
    return answer();
  };

  return {
    start,
    restart: () => {
      for (const stop of timers) stop();
      void link?.stop();
      start();
    },
    syncOverHttps: (request) =>
      overHttps(async () => {
        const answered = await answerSync?.(self.agent, request);
        return answered?.ok === true ? ok(bytesOf(answered.value)) : err(refusal("unreachable"));
      }),
    fetch: ({ hash }) =>
      overHttps(async () => {
        const bytes = blobs.get(hash);
        if (bytes === undefined) return err(refusal("not-found"));
        // A proxy that cuts off or changes what passes through it.
        return ok(dice.chance(weather.lost) ? bytes.subarray(0, bytes.length - dice.between(1, 40)) : bytes);
      }),
    fetchTrust: (version) =>
      overHttps(async () =>
        version <= trustVersion
          ? ok(bytesOf(signed("trust", trustOf(version), keys.root.slice(0, 2))))
          : err(refusal("not-found")),
      ),
    desire: (part, { pointer, bytes }) => {
      blobs.set(pointer.hash, bytes);
      desired[part] = pointer;
      sayHeads();
    },
    rotateTrust: () => {
      trustVersion += 1;
      sayHeads();
    },
    takeKill: (envelope) => {
      const bytes = bytesOf(envelope);
      const accepted = acceptKill(verifyDeps, trustOf(trustVersion), bytes);
      if (!accepted.ok) return false;
      const kill: Kill = { state: accepted.value.value, envelope: JSON.stringify(envelope) };
      if (!register.take(kill)) return false;
      kills.push(kill);
      if (!weather.isControllerDown) link?.sendKill(kill).catch(() => undefined);
      sayHeads();
      return true;
    },
    store,
    lost: () => lost,
  };
};
