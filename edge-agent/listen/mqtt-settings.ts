/** A SIEM's broker and topics, not the fleet's own. */
export type MqttSourceSettings = {
  /** Name in `mqtt:<name>`, for dead letters and metrics. */
  readonly name: string;
  /** `mqtt://`, `mqtts://`, `ws://` or `wss://`. */
  readonly url: string;
  /** Topic filters; shared subscriptions ($share) only if the broker really knows them. */
  readonly topics: readonly string[];
  readonly format: string;
  /** Stable: under it the broker keeps what arrives while the agent is away. */
  readonly clientId: string;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: { readonly ca?: string; readonly key?: string; readonly cert?: string };
};

/** Unacknowledged messages at once; brokers cap it at 20 to 65 535 themselves, and each costs at most one packet. */
export const mqttInFlightMax = 256;
/** A dead peer is noticed after one and a half of these. */
export const mqttKeepAliveSeconds = 30;
/** No CONNACK and no SUBACK within three keep-alives: the client is thrown away (MQTT.js can latch and never reconnect). */
export const mqttConnectDeadlineMs = 3 * mqttKeepAliveSeconds * 1_000;
