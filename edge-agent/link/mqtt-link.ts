import { mqttPacketBytesMax } from "@reflex/protocol/limits";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { type AgentAddress, topicOf, topicRules } from "@reflex/protocol/topics";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import type { Log, Random, Timers } from "../ports.ts";
import { createBackoff } from "./backoff.ts";
import { type DownName, downNames, type Link } from "./link-port.ts";
import { createPacketGate } from "./packet-gate.ts";

/** PEM texts; asked at each connect, so that a renewed certificate is used without a restart. */
export type TlsIdentity = { readonly ca: string; readonly cert: string; readonly key: string };

export type MqttLinkTimes = {
  readonly keepaliveS: number;
  readonly connectMs: number;
  readonly backoffFromMs: number;
  readonly backoffToMs: number;
  /** First connect of a fleet that starts together is spread over this. */
  readonly splayMs: number;
};
export const mqttLinkTimes: MqttLinkTimes = {
  keepaliveS: 30,
  connectMs: 15_000,
  backoffFromMs: 1_000,
  backoffToMs: 5 * 60_000,
  splayMs: 0,
};

export type MqttLinkDeps = {
  readonly address: AgentAddress;
  /** `mqtts://host:8883` or `wss://host/mqtt`; plain `mqtt://` and `ws://` on loopback only. */
  readonly url: string;
  readonly identity: () => TlsIdentity | undefined;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  /** A message that is too long or broke its handler. */
  readonly onRefused: (name: DownName | "unknown", why: Refusal) => void;
  readonly times?: Partial<MqttLinkTimes>;
};

/**
 * MQTT 3.1.1 with clean sessions, so that nothing stale waits in a broker. The library's own reconnecting is off: it can latch
 * for ever (zigbee2mqtt #33150) and knows no jitter, so a supervisor ends a silent client and makes a new one.
 */
export const createMqttLink = (deps: MqttLinkDeps): Link => {
  const { address, timers, log } = deps;
  const times = { ...mqttLinkTimes, ...deps.times };
  const backoff = createBackoff(deps.random, times.backoffFromMs, times.backoffToMs);
  const handlers = new Map<DownName, ((bytes: Uint8Array) => void)[]>();
  const connectedListeners: (() => void)[] = [];
  const nameByTopic = new Map<string, DownName>(downNames.map((name) => [topicOf[name](address), name]));
  let client: MqttClient | undefined;
  let isReady = false;
  let isStopped = true;
  let cancelWatch: (() => void) | undefined;
  let cancelConnect: (() => void) | undefined;

  const connectAfter = (delayMs: number): void => {
    cancelConnect?.();
    if (!isStopped) cancelConnect = timers.after(delayMs, connect);
  };

  const connect = (): void => {
    const options = optionsOf(deps, times);
    if (!options.ok) {
      log.error({ code: options.error.code, detail: options.error.detail }, "cannot connect");
      connectAfter(backoff.nextMs());
      return;
    }
    const made = mqtt.connect(deps.url, options.value);
    client = made;
    watch(made);
    const gate = createPacketGate(mqttPacketBytesMax);
    made.stream.on("data", (chunk: Uint8Array) => {
      if (made !== client || gate(chunk) === "fine") return;
      deps.onRefused("unknown", refusal("too-large", `a packet beyond ${mqttPacketBytesMax} bytes was announced`));
      replace(made, "packet too long");
    });
    // Every listener first asks whether it still speaks for the current client; a late one may not end its successor.
    made.on("connect", () => void subscribe(made));
    made.on("packetreceive", () => watch(made));
    made.on("message", (topic, payload) => made === client && take(topic, payload));
    made.on("error", (error) => made === client && log.warn({ error: messageOf(error) }, "broker connection failed"));
    made.on("close", () => made === client && replace(made, "closed"));
  };

  /** No packet for three keepalives, pings included: the connection is dead whatever the socket says. */
  const watch = (watched: MqttClient): void => {
    if (watched !== client) return;
    cancelWatch?.();
    const silentMs = isReady ? 3 * times.keepaliveS * 1_000 : times.connectMs + 1_000;
    cancelWatch = timers.after(silentMs, () => replace(watched, "silent"));
  };

  const replace = (old: MqttClient, why: string): void => {
    if (old !== client) return;
    client = undefined;
    if (isReady) log.warn({ why }, "link to the broker lost");
    isReady = false;
    cancelWatch?.();
    discard(old);
    connectAfter(backoff.nextMs());
  };

  const subscribe = async (made: MqttClient): Promise<void> => {
    try {
      const topics = Object.fromEntries(
        downNames.map((name) => [topicOf[name](address), { qos: topicRules[name].qos }]),
      );
      const granted = await made.subscribeAsync(topics);
      if (made !== client) return;
      const denied = granted.filter((grant) => grant.qos > 2).map((grant) => grant.topic);
      if (denied.length > 0) throw new Error(`denied: ${denied.join(", ")}`);
      await made.publishAsync(topicOf.presence(address), JSON.stringify({ online: true }), { qos: 1 });
    } catch (error) {
      log.warn({ error: messageOf(error) }, "broker refused a subscription");
      replace(made, "subscriptions refused");
      return;
    }
    if (made !== client) return;
    isReady = true;
    backoff.reset();
    watch(made);
    log.info({ url: deps.url }, "linked to the broker");
    for (const run of connectedListeners) run();
  };

  const take = (topic: string, payload: Uint8Array): void => {
    const name = nameByTopic.get(topic);
    if (name === undefined) {
      deps.onRefused("unknown", refusal("audience-wrong", topic.slice(0, 256)));
    } else if (payload.length > mqttPacketBytesMax) {
      deps.onRefused(name, refusal("too-large", `${payload.length} bytes, ${mqttPacketBytesMax} are allowed`));
    } else {
      handOver(name, payload);
    }
  };

  const handOver = (name: DownName, payload: Uint8Array): void => {
    for (const handle of handlers.get(name) ?? []) {
      try {
        handle(payload);
      } catch (error) {
        // One message that breaks us must not end the link that carries the kill switch.
        deps.onRefused(name, refusal("schema-invalid", messageOf(error)));
      }
    }
  };

  return {
    start: () => {
      if (!isStopped) return;
      isStopped = false;
      connectAfter(times.splayMs === 0 ? 0 : createBackoff(deps.random, times.splayMs, times.splayMs).nextMs());
    },
    stop: async () => {
      isStopped = true;
      cancelWatch?.();
      cancelConnect?.();
      const old = client;
      client = undefined;
      if (old === undefined) return;
      // Clean good-bye: the last will is for agents that vanish.
      if (isReady)
        await within(
          timers,
          1_000,
          old.publishAsync(topicOf.presence(address), JSON.stringify({ online: false }), { qos: 1 }),
        );
      isReady = false;
      await within(timers, 1_000, old.endAsync(false));
      discard(old);
    },
    connected: () => isReady,
    publish: async (name, payload) => {
      const current = client;
      if (!isReady || current === undefined) return err(refusal("unreachable", "no link to the broker"));
      const text = JSON.stringify(payload);
      const bytes = Buffer.byteLength(text);
      if (bytes > mqttPacketBytesMax) return err(refusal("too-large", `${name} of ${bytes} bytes`));
      try {
        await current.publishAsync(topicOf[name](address), text, {
          qos: topicRules[name].qos,
          retain: topicRules[name].retain,
        });
        return ok(undefined);
      } catch (error) {
        return err(refusal("unreachable", messageOf(error)));
      }
    },
    on: (name, handle) => {
      handlers.set(name, [...(handlers.get(name) ?? []), handle]);
    },
    onConnected: (run) => {
      connectedListeners.push(run);
    },
  };
};

const optionsOf = (deps: MqttLinkDeps, times: MqttLinkTimes): Result<IClientOptions, Refusal> => {
  const { protocol, hostname } = new URL(deps.url);
  const isPlain = protocol === "mqtt:" || protocol === "ws:";
  const isLoopback = hostname === "localhost" || hostname === "127.0.0.1" || hostname === "[::1]";
  if (isPlain && !isLoopback) return err(refusal("unauthorised", `${protocol} only on loopback; use mqtts: or wss:`));
  const identity = deps.identity();
  if (!isPlain && identity === undefined)
    return err(refusal("unauthorised", "no certificate; enrol the agent with a join token"));
  return ok({
    ...(isPlain || identity === undefined
      ? {}
      : { ca: identity.ca, cert: identity.cert, key: identity.key, rejectUnauthorized: true }),
    clientId: deps.address.agent,
    protocolVersion: 4,
    clean: true,
    keepalive: times.keepaliveS,
    connectTimeout: times.connectMs,
    reconnectPeriod: 0,
    resubscribe: false,
    // The spool owns queueing; a second queue in the library has no bound.
    queueQoSZero: false,
    writeCache: false,
    will: {
      topic: topicOf.presence(deps.address),
      payload: Buffer.from(JSON.stringify({ online: false })),
      qos: 1,
      retain: false,
    },
  });
};

/** `end` alone can wait for a dead socket for ever. */
const discard = (old: MqttClient): void => {
  old.removeAllListeners();
  old.on("error", () => undefined);
  old.end(true);
  old.stream?.destroy();
};

const within = async (timers: Timers, ms: number, work: Promise<unknown>): Promise<void> => {
  let cancel = (): void => undefined;
  const timeout = new Promise<void>((resolve) => {
    cancel = timers.after(ms, resolve);
  });
  await Promise.race([
    work.then(
      () => undefined,
      () => undefined,
    ),
    timeout,
  ]);
  cancel();
};

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : "unknown error").slice(0, 256);
