import type { Envelope } from "@reflex/protocol/envelope";
import { parseJson } from "@reflex/protocol/json";
import { mqttPacketBytesMax } from "@reflex/protocol/limits";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, type Result } from "@reflex/protocol/result";
import type { SyncRequest, SyncResponse } from "@reflex/protocol/sync";
import { parseUpTopic, type TopicName, topicOf, topicRules, upFilter, upPartitions } from "@reflex/protocol/topics";
import { type Check, checkHeartbeat, checkSyncRequest } from "@reflex/protocol/validate";
import type { Kill, KillRegister } from "../release/kill-register.ts";
import type { FleetStore } from "../store/fleet-store.ts";
import type { Heads } from "./heads.ts";
import type { Ingest, IngestOutcome } from "./ingest.ts";
import { type Live, liveItemOf } from "./live.ts";
import type { MqttConnection, MqttConnectionDeps } from "./mqtt-connection.ts";

/** The controller's side of the conversation with agents: hears reports, heartbeats and syncs; says heads, kills and acknowledgements. */
export type Link = {
  /** Live and retained, at once; resolves when the broker has it. */
  readonly sendKill: (kill: Kill) => Promise<void>;
  /** To one agent, now or never; resolves when the broker has it. */
  readonly sendOrder: (agent: string, envelope: Envelope) => Promise<void>;
  /** Signs and sends the heads of these sites anew. */
  readonly sendHeads: (sites: readonly string[]) => Promise<void>;
  readonly connected: () => boolean;
  /** Messages by what became of them. */
  readonly counts: () => Readonly<Record<string, number>>;
  readonly stop: () => Promise<void>;
};

export type LinkDeps = {
  readonly org: string;
  readonly connect: (deps: Pick<MqttConnectionDeps, "filters" | "onMessage" | "onConnected">) => MqttConnection;
  readonly ingest: Ingest;
  readonly answerSync: (agent: string, request: SyncRequest) => Promise<Result<SyncResponse, Refusal>>;
  readonly fleet: Pick<FleetStore, "heard" | "gone" | "quiet">;
  readonly sites: () => Promise<readonly string[]>;
  readonly heads: Heads;
  readonly kills: Pick<KillRegister, "all">;
  readonly live: Live;
  readonly nowMs: () => number;
  readonly textOf: (bytes: Uint8Array) => string | undefined;
  readonly log: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  /** Calls again and again until the returned function is called; a simulator hands in its own time. */
  readonly every?: (ms: number, run: () => void) => () => void;
};

/** Reports under way; more are not taken and not acknowledged, and their agents send them again. */
const reportBytesMax = 64 * 1024 * 1024;
/** Heads go out twice in the five minutes they are promised in. */
const headsEveryMs = 120_000;

export const startLink = (deps: LinkDeps): Link => {
  const { org, heads, log, every = nodeEvery } = deps;
  const counts: Record<string, number> = {};
  let reportBytes = 0;
  const note = (what: string, agent: string, why?: Refusal): void => {
    counts[what] = (counts[what] ?? 0) + 1;
    if (why !== undefined && what !== "ignored") log({ agent, code: why.code, detail: why.detail }, `report ${what}`);
  };

  const send = (
    name: TopicName,
    address: { readonly site?: string; readonly agent?: string },
    payload: unknown,
  ): Promise<void> => {
    const topic = topicOf[name]({ org, site: address.site ?? "", agent: address.agent ?? "" });
    const { qos, retain } = topicRules[name];
    return mqtt.publish(topic, typeof payload === "string" ? payload : JSON.stringify(payload), { qos, retain });
  };
  /** The broker is away: agents ask again or come back, and everything said is said again then. */
  const sendOrLog = (
    name: TopicName,
    address: { readonly site?: string; readonly agent?: string },
    payload: unknown,
  ): void => {
    send(name, address, payload).catch((error: Error) =>
      log({ ...address, topic: name, error: error.message }, "not sent"),
    );
  };

  const onReport = async (agent: string, payload: Uint8Array): Promise<void> => {
    if (reportBytes + payload.length > reportBytesMax) return note("shed", agent);
    reportBytes += payload.length;
    const outcome: IngestOutcome = await deps.ingest(agent, payload).finally(() => {
      reportBytes -= payload.length;
    });
    note(outcome.kind, agent, "refusal" in outcome ? outcome.refusal : undefined);
    if (outcome.kind === "stored" || outcome.kind === "ignored")
      sendOrLog("acknowledgement", { agent }, { v: 1, agent, acknowledged: outcome.acknowledged });
    if (outcome.kind === "stored" && deps.live.isWatched()) {
      for (const record of outcome.stored) {
        const item = liveItemOf(record, { agent, site: outcome.unit.site });
        if (item !== undefined) deps.live.tell(item);
      }
    }
  };

  const onSync = async (agent: string, payload: Uint8Array): Promise<void> => {
    const request = read(deps, payload, checkSyncRequest);
    if (!request.ok) return note("refused", agent, request.error);
    const response = await deps.answerSync(agent, request.value);
    if (!response.ok) return note("refused", agent, response.error);
    note("synced", agent);
    sendOrLog("syncResponse", { agent }, response.value);
    deps.live.tell({ kind: "agent", at: new Date(deps.nowMs()).toISOString(), agent, online: true });
  };

  const onHeartbeat = async (agent: string, payload: Uint8Array): Promise<void> => {
    const heartbeat = read(deps, payload, checkHeartbeat);
    if (!heartbeat.ok) return note("refused", agent, heartbeat.error);
    const { boot_id, engine, bundle, weights, mode, killed } = heartbeat.value;
    if (heartbeat.value.agent !== agent || heartbeat.value.org !== org)
      return note("refused", agent, refusal("audience-wrong", "the heartbeat names another agent"));
    note("heartbeat", agent);
    await deps.fleet.heard({
      agent,
      bootId: boot_id,
      engine,
      bundle,
      weights,
      mode,
      killed,
      heartbeat: heartbeat.value,
    });
  };

  const onPresence = async (agent: string, payload: Uint8Array): Promise<void> => {
    const value = parseJson(deps.textOf(payload) ?? "");
    const isOnline =
      value.ok &&
      typeof value.value === "object" &&
      value.value !== null &&
      "online" in value.value &&
      value.value.online === true;
    if (isOnline) return;
    note("gone", agent);
    await deps.fleet.gone(agent);
    deps.live.tell({ kind: "agent", at: new Date(deps.nowMs()).toISOString(), agent, online: false });
  };

  // What an agent says of itself is taken in the order it came: writes run on several connections, and the older of two
  // states written last would hide a refusal or a kill until the next heartbeat.
  const turns = new Map<string, Promise<void>>();
  const inTurn = (agent: string, take: () => Promise<void>): Promise<void> => {
    const turn = (turns.get(agent) ?? Promise.resolve()).then(take);
    const passed = turn
      .catch(() => undefined)
      .then(() => {
        if (turns.get(agent) === passed) turns.delete(agent);
      });
    turns.set(agent, passed);
    return turn;
  };

  const handlers = { report: onReport, syncRequest: onSync, heartbeat: onHeartbeat, presence: onPresence };

  const onMessage = (topic: string, payload: Uint8Array): void => {
    const up = parseUpTopic(topic);
    if (up === undefined || up.org !== org) {
      note("refused", "", refusal("schema-invalid", "no such topic"));
      return;
    }
    const take = (): Promise<void> => handlers[up.name](up.agent, payload);
    // Reports stand in a line of their own, and must not wait for a sync.
    (up.name === "report" ? take() : inTurn(up.agent, take)).catch((error: unknown) => {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      note("failed", up.agent, refusal("store-failed", cause instanceof Error ? cause.message.slice(0, 200) : ""));
    });
  };

  const sendKill = (kill: Kill): Promise<void> => {
    const { site, agent } = kill.state.aud;
    if (agent !== "*") return send("killAgent", { agent }, kill.envelope);
    return site === "*" ? send("killOrg", {}, kill.envelope) : send("killSite", { site }, kill.envelope);
  };

  const sendHeads = async (sites: readonly string[]): Promise<void> => {
    for (const site of sites) await send("head", { site }, await heads.refresh(site));
  };

  /** A restarted broker has forgotten what was retained; kills first. */
  const sayEverything = async (): Promise<void> => {
    log({}, "connected to the broker");
    for (const kill of deps.kills.all()) await sendKill(kill);
    await sendHeads(await deps.sites());
  };
  const repeat = (what: () => Promise<void>): void => {
    what().catch((error: Error) => log({ error: error.message }, "heads not sent; tried again in the next round"));
  };

  const mqtt = deps.connect({
    filters: Array.from({ length: upPartitions }, (_, partition) => upFilter(org, partition)),
    onMessage,
    onConnected: () => repeat(sayEverything),
  });
  const stopHeads = every(headsEveryMs, () => {
    if (mqtt.connected()) repeat(async () => sendHeads(await deps.sites()));
  });
  // Three missed heartbeats; a last will can be lost with its broker.
  const stopQuiet = every(15_000, () => void deps.fleet.quiet(60).catch(() => undefined));

  return {
    sendKill,
    sendOrder: (agent, envelope) => send("order", { agent }, envelope),
    sendHeads,
    connected: mqtt.connected,
    counts: () => counts,
    stop: async () => {
      stopHeads();
      stopQuiet();
      await mqtt.stop();
    },
  };
};

const nodeEvery = (ms: number, run: () => void): (() => void) => {
  const timer = setInterval(run, ms);
  return () => clearInterval(timer);
};

const read = <T>(deps: Pick<LinkDeps, "textOf">, payload: Uint8Array, check: Check<T>): Result<T, Refusal> => {
  if (payload.length > mqttPacketBytesMax) return err(refusal("too-large", `${payload.length} bytes`));
  const text = deps.textOf(payload);
  if (text === undefined) return err(refusal("text-malformed"));
  const parsed = parseJson(text);
  return parsed.ok ? check(parsed.value) : parsed;
};
