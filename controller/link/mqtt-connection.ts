import mqtt, { type MqttClient } from "mqtt";

/**
 * The controller's connection to a broker. The library's own reconnecting can latch for good (zigbee2mqtt #33150) and has no
 * jitter, so each connection is a new client, and one that does not answer in time is ended.
 */
export type MqttConnection = {
  /** Resolves when the broker has it; rejects while there is no connection. Nothing is queued here. */
  readonly publish: (
    topic: string,
    payload: string,
    options: { readonly qos: 0 | 1; readonly retain: boolean },
  ) => Promise<void>;
  readonly connected: () => boolean;
  readonly stop: () => Promise<void>;
};

export type MqttConnectionDeps = {
  readonly url: () => string;
  /** Client id; the name in the certificate. */
  readonly name: string;
  readonly tls: () => { readonly cert: string; readonly key: string; readonly ca: string };
  readonly filters: readonly string[];
  readonly onMessage: (topic: string, payload: Uint8Array) => void;
  /** After each connect, when the subscriptions stand. */
  readonly onConnected: () => void;
  readonly log: (fields: Readonly<Record<string, unknown>>, message: string) => void;
};

const keepaliveSeconds = 20;
const answerMsMax = 10_000;
const backoffMsMax = 10_000;

export const connectMqtt = (deps: MqttConnectionDeps): MqttConnection => {
  let client: MqttClient | undefined;
  let isReady = false;
  let isStopped = false;
  let failures = 0;
  let retry: NodeJS.Timeout | undefined;

  const again = (made: MqttClient, why: string): void => {
    if (client !== made) return;
    client = undefined;
    if (isReady) deps.log({ why }, "broker connection lost");
    isReady = false;
    made.end(true);
    if (isStopped) return;
    failures += 1;
    // Full jitter: controllers and agents lose a broker at the same moment.
    retry = setTimeout(open, Math.random() * Math.min(backoffMsMax, 100 * 2 ** Math.min(failures, 10)));
  };

  const open = (): void => {
    if (isStopped) return;
    const made = mqtt.connect(deps.url(), {
      ...deps.tls(),
      clientId: deps.name,
      protocolVersion: 4,
      clean: true,
      keepalive: keepaliveSeconds,
      reconnectPeriod: 0,
      connectTimeout: answerMsMax,
      queueQoSZero: false,
      resubscribe: false,
    });
    client = made;
    made.on("error", (error) => again(made, error.message));
    made.on("close", () => again(made, "closed"));
    made.on("message", (topic, payload) => {
      if (client === made) deps.onMessage(topic, payload);
    });
    made.on("connect", () => {
      const timer = setTimeout(() => again(made, "no answer to the subscriptions"), answerMsMax);
      made.subscribe([...deps.filters], { qos: 1 }, (error, granted) => {
        clearTimeout(timer);
        if (client !== made) return;
        const refused = granted?.filter(({ qos }) => Number(qos) > 2).length ?? 0;
        if (error !== null || refused > 0) return again(made, error?.message ?? `${refused} subscriptions refused`);
        failures = 0;
        isReady = true;
        deps.onConnected();
      });
    });
  };

  open();
  return {
    connected: () => isReady,
    publish: (topic, payload, { qos, retain }) =>
      new Promise((done, fail) => {
        if (client === undefined || !isReady) return fail(new Error("no connection to the broker"));
        client.publish(topic, payload, { qos, retain }, (error) => (error ? fail(error) : done()));
      }),
    stop: async () => {
      isStopped = true;
      clearTimeout(retry);
      const last = client;
      client = undefined;
      isReady = false;
      if (last !== undefined)
        await Promise.race([last.endAsync(false), new Promise((done) => setTimeout(done, 1_000))]);
    },
  };
};
