import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { FarEndCounts } from "../fixtures/far-end.ts";
import { createOpenC2Consumer, type OpenC2Consumer } from "./openc2-consumer.ts";
import { startMqttConsumer } from "./openc2-mqtt-consumer.ts";

/**
 * An OpenC2 consumer in a process of its own, which outlives any agent that is killed and counts what really happened:
 * `node openc2-far-end.ts [answer delay ms] [mqtt://broker:port device-id]` prints its port, takes commands there (the transfer
 * specification's own target for tests: HTTP, here on loopback) or through the broker, and shows its counts to any GET.
 * Counts are by command id: `commandIdOf("apply", key)` and `commandIdOf("undo", key)` of connectors/openc2/command-of.ts.
 */
const [delay = "0", brokerUrl, deviceId = "far-end"] = process.argv.slice(2);
const contentType = "application/openc2+json;version=1.0";
const consumer = createOpenC2Consumer();

const countsOf = ({ commands, present }: OpenC2Consumer): FarEndCounts => {
  const effects: Record<string, number> = {};
  const undone: Record<string, number> = {};
  for (const { verb, commandId, hasEffect } of commands()) {
    const counts = verb === "apply" ? effects : undone;
    if (hasEffect) counts[commandId] = (counts[commandId] ?? 0) + 1;
  }
  const calls = commands().map(({ verb, commandId, key, hasEffect, atMs }) => ({
    verb,
    key: commandId,
    target: key,
    atMs,
    hasEffect,
  }));
  return { effects, undone, present: present(), calls };
};

const server = createServer((request, response) => {
  if (request.method !== "POST" || request.url !== "/.well-known/openc2")
    return void response.end(JSON.stringify(countsOf(consumer)));
  let text = "";
  request.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  request.on("end", () => {
    const answered = consumer.handle(text);
    const answer = (): void => {
      if (answered === undefined) response.writeHead(400).end();
      else response.writeHead(answered.status, { "content-type": contentType }).end(answered.text);
    };
    setTimeout(answer, Number(delay) * Math.random());
  });
});
if (brokerUrl !== undefined) await startMqttConsumer(consumer, { url: brokerUrl, deviceId });
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
