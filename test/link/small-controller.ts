// The controller's side of the link, as small as it can be: real authority, real broker, real HTTPS, keys in memory.
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { type Broker, startBroker } from "@reflex/controller/broker/broker";
import { type Authority, createAuthority } from "@reflex/controller/pki/authority";
import { identityOfAltName } from "@reflex/controller/pki/identity";
import {
  headOf,
  makeKeys,
  signBytes,
  signEnvelope,
  testSelf,
  trustOf,
} from "@reflex/edge-agent/policy/signing-fixture";
import type { Envelope } from "@reflex/protocol/envelope";
import type { Head, SyncRequest, SyncResponse } from "@reflex/protocol/sync";
import { parseUpTopic, topicOf, upFilter, upPartitions } from "@reflex/protocol/topics";
import mqtt, { type MqttClient } from "mqtt";

export type SmallController = Awaited<ReturnType<typeof startSmallController>>;

export const startSmallController = async () => {
  const dir = await mkdtemp(join(tmpdir(), "reflex-link-"));
  const authority = await createAuthority({ dir, org: testSelf.org, nowMs: () => Date.now() });
  const server = await authority.issueServer([]);
  const keys = makeKeys();
  const blobs = new Map<string, Uint8Array>();
  const trusts = new Map<number, Uint8Array>([[1, signBytes("trust", trustOf(keys), keys.root)]]);
  const tokens = new Set<string>(["one-time"]);
  const heard: { name: string; payload: unknown }[] = [];
  const refused: string[] = [];
  let sequence = 0;
  let desired: Partial<Head> = {};
  let kills: Envelope[] = [];
  const committed = new Map<string, number>();

  const nextHead = (): Envelope => {
    sequence += 1;
    return signEnvelope("head", headOf(sequence, { issued_at: new Date().toISOString(), ...desired }), keys.head);
  };
  const sync = (agent: string, bootId: string): SyncResponse => ({
    v: 1,
    boot_id: bootId,
    head: nextHead(),
    kills,
    acknowledged: committed.get(agent) ?? 0,
  });

  const https = createServer(
    { key: server.key, cert: server.cert, ca: authority.caPem, requestCert: true, rejectUnauthorized: false },
    (request, response) => void answer(request, response).catch(() => response.destroy()),
  );
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    const socket = request.socket as TLSSocket;
    const identity = socket.authorized ? identityOfAltName(socket.getPeerX509Certificate()?.subjectAltName) : undefined;
    const body = await bodyOf(request);
    const path = request.url ?? "";
    if (path === "/v1/enrol") {
      if (!tokens.delete(String(body["join_token"]))) return void json(403, {});
      const agent = String(body["agent"]);
      const signed = await authority.signAgentCsr(String(body["csr"]), { site: testSelf.site, agent });
      if (!signed.ok) return void json(400, signed.error);
      const trust = JSON.parse(Buffer.from(trusts.get(1) ?? []).toString());
      return void json(200, { ...testSelf, agent, certificate: signed.value.certificate, ca: authority.caPem, trust });
    }
    if (identity?.kind !== "agent") return void json(401, {});
    if (path === "/v1/agent/renew") {
      const signed = await authority.signAgentCsr(String(body["csr"]), identity);
      return void (signed.ok
        ? json(200, { certificate: signed.value.certificate, ca: authority.caPem })
        : json(400, signed.error));
    }
    if (path === "/v1/agent/sync") return void json(200, sync(identity.agent, String(body["boot_id"])));
    const blob = path.startsWith("/v1/blobs/")
      ? blobs.get(path.slice("/v1/blobs/".length))
      : trusts.get(Number(path.slice("/v1/trust/".length)));
    if (blob === undefined) return void json(404, {});
    response.writeHead(200).end(blob);
  };
  await listen(https);

  let broker: Broker | undefined;
  let client: MqttClient | undefined;
  const startMqtt = async (port = 0): Promise<void> => {
    const tls = { cert: server.cert, key: server.key, ca: authority.caPem };
    const log = (_fields: unknown, message: string): void => void refused.push(message);
    broker = await startBroker({ org: testSelf.org, tls, host: "127.0.0.1", port, wsPort: undefined, log });
    const own = await authority.issueController("controller-1");
    client = await mqtt.connectAsync(`mqtts://127.0.0.1:${broker.port}`, {
      ca: authority.caPem,
      cert: own.cert,
      key: own.key,
      clientId: "controller-1",
      reconnectPeriod: 0,
    });
    client.on("message", (topic, payload) => {
      const parsed = parseUpTopic(topic);
      if (parsed === undefined) return;
      const value: unknown = JSON.parse(payload.toString());
      heard.push({ name: parsed.name, payload: value });
      const address = { ...testSelf, agent: parsed.agent };
      if (parsed.name === "syncRequest")
        publish(topicOf.syncResponse(address), sync(parsed.agent, (value as SyncRequest).boot_id));
      if (parsed.name === "report") {
        const batch = JSON.parse(Buffer.from((value as Envelope).payload, "base64").toString());
        const upTo = Math.max(committed.get(parsed.agent) ?? 0, batch.last);
        committed.set(parsed.agent, upTo);
        publish(topicOf.acknowledgement(address), { v: 1, agent: parsed.agent, acknowledged: upTo });
      }
    });
    await client.subscribeAsync(
      Array.from({ length: upPartitions }, (_, partition) => upFilter(testSelf.org, partition)),
      { qos: 1 },
    );
  };
  const stopMqtt = async (): Promise<void> => {
    client?.end(true);
    await broker?.close();
    broker = undefined;
  };
  const publish = (topic: string, value: unknown, retain = false): void => {
    client?.publish(topic, value instanceof Uint8Array ? Buffer.from(value) : JSON.stringify(value), {
      qos: 1,
      retain,
    });
  };
  await startMqtt();

  return {
    authority: authority as Authority,
    keys,
    blobs,
    trusts,
    tokens,
    heard,
    refused,
    url: `https://127.0.0.1:${(https.address() as AddressInfo).port}`,
    brokerPort: () => broker?.port ?? 0,
    publish,
    publishHead: () => publish(topicOf.head(testSelf), nextHead(), true),
    nextHead,
    /** Releases a blob: by hash over HTTPS, and pointed at by every head from now on. */
    offer: (part: "bundle" | "weights", version: number, blob: Uint8Array) => {
      const hash = createHash("sha256").update(blob).digest("hex");
      blobs.set(hash, blob);
      desired = { ...desired, [part]: { version, hash, bytes: blob.length } };
    },
    want: (more: Partial<Head>) => {
      desired = { ...desired, ...more };
    },
    setKills: (envelopes: Envelope[]) => {
      kills = envelopes;
    },
    startMqtt,
    stopMqtt,
    stop: async () => {
      await stopMqtt();
      https.closeAllConnections();
      await new Promise((resolve) => https.close(resolve));
      await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    },
  };
};

const bodyOf = async (request: IncomingMessage): Promise<Record<string, unknown>> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return chunks.length === 0 ? {} : (JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>);
};

const listen = (server: Server): Promise<void> => new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
