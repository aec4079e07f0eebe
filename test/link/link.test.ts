import { rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import {
  bundleOf,
  killOf,
  makeKeys,
  signBytes,
  signEnvelope,
  testSelf,
  trustOf,
} from "@reflex/edge-agent/policy/signing-fixture";
import { mqttPacketBytesMax } from "@reflex/protocol/limits";
import { topicOf } from "@reflex/protocol/topics";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { enrolled, startAgentSide, until } from "./agent-side.ts";
import { type SmallController, startSmallController } from "./small-controller.ts";

let controller: SmallController;
const closing: (() => Promise<void>)[] = [];
beforeAll(async () => {
  controller = await startSmallController();
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  controller.setKills([]);
});
afterAll(() => controller.stop());

let agents = 0;
let epochs = 0;
let versions = 0;
const start = async (brokerUrl?: string) => {
  agents += 1;
  const from = await enrolled(controller, `edge-${agents}`);
  const agent = await startAgentSide(controller, from, brokerUrl);
  closing.push(agent.remove, agent.stop);
  return { agent, from };
};
const bundle = (version: number, changes = {}) =>
  signBytes("bundle", bundleOf(version, changes), controller.keys.release.slice(0, 2));
const engage = (aud = {}) => signEnvelope("kill", killOf("engaged", ++epochs, aud), controller.keys.kill.slice(0, 1));
const release = (aud = {}) => signEnvelope("kill", killOf("armed", ++epochs, aud), controller.keys.kill.slice(0, 2));

describe("over a real broker with client certificates", () => {
  test("connect, sync, fetch by hash, activate, report, and be acknowledged", async () => {
    const version = ++versions;
    controller.offer("bundle", version, bundle(version));
    const { agent } = await start();
    await until(() => agent.activation.active() !== undefined);
    expect(agent.activation.observed("bundle")).toMatchObject({ version, phase: "active" });
    expect(agent.lease.valid(60)).toBe(true);
    await agent.report(700);
    await until(() => agent.journal.spool().first === agent.journal.spool().last + 1);
    await until(() =>
      controller.heard.some(
        ({ name, payload }) =>
          name === "heartbeat" &&
          (payload as { agent: string; bundle: { version: number } }).agent === agent.self.agent &&
          (payload as { bundle: { version: number } }).bundle.version === version,
      ),
    );
  });

  test("a newer bundle announced by a head is activated; a refused one leaves the last good and says why", async () => {
    const version = ++versions;
    controller.offer("bundle", version, bundle(version));
    const { agent } = await start();
    await until(() => agent.activation.active()?.bundle === version);
    const bad = ++versions;
    controller.offer("bundle", bad, signBytes("bundle", bundleOf(bad), controller.keys.release.slice(0, 1)));
    controller.publishHead();
    await until(() => agent.activation.observed("bundle").phase === "refused");
    expect(agent.activation.observed("bundle")).toMatchObject({ version, refused: { code: "threshold-not-met" } });
    const good = ++versions;
    controller.offer("bundle", good, bundle(good));
    controller.publishHead();
    await until(() => agent.activation.active()?.bundle === good);
  });

  test("a kill reaches the agent live, holds through a restart, and only two keys release it", async () => {
    const { agent, from } = await start();
    await until(() => agent.link.connected());
    const aud = { agent: agent.self.agent };
    const topic = topicOf.killAgent(agent.self);
    controller.publish(topic, engage(aud));
    await until(() => agent.kill.killed() !== undefined);
    closing.pop();
    await agent.stop();
    const again = await startAgentSide(controller, from);
    closing.push(again.stop);
    expect(again.kill.killed()).toBeDefined();
    await until(() => again.link.connected());
    const byOne = signEnvelope("kill", killOf("armed", ++epochs, aud), controller.keys.kill.slice(0, 1));
    controller.publish(topic, byOne);
    await until(() => Object.keys(again.session.refusedCounts()).some((key) => key.includes("threshold-not-met")));
    expect(again.kill.killed()).toBeDefined();
    controller.publish(topic, release(aud));
    await until(() => again.kill.killed() === undefined);
  });

  test("a kill that the live path lost comes with the next sync", async () => {
    const aud = { site: testSelf.site };
    controller.setKills([engage(aud)]);
    const { agent } = await start();
    await until(() => agent.kill.killed() !== undefined);
    controller.setKills([release(aud)]);
  });

  test("the file KILL stops the agent without anybody", async () => {
    const { agent } = await start();
    await until(() => agent.kill.killed() === undefined);
    await writeFile(join(agent.folder, "KILL"), "");
    expect(agent.kill.killed()?.scope).toBe("local");
    await rm(join(agent.folder, "KILL"));
    expect(agent.kill.killed()).toBeUndefined();
  });

  test("an old head, another site's head and a stranger's head renew nothing", async () => {
    const { agent } = await start();
    await until(() => agent.link.connected() && agent.lease.valid(60));
    const old = controller.nextHead();
    controller.publishHead();
    const stranger = signEnvelope(
      "head",
      { ...JSON.parse(Buffer.from(old.payload, "base64").toString()), sequence: 1e6 },
      makeKeys().head,
    );
    const paris = signEnvelope(
      "head",
      {
        ...JSON.parse(Buffer.from(old.payload, "base64").toString()),
        sequence: 1e6,
        aud: { org: testSelf.org, site: "paris" },
      },
      controller.keys.head,
    );
    const topic = topicOf.head(agent.self);
    for (const envelope of [old, stranger, paris]) controller.publish(topic, envelope);
    await until(() => Object.keys(agent.session.refusedCounts()).length >= 3);
    expect(
      Object.keys(agent.session.refusedCounts())
        .map((key) => key.split(":")[1])
        .sort(),
    ).toEqual(["audience-wrong", "signature-invalid", "version-rollback"]);
  });

  test("poison is counted and never ends the agent or its link", async () => {
    const { agent } = await start();
    await until(() => agent.link.connected());
    const poison = [
      Buffer.from("{"),
      Buffer.from([0xff, 0xfe]),
      Buffer.from("[".repeat(5_000)),
      Buffer.from('{"v":1}'),
      Buffer.alloc(mqttPacketBytesMax - 200, 0x41),
    ];
    const topics = [topicOf.head, topicOf.killAgent, topicOf.syncResponse, topicOf.acknowledgement];
    for (const topic of topics)
      for (const bytes of poison) controller.publish(topic(agent.self), Uint8Array.from(bytes));
    await until(
      () =>
        Object.values(agent.session.refusedCounts()).reduce((sum, count) => sum + count, 0) >=
        poison.length * topics.length,
    );
    expect(agent.link.connected()).toBe(true);
    await agent.report(3);
    await until(() => agent.journal.spool().first === agent.journal.spool().last + 1);
  });
});

describe("when the way is broken", () => {
  test("broker gone: kill and head come over HTTPS; broker back: the agent is back and loses no report", async () => {
    const { agent } = await start();
    await until(() => agent.link.connected());
    const port = controller.brokerPort();
    await controller.stopMqtt();
    await agent.report(300);
    controller.setKills([engage({ agent: agent.self.agent })]);
    await until(() => agent.kill.killed() !== undefined);
    await controller.startMqtt(port);
    await until(() => agent.link.connected());
    await until(() => agent.journal.spool().first === agent.journal.spool().last + 1);
    controller.setKills([release({ agent: agent.self.agent })]);
  });

  test("a socket that takes everything and answers nothing is given up, and a new client connects", async () => {
    let isFrozen = false;
    const sockets: { resume: () => void; pause: () => void; destroy: () => void }[] = [];
    const proxy = createServer((near) => {
      const far = connect(controller.brokerPort(), "127.0.0.1");
      near.on("data", (chunk) => void (isFrozen || far.write(chunk)));
      far.on("data", (chunk) => void (isFrozen || near.write(chunk)));
      for (const socket of [near, far]) socket.on("error", () => undefined);
      near.on("close", () => far.destroy());
      far.on("close", () => near.destroy());
      sockets.push(near, far);
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    closing.push(async () => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
    });
    const address = proxy.address();
    const { agent } = await start(`mqtts://127.0.0.1:${typeof address === "object" ? address?.port : 0}`);
    await until(() => agent.link.connected());
    isFrozen = true;
    await until(() => !agent.link.connected());
    isFrozen = false;
    await until(() => agent.link.connected());
    await agent.report(5);
    await until(() => agent.journal.spool().first === agent.journal.spool().last + 1);
  });

  test("a rotated trust document is followed one by one, and new keys then release", async () => {
    const { agent } = await start();
    await until(() => agent.link.connected() && agent.lease.valid(60));
    const next = { ...makeKeys(), root: controller.keys.root, head: controller.keys.head };
    controller.trusts.set(2, signBytes("trust", trustOf(next, 2), controller.keys.root));
    controller.want({ trust_version: 2 });
    const version = ++versions;
    controller.offer("bundle", version, signBytes("bundle", bundleOf(version), next.release));
    controller.publishHead();
    await until(() => agent.activation.active()?.bundle === version);
    expect(agent.trust.current()?.version).toBe(2);
  });
});
