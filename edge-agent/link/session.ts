import { type Refusal, type RefusalCode, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { BlobPointer, Head, Heartbeat, SyncRequest, SyncResponse } from "@reflex/protocol/sync";
import { timestampOf } from "@reflex/protocol/timestamp";
import { checkAcknowledgement, checkHead, checkSyncResponse } from "@reflex/protocol/validate";
import type { Orders } from "../orders.ts";
import type { Activation, Tell } from "../policy/activate.ts";
import type { KillSwitch } from "../policy/kill.ts";
import type { Lease } from "../policy/lease.ts";
import type { Marks } from "../policy/marks-port.ts";
import { openSigned, readJson } from "../policy/open-signed.ts";
import type { TrustStore } from "../policy/trust.ts";
import type { Clock, Crypto, Log, Random, Timers } from "../ports.ts";
import { createBackoff, jittered } from "./backoff.ts";
import type { Blobs, Link, SyncOverHttps } from "./link-port.ts";

/** A head lists a site's kill scopes and three pointers. */
const headBytesMax = 64 * 1024;

export type SessionTimes = {
  readonly heartbeatMs: number;
  /** No answer to a sync within this: ask again. */
  readonly syncAnswerMs: number;
  /** Broker unreachable this long: ask over HTTPS. */
  readonly httpsAfterMs: number;
  readonly httpsEveryMs: number;
  /** A refused or failed fetch is tried again within this, and at once when something else is offered. */
  readonly refetchMs: number;
};
export const sessionTimes: SessionTimes = {
  heartbeatMs: 15_000,
  syncAnswerMs: 10_000,
  httpsAfterMs: 30_000,
  httpsEveryMs: 10_000,
  refetchMs: 5 * 60_000,
};

/** What of the heartbeat and sync request comes from elsewhere in the agent. */
export type SessionFacts = () => Pick<Heartbeat, "mode" | "counts" | "connectors"> &
  Partial<Pick<Heartbeat, "host">> & { readonly spool: SyncRequest["spool"] };

export type SessionDeps = {
  readonly self: { readonly org: string; readonly site: string; readonly agent: string };
  readonly bootId: string;
  readonly engine: string;
  readonly link: Link;
  readonly syncOverHttps: SyncOverHttps;
  readonly blobs: Blobs;
  readonly trust: TrustStore;
  readonly activation: Pick<
    Activation<unknown>,
    "offerBundle" | "offerWeights" | "noteRefused" | "noteFetching" | "observed"
  >;
  readonly kill: KillSwitch;
  readonly orders: Pick<Orders, "take">;
  readonly lease: Lease;
  readonly marks: Marks;
  readonly reporter: { readonly acknowledge: (upTo: number) => void; readonly reconnected: () => void };
  readonly facts: SessionFacts;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly tell: Tell;
  readonly log: Log;
  readonly times?: Partial<SessionTimes>;
};

export type Session = {
  readonly start: () => void;
  readonly stop: () => Promise<void>;
  /** Something in the heartbeat changed. */
  readonly changed: () => void;
  /** Messages refused since start, by reason: poison is counted, never a crash. */
  readonly refusedCounts: () => Readonly<Record<string, number>>;
  /** A kill or sync from a local file or command line. */
  readonly takeSync: (bytes: Uint8Array) => Promise<Result<void, Refusal>>;
};

/** Hear -> believe -> fetch -> activate, and tell how far we came. The simulator runs this as it is. */
export const createSession = (deps: SessionDeps): Session => {
  const { link, kill, activation, crypto, timers, random, log } = deps;
  const times = { ...sessionTimes, ...deps.times };
  const refused = new Map<string, number>();
  const cancels = new Map<string, () => void>();
  const answerBackoff = createBackoff(random, times.syncAnswerMs, times.syncAnswerMs * 16);
  let isStopped = false;
  let isAnswered = false;
  let disconnectedMs: number | undefined;
  let desired:
    | { readonly bundle?: BlobPointer; readonly weights?: BlobPointer; readonly trustVersion: number }
    | undefined;
  let reaching: Promise<void> | undefined;

  const later = (name: string, delayMs: number, run: () => void): void => {
    cancels.get(name)?.();
    if (isStopped) return;
    cancels.set(name, timers.after(delayMs, run));
  };

  const underWay = new Set<Promise<unknown>>();
  const track = (work: Promise<unknown>): void => {
    underWay.add(work);
    // A broken promise of ours on one message must not end the process that carries the kill switch.
    const told = work.catch((error: unknown) => {
      log.error({ error: error instanceof Error ? error.message : "unknown error" }, "handling a message failed");
    });
    void told.finally(() => underWay.delete(work));
  };

  const refuse = (from: string, why: Refusal): void => {
    const key = `${from}:${why.code}`;
    const count = (refused.get(key) ?? 0) + 1;
    refused.set(key, count);
    // The first and then ever rarer: poison must not fill the log.
    if ((count & (count - 1)) === 0) log.warn({ from, code: why.code, detail: why.detail, count }, "message refused");
  };

  // ---- ask -------------------------------------------------------------------------------------------------------

  const syncRequest = (): SyncRequest => ({
    v: 1,
    ...deps.self,
    boot_id: deps.bootId,
    engine: deps.engine,
    bundle: activation.observed("bundle"),
    weights: activation.observed("weights"),
    head_sequence: deps.marks.get("head"),
    kill_epochs: { ...kill.epochs() },
    spool: deps.facts().spool,
  });

  const askSync = (): void => {
    isAnswered = false;
    void link.publish("syncRequest", syncRequest());
    later("answer", times.syncAnswerMs + answerBackoff.nextMs(), () => {
      if (!isAnswered && link.connected()) askSync();
    });
  };

  // The local file changes without telling anybody.
  let wasKilled = false;
  const watchLink = (): void => {
    const nowMs = deps.clock.nowMs();
    if (link.connected()) disconnectedMs = undefined;
    else disconnectedMs ??= nowMs;
    if (disconnectedMs !== undefined && nowMs - disconnectedMs >= times.httpsAfterMs) track(askHttps());
    const isKilled = kill.killed() !== undefined;
    if (isKilled !== wasKilled) changed();
    wasKilled = isKilled;
    later("watch", jittered(random, Math.min(times.httpsEveryMs, times.httpsAfterMs), 0.5), watchLink);
  };

  let isAskingHttps = false;
  const askHttps = async (): Promise<void> => {
    if (isAskingHttps) return;
    isAskingHttps = true;
    const answered = await deps.syncOverHttps(syncRequest());
    isAskingHttps = false;
    if (answered.ok) await takeSync(answered.value);
    else refuse("https", answered.error);
  };

  // ---- hear ------------------------------------------------------------------------------------------------------

  const takeSync = async (bytes: Uint8Array): Promise<Result<void, Refusal>> => {
    const read = readJson(crypto, bytes, checkSyncResponse);
    if (!read.ok) {
      refuse("sync", read.error);
      return read;
    }
    return applySync(read.value);
  };

  // Kill first: nothing in the answer may let one more action through before the stop in it is heard.
  const applySync = async (response: SyncResponse): Promise<Result<void, Refusal>> => {
    // All at once: each is in force as it is read, and none waits for the disk of the one before.
    await Promise.all(response.kills.map((envelope) => takeKill("sync", crypto.utf8(JSON.stringify(envelope)))));
    const head = takeHead("sync", crypto.utf8(JSON.stringify(response.head)));
    deps.reporter.acknowledge(response.acknowledged);
    return head;
  };

  const takeKill = async (from: string, bytes: Uint8Array): Promise<void> => {
    if (bytes.length === 0) return; // an empty retained message only clears the cache
    const taken = await kill.accept(bytes);
    if (!taken.ok) refuse(`kill ${from}`, taken.error);
  };

  const takeOrder = async (bytes: Uint8Array): Promise<void> => {
    const taken = await deps.orders.take(bytes);
    if (!taken.ok) refuse("order", taken.error);
  };

  const takeHead = (from: string, bytes: Uint8Array): Result<void, Refusal> => {
    if (bytes.length === 0) return ok(undefined);
    const opened = openHead(bytes);
    if (!opened.ok) {
      // The answer to a sync may well repeat the head we know.
      if (opened.error.code !== "replayed") refuse(`head ${from}`, opened.error);
      else isAnswered = true;
      return opened;
    }
    const head = opened.value;
    isAnswered = true;
    answerBackoff.reset();
    deps.lease.renew(Date.parse(head.issued_at));
    kill.expect(head.kill_epochs);
    desired = {
      ...(head.bundle === undefined ? {} : { bundle: head.bundle }),
      ...(head.weights === undefined ? {} : { weights: head.weights }),
      trustVersion: head.trust_version,
    };
    const isKillMissed = kill.killed()?.scope === "unheard";
    if (from !== "sync" && isKillMissed && link.connected()) askSync();
    void reach();
    return ok(undefined);
  };

  const openHead = (bytes: Uint8Array): Result<Head, Refusal> => {
    const gate = { kind: "head", payloadBytesMax: headBytesMax, check: checkHead } as const;
    const opened = openSigned(
      crypto,
      gate,
      bytes,
      deps.trust
        .chain()
        .map((trust) => trust.roles.head)
        .slice(0, 1),
    );
    if (!opened.ok) return opened;
    const { aud, sequence } = opened.value.value;
    if (aud.org !== deps.self.org || aud.site !== deps.self.site)
      return err(refusal("audience-wrong", `${aud.org}/${aud.site}`));
    const mark = deps.marks.get("head");
    if (sequence === mark) return err(refusal("replayed", `sequence ${sequence}`));
    if (sequence < mark) return err(refusal("version-rollback", `sequence ${sequence}, seen ${mark}`));
    // Not durable would let the same head renew the lease again after a restart.
    const raised = deps.marks.raise({ head: sequence });
    return raised.ok ? ok(opened.value.value) : raised;
  };

  const takeAcknowledgement = (bytes: Uint8Array): void => {
    const read = readJson(crypto, bytes, checkAcknowledgement);
    if (!read.ok) refuse("acknowledgement", read.error);
    else if (read.value.agent !== deps.self.agent) refuse("acknowledgement", refusal("audience-wrong"));
    else deps.reporter.acknowledge(read.value.acknowledged);
  };

  // ---- reach what is desired -------------------------------------------------------------------------------------

  const reach = (): Promise<void> => {
    reaching ??= reachDesired().finally(() => {
      reaching = undefined;
    });
    return reaching;
  };

  /** Trust before what it vouches for, bundle before the weights it bounds. Ends when there is nothing left to try now. */
  const reachDesired = async (): Promise<void> => {
    for (let aim = desired; aim !== undefined && !isStopped; aim = desired === aim ? undefined : desired) {
      await reachTrust(aim.trustVersion);
      if (aim.bundle !== undefined) await reachPart("bundle", aim.bundle);
      if (aim.weights !== undefined) await reachPart("weights", aim.weights);
    }
  };

  const reachTrust = async (version: number): Promise<void> => {
    for (let have = deps.trust.newestVersion(); have > 0 && have < version; have = deps.trust.newestVersion()) {
      const fetched = await deps.blobs.fetchTrust(have + 1);
      const advanced = fetched.ok ? await deps.trust.advance(fetched.value) : fetched;
      if (!advanced.ok) {
        refuse("trust", advanced.error);
        deps.tell("alarm", "trust-refused", `version ${have + 1}: ${advanced.error.detail}`, advanced.error.code);
        later("refetch", jittered(random, times.refetchMs, 0.5), () => void reach());
        return;
      }
      lastTried.clear();
      deps.tell("info", "trust-advanced", `version ${have + 1}`);
    }
  };

  const reachPart = async (part: "bundle" | "weights", pointer: BlobPointer): Promise<void> => {
    const observed = activation.observed(part);
    if (observed.hash === pointer.hash || pointer.version <= observed.version) return;
    if (observed.refused?.hash === pointer.hash && !isWorthRetrying(part, pointer)) return;
    lastTried.set(part, { hash: pointer.hash, atMs: deps.clock.nowMs() });
    activation.noteFetching(part, true);
    changed();
    const fetched = await deps.blobs.fetch(pointer);
    activation.noteFetching(part, false);
    const offer = part === "bundle" ? activation.offerBundle : activation.offerWeights;
    const reached = fetched.ok ? await offer(fetched.value, pointer) : fetched;
    if (!fetched.ok) activation.noteRefused(part, pointer, fetched.error);
    if (!reached.ok) {
      refuse(part, reached.error);
      later("refetch", jittered(random, times.refetchMs, 0.5), () => void reach());
    }
    changed();
  };

  const lastTried = new Map<string, { readonly hash: string; readonly atMs: number }>();
  const isWorthRetrying = (part: "bundle" | "weights", pointer: BlobPointer): boolean => {
    const last = lastTried.get(part);
    if (last?.hash !== pointer.hash) return true;
    const code = activation.observed(part).refused?.code;
    return code !== undefined && isPassing(code) && deps.clock.nowMs() - last.atMs >= times.refetchMs / 2;
  };

  // ---- tell ------------------------------------------------------------------------------------------------------

  const beat = (): void => {
    later("beat", jittered(random, times.heartbeatMs, 0.2), beat);
    if (!link.connected()) return;
    const { spool: _, ...facts } = deps.facts();
    void link.publish("heartbeat", {
      v: 1,
      ...deps.self,
      boot_id: deps.bootId,
      at: timestampOf(deps.clock.nowMs()),
      engine: deps.engine,
      killed: kill.killed() !== undefined,
      bundle: activation.observed("bundle"),
      weights: activation.observed("weights"),
      kill_epochs: { ...kill.epochs() },
      ...facts,
    });
  };

  let isBeatSoon = false;
  const changed = (): void => {
    if (isBeatSoon || isStopped) return;
    isBeatSoon = true;
    timers.soon(() => {
      isBeatSoon = false;
      if (!isStopped) beat();
    });
  };

  return {
    start: () => {
      link.on("head", (bytes) => void takeHead("topic", bytes));
      for (const name of ["killOrg", "killSite", "killAgent"] as const)
        link.on(name, (bytes) => track(takeKill("topic", bytes)));
      link.on("order", (bytes) => track(takeOrder(bytes)));
      link.on("syncResponse", (bytes) => track(takeSync(bytes)));
      link.on("acknowledgement", takeAcknowledgement);
      link.onConnected(() => {
        disconnectedMs = undefined;
        askSync();
        deps.reporter.reconnected();
        beat();
      });
      kill.onChange(changed);
      link.start();
      watchLink();
    },
    stop: async () => {
      isStopped = true;
      for (const cancel of cancels.values()) cancel();
      await link.stop();
      // What is half written is finished, so that whoever stops us may close the disk.
      await Promise.allSettled(underWay);
      await reaching;
    },
    changed,
    refusedCounts: () => Object.fromEntries(refused),
    takeSync,
  };
};

/** What another try can change; anything else waits for another pointer or another trust document. */
const isPassing = (code: RefusalCode): boolean => passing.has(code);
const passing: ReadonlySet<RefusalCode> = new Set([
  "unreachable",
  "not-found",
  "unauthorised",
  "hash-mismatch",
  "disk-full",
  "self-test-timeout",
  "trust-missing",
]);
