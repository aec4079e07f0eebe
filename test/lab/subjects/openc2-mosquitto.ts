import { openC2OverMqtt } from "../../conformance/openc2-over-mqtt.ts";
import type { Subject } from "../../conformance/subject.ts";
import { mosquittoMissing, startMosquitto } from "../servers/mosquitto.ts";

/** A producer and a consumer that know each other by their certificates, with a broker of others between them. */
export const subjects: readonly Subject[] = openC2OverMqtt("openc2 (mosquitto)", async () => {
  const missing = mosquittoMissing();
  if (missing !== undefined) return missing;
  const { port, wrongNamePort, ca, client, stop } = await startMosquitto();
  return { port, tls: { ca, client, wrongNamePort }, close: stop };
});
