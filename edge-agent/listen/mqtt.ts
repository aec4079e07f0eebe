import { detectionBytesMax } from "@reflex/protocol/limits";
import { connect, type IClientOptions, type IPublishPacket, type MqttClient } from "mqtt";
import { createBackoff } from "../link/backoff.ts";
import type { Log, Random, Source, Timers } from "../ports.ts";
import {
  type MqttSourceSettings,
  mqttConnectDeadlineMs,
  mqttInFlightMax,
  mqttKeepAliveSeconds,
} from "./mqtt-settings.ts";
import { createPatientOffer, type PatientOffer, retryFirstMs, retryLongestMs } from "./patient-offer.ts";

export type MqttSource = Source & { readonly isConnected: () => boolean };
export type MqttSourceDeps = { readonly timers: Timers; readonly random: Random; readonly log: Log };

/**
 * QoS 1 with a persistent session: a message is acknowledged when its fate is durable, so whatever was not settled when the
 * agent, the link or the broker died is delivered again. Retained messages are a topic's last value, not news, and are passed over.
 */
export const createMqttSource = (settings: MqttSourceSettings, { timers, random, log }: MqttSourceDeps): MqttSource => {
  const source = `mqtt:${settings.name}`;
  let connection: Connection | undefined;
  let patient: PatientOffer | undefined;
  let cancelRetry = (): void => {};
  const backoff = createBackoff(random, retryFirstMs, retryLongestMs);
  let stopped = false;

  /** One client per connection: a new one is certain to have no state of the old one, latched or otherwise. */
  const open = (offers: PatientOffer): void => {
    connection = openConnection(settings, timers, {
      onMessage: (bytes, acknowledge) => {
        const isSettled = ({ kind }: { readonly kind: string }): void => {
          if (kind !== "not_taken") acknowledge();
        };
        return offers.offer({ bytes, source, format: settings.format }, isSettled);
      },
      onReady: () => {
        backoff.reset();
        log.info({ source }, "subscribed");
      },
      onEnd: (reason) => {
        connection = undefined;
        if (stopped) return;
        const delayMs = backoff.nextMs();
        log.warn({ source, reason, delay_ms: delayMs }, "connection lost");
        cancelRetry = timers.after(delayMs, () => open(offers));
      },
    });
  };

  return {
    name: source,
    isConnected: () => connection?.isReady() ?? false,
    start: async (offer) => {
      patient = createPatientOffer({ offer, timers, random, inFlightMax: mqttInFlightMax });
      open(patient);
    },
    stop: async () => {
      stopped = true;
      cancelRetry();
      // Settle first, so that what was decided is also acknowledged; then hang up.
      await patient?.stop();
      await connection?.close();
    },
  };
};

type Connection = { readonly isReady: () => boolean; readonly close: () => Promise<void> };
type ConnectionEvents = {
  /** Resolves when the next message may come. `acknowledge` does nothing once the connection is gone. */
  readonly onMessage: (bytes: Uint8Array, acknowledge: () => void) => Promise<void>;
  readonly onReady: () => void;
  /** Exactly once, unless closed by us. */
  readonly onEnd: (reason: string) => void;
};

const openConnection = (settings: MqttSourceSettings, timers: Timers, events: ConnectionEvents): Connection => {
  const client = connect(settings.url, clientOptions(settings));
  let isReady = false;
  let isOver = false;
  let lastError = "closed";

  const end = (reason: string): void => {
    if (isOver) return;
    isOver = true;
    isReady = false;
    cancelDeadline();
    client.end(true);
    events.onEnd(reason);
  };
  const cancelDeadline = timers.after(mqttConnectDeadlineMs, () => end("no answer"));

  // MQTT.js acknowledges when this calls back without an error. Calling back with one makes it go on in silence, and the
  // acknowledgement is ours to write, later and in any order.
  client.handleMessage = (packet, next) => {
    const { messageId, retain, payload } = packet;
    const acknowledge = (): void => {
      if (!isOver && messageId !== undefined && client.stream.writable) client.stream.write(pubackOf(messageId));
    };
    if (retain) {
      acknowledge();
      next(acknowledgedByUs);
    } else {
      void events.onMessage(boundedPayload(payload), acknowledge).then(() => next(acknowledgedByUs));
    }
  };

  client.on("connect", () => {
    client.subscribe([...settings.topics], { qos: 1 }, (error, granted = []) => {
      if (isOver) return;
      if (error || granted.some(({ qos }) => qos > 2)) {
        end("the broker refused a subscription");
        return;
      }
      cancelDeadline();
      isReady = true;
      events.onReady();
    });
  });
  client.on("error", (error) => {
    lastError = error.message;
    // A refused CONNACK leaves MQTT.js waiting for a reconnect that reconnectPeriod 0 never makes.
    end(lastError);
  });
  client.on("close", () => end(lastError));

  return {
    isReady: () => isReady,
    close: () => {
      isOver = true;
      isReady = false;
      cancelDeadline();
      return closeGently(client, timers);
    },
  };
};

const acknowledgedByUs = new Error("acknowledged when settled");

/** PUBACK, MQTT 3.1.1 §3.4: two bytes of header, two of packet identifier. */
const pubackOf = (messageId: number): Buffer => Buffer.from([0x40, 2, messageId >> 8, messageId & 0xff]);

/** Waits for acknowledgements that are being written, but not for a peer that does not answer. */
const closeGently = (client: MqttClient, timers: Timers): Promise<void> =>
  new Promise((resolve) => {
    const cancel = timers.after(2_000, () => {
      client.end(true);
      resolve();
    });
    client.end(false, {}, () => {
      cancel();
      resolve();
    });
  });

/** One byte over the limit is enough for admission to refuse it by its size. */
const boundedPayload = (payload: IPublishPacket["payload"]): Uint8Array => {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  return bytes.length > detectionBytesMax ? bytes.subarray(0, detectionBytesMax + 1) : bytes;
};

const clientOptions = ({ clientId, username, password, tls }: MqttSourceSettings): IClientOptions => ({
  clientId,
  protocolVersion: 4,
  clean: false,
  keepalive: mqttKeepAliveSeconds,
  connectTimeout: mqttConnectDeadlineMs,
  // MQTT.js reconnects after a fixed delay without jitter and can latch; openConnection's caller does it.
  reconnectPeriod: 0,
  queueQoSZero: false,
  resubscribe: false,
  ...(username === undefined ? {} : { username }),
  ...(password === undefined ? {} : { password }),
  ...tls,
});
