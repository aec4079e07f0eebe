import { startMqtt5Broker } from "../mqtt5-broker.ts";
import { openC2OverMqtt } from "../openc2-over-mqtt.ts";
import type { Subject } from "../subject.ts";

/** In front of the small broker; the lab does the same on mosquitto. */
export const subjects: readonly Subject[] = openC2OverMqtt("openc2 (mqtt)", async () => {
  const broker = await startMqtt5Broker();
  return { port: broker.port, close: broker.close };
});
