import { randomBytes } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import { Aedes } from "aedes";
import { connectAsync, type MqttClient } from "mqtt";
import { afterEach, describe, expect, test } from "vitest";
import type { RawRecord, RecordFate, Timers } from "../ports.ts";
import { createMqttSource, type MqttSource } from "./mqtt.ts";
import { mqttInFlightMax } from "./mqtt-settings.ts";

// A real broker in this process, whose sockets can be cut as if it were killed.

type Broker = {
  readonly url: string;
  /** Cuts every connection and stops listening; sessions survive, as on a broker that keeps them on disk. */
  readonly kill: () => Promise<void>;
  readonly restart: () => Promise<void>;
  readonly publish: (topic: string, payload: string, extra?: { retain?: boolean; qos?: 0 | 1 }) => Promise<void>;
  readonly close: () => Promise<void>;
};

const startBroker = async (): Promise<Broker> => {
  const aedes = await Aedes.createBroker();
  const sockets = new Set<Socket>();
  let server: Server;
  let port = 0;
  const listen = async (): Promise<void> => {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      aedes.handle(socket);
    });
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    const bound = server.address();
    if (bound !== null && typeof bound === "object") port = bound.port;
  };
  const kill = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await listen();
  return {
    url: `mqtt://127.0.0.1:${port}`,
    kill,
    restart: listen,
    publish: (topic, payload, { retain = false, qos = 1 } = {}) =>
      new Promise((resolve, reject) =>
        aedes.publish({ cmd: "publish", topic, payload: Buffer.from(payload), qos, retain, dup: false }, (error) =>
          error ? reject(error) : resolve(),
        ),
      ),
    close: async () => {
      await kill();
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
    },
  };
};

const timers: Timers = {
  after: (delayMs, run) => {
    // Reconnecting soon keeps the test short; the deadline stays far away.
    const timer = setTimeout(run, delayMs > 60_000 ? delayMs : Math.min(delayMs, 30));
    return () => clearTimeout(timer);
  },
  soon: setImmediate,
};
const log = { info: () => {}, warn: () => {}, error: () => {} };
const decided: RecordFate = { kind: "decided", decisionId: "d", verdict: "hold" };
const notTaken: RecordFate = { kind: "not_taken", refusal: { code: "queue-full", detail: "" } };
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
};

const opened: { close?: () => Promise<void>; stop?: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await (one.stop?.() ?? one.close?.());
});
const broker = async (): Promise<Broker> => {
  const started = await startBroker();
  opened.push(started);
  return started;
};
const sourceAt = (url: string): MqttSource => {
  const source = createMqttSource(
    { name: "soc", url, topics: ["siem/detections"], format: "auto", clientId: "reflex-test" },
    { timers, random: { bytes: (count) => randomBytes(count) }, log },
  );
  opened.push(source);
  return source;
};
const textOf = ({ bytes }: RawRecord): string => Buffer.from(bytes).toString();

describe("mqtt", () => {
  test("a message is acknowledged when its fate is durable, and never before", async () => {
    const { url, publish } = await broker();
    const first = sourceAt(url);
    const open: RawRecord[] = [];
    await first.start(async (record) => void open.push(record));
    await until(first.isConnected);
    for (const n of [1, 2, 3]) await publish("siem/detections", `{"n":${n}}`);
    await until(() => open.length === 3);
    // The second is settled; the agent then stops without having stored the others.
    open[1]?.settle(decided);
    open[0]?.settle(notTaken);
    const stopped = first.stop();
    open[2]?.settle(notTaken);
    await stopped;

    const second = sourceAt(url);
    const again: string[] = [];
    await second.start(async (record) => {
      again.push(textOf(record));
      record.settle(decided);
    });
    await until(() => again.length >= 2);
    await publish("siem/detections", "last");
    await until(() => again.includes("last"));
    expect(again).toEqual(['{"n":1}', '{"n":3}', "last"]);
  });

  test("the broker is killed and restarted mid-stream: nothing unsettled is lost", async () => {
    const { url, publish, kill, restart } = await broker();
    const source = sourceAt(url);
    const settled = new Map<string, number>();
    await source.start(async (record) => {
      // Slow enough that each kill finds some records undecided.
      setTimeout(() => {
        settled.set(textOf(record), (settled.get(textOf(record)) ?? 0) + 1);
        record.settle(decided);
      }, 5);
    });
    await until(source.isConnected);
    const count = 600;
    for (let n = 0; n < count; n += 1) {
      await publish("siem/detections", `n${n}`);
      if (n % 150 === 75) {
        await kill();
        expect(settled.size).toBeLessThan(n + 1);
      }
      // What is published meanwhile waits in the session.
      if (n % 150 === 100) await restart();
    }
    await until(() => settled.size === count);
    expect([...settled.keys()].toSorted()).toEqual(Array.from({ length: count }, (_, n) => `n${n}`).toSorted());
  });

  test("no more than can be held are out at once; the rest wait at the broker", async () => {
    const { url, publish } = await broker();
    const source = sourceAt(url);
    const open: RawRecord[] = [];
    await source.start(async (record) => void open.push(record));
    await until(source.isConnected);
    const count = 2 * mqttInFlightMax + 10;
    const publishing = (async () => {
      for (let n = 0; n < count; n += 1) await publish("siem/detections", `n${n}`);
    })();
    await until(() => open.length === mqttInFlightMax);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(open).toHaveLength(mqttInFlightMax);
    let taken = 0;
    while (taken < count) {
      const batch = open.splice(0);
      expect(batch.length).toBeLessThanOrEqual(mqttInFlightMax);
      for (const { settle } of batch) settle(decided);
      taken += batch.length;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await publishing;
    expect(taken).toBe(count);
  });

  test("a retained message is a topic's last value, not news", async () => {
    const { url, publish } = await broker();
    await publish("siem/detections", "old", { retain: true });
    const source = sourceAt(url);
    const offered: string[] = [];
    await source.start(async (record) => {
      offered.push(textOf(record));
      record.settle(decided);
    });
    await until(source.isConnected);
    await publish("siem/detections", "unacknowledged", { qos: 0 });
    await publish("siem/detections", "new");
    await until(() => offered.includes("new"));
    expect(offered.toSorted()).toEqual(["new", "unacknowledged"]);
  });

  test("a broker that is not there yet is waited for", async () => {
    const { url, publish, kill, restart } = await broker();
    await kill();
    const source = sourceAt(url);
    const offered: string[] = [];
    await source.start(async (record) => {
      offered.push(textOf(record));
      record.settle(decided);
    });
    await new Promise((resolve) => setTimeout(resolve, 60));
    await restart();
    await until(source.isConnected);
    await publish("siem/detections", "x");
    await until(() => offered.length === 1);
  });

  test("a payload over the limit passes as a stub that is over the limit", async () => {
    const { url } = await broker();
    const source = sourceAt(url);
    const lengths: number[] = [];
    await source.start(async ({ bytes, settle }) => {
      lengths.push(bytes.length);
      settle(decided);
    });
    await until(source.isConnected);
    const client: MqttClient = await connectAsync(url);
    await client.publishAsync("siem/detections", Buffer.alloc(5 << 20, "x"), { qos: 1 });
    await until(() => lengths.length === 1);
    expect(lengths).toEqual([256 * 1024 + 1]);
    await client.endAsync(true);
  });
});
