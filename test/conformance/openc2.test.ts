import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { nodeTimers } from "@reflex/edge-agent/adapters/node-timers";
import { createHttpCalls } from "@reflex/edge-agent/adapters/outbound-http";
import { createSecrets } from "@reflex/edge-agent/adapters/secrets";
import type { Connector } from "@reflex/edge-agent/connectors/contract";
import { commandIdOf, type Profiles } from "@reflex/edge-agent/connectors/openc2/command-of";
import { createHttpsTransfer } from "@reflex/edge-agent/connectors/openc2/https-transfer";
import { createMqttTransfer, type MqttTransferOptions } from "@reflex/edge-agent/connectors/openc2/mqtt-transfer";
import { createOpenC2 } from "@reflex/edge-agent/connectors/openc2/openc2";
import type { Transfer } from "@reflex/edge-agent/connectors/openc2/transfer";
import type { Entity } from "@reflex/protocol/entity";
import { ok } from "@reflex/protocol/result";
import { afterEach, describe, expect, test } from "vitest";
import type { FarEndCounts } from "../fixtures/far-end.ts";
import { createTestAuthority } from "./certificates.ts";
import { handlerOf, startFakeServer } from "./fake-server.ts";
import { createFakeOpenC2, openC2Token } from "./fakes/openc2.ts";
import { type Mqtt5Broker, startMqtt5Broker } from "./mqtt5-broker.ts";
import { type ConsumerFlaw, createOpenC2Consumer } from "./openc2-consumer.ts";
import { type MqttConsumer, startMqttConsumer } from "./openc2-mqtt-consumer.ts";
import { newCall as callFor } from "./stage.ts";
import { untilItKnowsItsConsumer } from "./subjects/openc2-https.ts";

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const clock = { nowMs: Date.now };
const profiles: Profiles = { filter: { profile: "pf" }, endpoint: { deviceGroups: ["all"] } };
const address: Entity = { type: "address", value: "203.0.113.9" };
const connectorOver = async (
  transfer: Transfer,
  given: Profiles = profiles,
  producer = "reflex",
): Promise<Connector> => {
  const connector = createOpenC2({
    name: "openc2",
    profiles: given,
    producer,
    place: "here",
    transfer,
    timers: nodeTimers,
  });
  await connector.start();
  opened.push(connector.stop);
  return connector;
};

const overHttps = async (flaw?: ConsumerFlaw, given: Profiles = { filter: { profile: "pf" } }) => {
  const fake = createFakeOpenC2(flaw);
  const server = await startFakeServer(handlerOf(fake));
  opened.push(server.close);
  const transfer = createHttpsTransfer(
    { baseUrl: server.url, producer: "reflex", bearer: "env:TOKEN", callTimeoutMs: 2_000 },
    { http: createHttpCalls({ ca: server.caPem }), secrets: createSecrets({ TOKEN: openC2Token }), clock },
  );
  const connector = await connectorOver(transfer, given);
  if (flaw === undefined) await untilItKnowsItsConsumer(connector);
  return { fake, server, connector };
};

describe("what a consumer cannot do is not taken for done", () => {
  test("one that numbers rules itself is refused, and its rule is taken back", async () => {
    const { fake, connector } = await overHttps("numbers rules itself");
    expect(await connector.apply(callFor("block_ip", address))).toMatchObject({ kind: "refused" });
    expect(fake.present()).toEqual([]);
  });

  test("one that knows no insert_rule is refused in its own words", async () => {
    const { fake, connector } = await overHttps("knows no insert_rule");
    const outcome = await connector.apply(callFor("block_ip", address));
    expect(outcome).toMatchObject({ kind: "refused", detail: "501 Argument not supported" });
    expect(fake.changes()).toEqual([]);
  });

  test("one that cannot be asked is acted through at most once, and says so", async () => {
    const { connector } = await overHttps("cannot be asked");
    expect(connector.describe().actions.block_ip).toMatchObject({ canVerify: false });
    expect((await connector.verify(callFor("block_ip", address))).kind).toBe("unknown");
    const able = await overHttps();
    expect(able.connector.describe().actions.block_ip).toMatchObject({ canVerify: true });
  });

  test("one that cannot take back what it does is not asked to do it", async () => {
    const { fake, connector } = await overHttps("keeps rules for ever");
    expect((await connector.apply(callFor("block_ip", address))).kind).toBe("refused");
    expect(fake.changes()).toEqual([]);
  });

  test("what it takes in a minute is kept to", async () => {
    const { connector } = await overHttps();
    expect(connector.describe().rate).toEqual({ perSecond: 100, burst: 100 });
  });

  test("a rule that the consumer ends by itself gets its new time without a second rule", async () => {
    const { fake, connector } = await overHttps(undefined, { filter: { profile: "pf", nativeTtl: true } });
    const call = callFor("block_ip", address, 60);
    expect((await connector.apply(call)).kind).toBe("applied");
    expect((await connector.apply({ ...call, ttlSeconds: 600 })).kind).toBe("applied");
    expect(fake.present()).toEqual(["block_ip 203.0.113.9"]);
    expect(fake.changes().map(({ verb }) => verb)).toEqual(["apply", "undo", "apply"]);
  });

  test("what a server repeats of our token does not come back", async () => {
    const { fake, connector } = await overHttps();
    fake.consumer.speak(`no: ${openC2Token}`);
    const outcome = await connector.apply(callFor("block_ip", address));
    expect(outcome).toMatchObject({ kind: "refused", detail: "403 no: [secret]" });
    expect(JSON.stringify([outcome, connector.describe()])).not.toContain(openC2Token);
  });
});

const overMqtt = async (more: Partial<MqttTransferOptions> = {}, consumer = createOpenC2Consumer()) => {
  const broker = await startMqtt5Broker();
  opened.push(broker.close);
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const front = await startMqttConsumer(consumer, { url, deviceId: "fw-1" });
  opened.push(front.close);
  return {
    broker,
    consumer,
    front,
    url,
    connector: await connectorOver(mqttTransfer({ url, ...more }), { filter: { profile: "pf" } }),
  };
};
const mqttTransfer = (more: Partial<MqttTransferOptions>): Transfer =>
  createMqttTransfer(
    { url: "", producer: "reflex", consumer: "fw-1", tls: {}, callTimeoutMs: 2_000, ...more },
    { secrets: createSecrets({}), clock, timers: nodeTimers },
  );
const published = (broker: Mqtt5Broker, topic: string) =>
  broker.published().filter((packet) => packet.cmd === "publish" && packet.topic === topic);
const receipts = (front: MqttConsumer): void => front.setFault({ after: () => "receipt" });

describe("OpenC2 over MQTT", () => {
  test("connects and publishes as the transfer specification demands", async () => {
    const { broker, connector } = await overMqtt();
    expect((await connector.apply(callFor("block_ip", address))).kind).toBe("applied");
    const ours = broker.connects().at(-1);
    expect(ours).toMatchObject({ clean: false, protocolVersion: 5, keepalive: 30 });
    expect(ours).not.toHaveProperty("will");
    expect(ours?.cmd === "connect" && ours.clientId).toMatch(/^[A-Za-z0-9]{1,23}$/);
    const deny = published(broker, "oc2/cmd/device/fw-1").at(-1);
    expect(deny).toMatchObject({
      qos: 1,
      retain: false,
      properties: {
        payloadFormatIndicator: true,
        contentType: "application/openc2",
        messageExpiryInterval: 2,
        userProperties: { msgType: "req", encoding: "json" },
      },
    });
    expect(deny).not.toHaveProperty("properties.responseTopic");
    expect(JSON.parse(String(deny?.cmd === "publish" && deny.payload))).toMatchObject({
      headers: { request_id: expect.stringMatching(/^[0-9a-f-]{36}$/), from: "reflex", to: ["fw-1"] },
      body: { openc2: { request: { action: "deny" } } },
    });
  });

  test("nobody listens: not sent, and sent when the consumer is back", async () => {
    const { broker, front, consumer, url, connector } = await overMqtt();
    await front.close();
    while (broker.listeners("oc2/cmd/device/fw-1") > 0) await new Promise(setImmediate);
    const nobody = await connector.apply(callFor("block_ip", address));
    expect(nobody).toMatchObject({ kind: "retry", detail: "no consumer listens at the broker" });
    opened.push((await startMqttConsumer(consumer, { url, deviceId: "fw-1" })).close);
    expect((await connector.apply(callFor("block_ip", address))).kind).toBe("applied");
    expect(published(broker, "oc2/cmd/all")).toEqual([]);
  });

  test("a broker that went and came back is connected to again", async () => {
    const { broker, connector } = await overMqtt();
    broker.cut("oc2/rsp");
    const outcomes = [];
    for (let count = 0; count < 3; count += 1)
      outcomes.push((await connector.apply(callFor("block_ip", address))).kind);
    expect(outcomes.at(-1)).toBe("applied");
  });

  test("a receipt is not an answer", async () => {
    const { front, consumer, connector } = await overMqtt({ callTimeoutMs: 300 });
    receipts(front);
    const outcome = await connector.apply(callFor("block_ip", address));
    expect(outcome).toMatchObject({ kind: "unknown", detail: expect.stringContaining("102") });
    expect(consumer.present()).toEqual(["block_ip 203.0.113.9"]);
    front.setFault(undefined);
    expect((await connector.verify(callFor("block_ip", address))).kind).toBe("present");
  });

  test("an answer that comes late is not the answer to the next try", async () => {
    const { front, connector } = await overMqtt({ callTimeoutMs: 300 });
    await connector.apply(callFor("block_ip", address));
    front.setFault({ after: (hasChanged) => (hasChanged ? "late" : undefined) });
    expect((await connector.undo(callFor("block_ip", address))).kind).toBe("retry");
    // The late 200 comes before the 404 that is the answer to this one.
    const again = await connector.undo(callFor("block_ip", address));
    expect(again).toEqual({ kind: "undone", detail: "it was not there any more" });
  });

  test("a certificate that is none is said to be so, and nothing is sent", async () => {
    const transfer = mqttTransfer({ url: "mqtts://localhost:1", tls: { cert: "not a certificate", key: "not a key" } });
    const connector = await connectorOver(transfer, { filter: { profile: "pf" } });
    expect((await connector.apply(callFor("block_ip", address))).kind).toBe("retry");
  });

  test("a broker with another name in its certificate is told nothing", async () => {
    const authority = await createTestAuthority();
    const broker = await startMqtt5Broker(await authority.issue(["elsewhere.example"]));
    opened.push(broker.close);
    const transfer = mqttTransfer({ url: `mqtts://localhost:${broker.port}`, tls: { ca: [authority.caPem] } });
    const connector = await connectorOver(transfer, { filter: { profile: "pf" } });
    expect((await connector.apply(callFor("block_ip", address))).kind).toBe("retry");
    expect(broker.connects()).toEqual([]);
    const good = await startMqtt5Broker(await authority.issue(["localhost"]));
    opened.push(good.close);
    const trusted = mqttTransfer({ url: `mqtts://localhost:${good.port}`, tls: { ca: [authority.caPem] } });
    await connectorOver(trusted, { filter: { profile: "pf" } });
    expect(good.connects()).toHaveLength(1);
  });
});

describe("a consumer in a process of its own", () => {
  const program = join(import.meta.dirname, "openc2-far-end.ts");
  const start = async (...args: readonly string[]) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    const end = async (): Promise<void> => {
      child.kill("SIGKILL");
      await ended;
    };
    opened.push(end);
    const port = await new Promise<number>((resolve) =>
      createInterface({ input: child.stdout }).once("line", (line) => resolve(Number(line))),
    );
    const counts = async () => (await (await fetch(`http://127.0.0.1:${port}/counts`)).json()) as FarEndCounts;
    return { port, counts, end };
  };

  test("over HTTP: counts one effect of one command, however often it is sent", async () => {
    const consumer = await start("0");
    const http = createHttpCalls();
    opened.push(http.close);
    const transfer = createHttpsTransfer(
      { baseUrl: `http://127.0.0.1:${consumer.port}`, producer: "reflex", callTimeoutMs: 2_000 },
      { http, secrets: createSecrets({}), clock },
    );
    const connector = await connectorOver(transfer, { filter: { profile: "pf" } });
    const call = callFor("block_ip", address);
    const outcomes = [await connector.apply(call), await connector.apply(call), await connector.undo(call)];
    expect(outcomes.map(({ kind }) => kind)).toEqual(["applied", "applied", "undone"]);
    const { effects, undone, present } = await consumer.counts();
    expect({ effects, undone, present }).toEqual({
      effects: { [commandIdOf("apply", call.idempotencyKey)]: 1 },
      undone: { [commandIdOf("undo", call.idempotencyKey)]: 1 },
      present: [],
    });
    await consumer.end();
    // The first may still go onto the connection that just died, and is then honestly unknown.
    const later: string[] = [];
    for (let count = 0; count < 20 && later.at(-1) !== "retry"; count += 1)
      later.push((await connector.apply(call)).kind);
    expect(later.slice(0, -1).every((kind) => kind === "unknown")).toBe(true);
    expect(later.at(-1)).toBe("retry");
    expect((await connector.undo(call)).kind).toBe("retry");
    expect((await connector.verify(call)).kind).toBe("unknown");
  });

  test("over MQTT: killed and started again, it is found by the same name", async () => {
    const broker = await startMqtt5Broker();
    opened.push(broker.close);
    const url = `mqtt://127.0.0.1:${broker.port}`;
    const first = await start("0", url, "fw-1");
    const connector = await connectorOver(mqttTransfer({ url }), { filter: { profile: "pf" } });
    const call = callFor("block_ip", address);
    expect((await connector.apply(call)).kind).toBe("applied");
    await first.end();
    while (broker.listeners("oc2/cmd/device/fw-1") > 0) await new Promise(setImmediate);
    expect((await connector.apply(call)).kind).toBe("retry");
    await start("0", url, "fw-1");
    expect((await connector.verify(call)).kind).toBe("absent");
    expect((await connector.apply(call)).kind).toBe("applied");
  });
});

test("a consumer that is away does not hold up the start, nor is it said to be verifiable", async () => {
  const transfer: Transfer = {
    start: async () => ok(undefined),
    exchange: () => new Promise(() => {}),
    stop: async () => {},
  };
  const connector = await connectorOver(transfer);
  expect(connector.describe().actions.block_ip).toMatchObject({ canVerify: false });
});
