import { nodeTimers } from "@reflex/edge-agent/adapters/node-timers";
import { createSecrets } from "@reflex/edge-agent/adapters/secrets";
import { createMqttTransfer } from "@reflex/edge-agent/connectors/openc2/mqtt-transfer";
import { createOpenC2 } from "@reflex/edge-agent/connectors/openc2/openc2";
import { startCuttableProxy } from "./cuttable-proxy.ts";
import { createOpenC2Consumer } from "./openc2-consumer.ts";
import { startMqttConsumer } from "./openc2-mqtt-consumer.ts";
import { mqttFaults } from "./openc2-mqtt-faults.ts";
import type { Subject } from "./subject.ts";
import { openC2Profiles, openC2Rows, untilItKnowsItsConsumer } from "./subjects/openc2-https.ts";

export type MqttPlace = {
  readonly port: number;
  readonly tls?: {
    readonly ca: string;
    /** For the producer and the consumer. */
    readonly client: { readonly cert: string; readonly key: string };
    /** The same broker under another name. */
    readonly wrongNamePort: number;
  };
  readonly close: () => Promise<void>;
};

/** The small broker takes any; mosquitto asks for certificates besides. */
const brokerPassword = "openc2-planted-broker-password";

/** A producer and a consumer with a broker between them, or why there is none. Rules and endpoints once each: what differs from HTTPS is the way, not the command. */
export const openC2OverMqtt = (name: string, startBroker: () => Promise<MqttPlace | string>): readonly Subject[] =>
  openC2Rows
    .filter(({ action }) => action === "block_ip" || action === "isolate_host")
    .map(({ sameRule, ...row }) => ({
      ...row,
      name,
      open: async ({ callTimeoutMs }) => {
        const broker = await startBroker();
        if (typeof broker === "string") return broker;
        const { port, tls } = broker;
        const proxy = await startCuttableProxy(port);
        const scheme = tls === undefined ? "mqtt" : "mqtts";
        const identity = tls === undefined ? {} : { ca: [tls.ca], ...tls.client };
        const consumer = createOpenC2Consumer();
        const front = await startMqttConsumer(consumer, {
          url: `${scheme}://localhost:${port}`,
          deviceId: "fw-1",
          ...identity,
        });
        const url = `${scheme}://localhost:${proxy.port}`;
        return {
          connector: async () => {
            const connector = createOpenC2({
              name: "openc2",
              profiles: openC2Profiles,
              producer: "reflex-test",
              place: url,
              timers: nodeTimers,
              transfer: createMqttTransfer(
                {
                  url,
                  producer: "reflex-test",
                  consumer: "fw-1",
                  tls: identity,
                  username: "reflex",
                  password: "env:BROKER_PASSWORD",
                  callTimeoutMs,
                },
                {
                  secrets: createSecrets({ BROKER_PASSWORD: brokerPassword }),
                  clock: { nowMs: Date.now },
                  timers: nodeTimers,
                },
              ),
            });
            await connector.start();
            await untilItKnowsItsConsumer(connector);
            return connector;
          },
          secrets: () => [brokerPassword],
          present: async () => consumer.present(),
          changes: async () => consumer.changes(),
          faults: mqttFaults({
            consumer: front,
            proxy,
            brokerPort: port,
            ...(tls === undefined ? {} : { wrongNamePort: tls.wrongNamePort }),
          }),
          addForeign: async () => {
            consumer.addRule({ ipv4_net: "192.0.2.77/32" });
            return "block_ip 192.0.2.77";
          },
          ...(sameRule === undefined ? {} : { addSame: async () => consumer.addRule(sameRule) }),
          close: async () => {
            await front.close();
            await proxy.close();
            await broker.close();
          },
        };
      },
    }));
