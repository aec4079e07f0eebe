import { nodeTimers } from "@reflex/edge-agent/adapters/node-timers";
import { createSecrets } from "@reflex/edge-agent/adapters/secrets";
import { createMqttTransfer } from "@reflex/edge-agent/connectors/openc2/mqtt-transfer";
import { createOpenC2 } from "@reflex/edge-agent/connectors/openc2/openc2";
import { startMqtt5Broker } from "../mqtt5-broker.ts";
import { createOpenC2Consumer } from "../openc2-consumer.ts";
import { startMqttConsumer } from "../openc2-mqtt-consumer.ts";
import { mqttFaults } from "../openc2-mqtt-faults.ts";
import type { Subject } from "../subject.ts";
import { openC2Profiles, openC2Rows } from "./openc2-https.ts";

const tlsElsewhere = "the broker's certificate is checked by openc2-mqtt.test.ts";

/** Rules and endpoints once each: what differs from HTTPS is the way, not the command. */
export const subjects: readonly Subject[] = openC2Rows
  .filter(({ action }) => action === "block_ip" || action === "isolate_host")
  .map(({ sameRule, notApplicable, ...row }) => ({
    ...row,
    name: "openc2 (mqtt)",
    notApplicable: { ...notApplicable, "TLS name mismatch refused": tlsElsewhere },
    open: async ({ callTimeoutMs }) => {
      const broker = await startMqtt5Broker();
      const url = `mqtt://127.0.0.1:${broker.port}`;
      const consumer = createOpenC2Consumer();
      const front = await startMqttConsumer(consumer, { url, deviceId: "fw-1" });
      return {
        connector: async () => {
          const connector = createOpenC2({
            name: "openc2",
            profiles: openC2Profiles,
            producer: "reflex-test",
            place: url,
            transfer: createMqttTransfer(
              { url, producer: "reflex-test", consumer: "fw-1", tls: {}, callTimeoutMs },
              { secrets: createSecrets({}), clock: { nowMs: Date.now }, timers: nodeTimers },
            ),
          });
          await connector.start();
          return connector;
        },
        present: async () => consumer.present(),
        changes: async () => consumer.changes(),
        faults: mqttFaults(broker, front),
        addForeign: async () => {
          consumer.addRule({ ipv4_net: "192.0.2.77/32" });
          return "block_ip 192.0.2.77";
        },
        ...(sameRule === undefined ? {} : { addSame: async () => consumer.addRule(sameRule) }),
        close: async () => {
          await front.close();
          await broker.close();
        },
      };
    },
  }));
