import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { mqttPacketBytesMax, segmentLengthMax } from "@reflex/protocol/limits";
import { Aedes, type Client } from "aedes";
import { createWebSocketStream, WebSocketServer } from "ws";
import { type Identity, identityOfAltName } from "../pki/identity.ts";
import { connectRefusal, publishRefusal, subscribeRefusal } from "./access.ts";
import { guardPackets } from "./packet-gate.ts";
import { agentPublishRate, createPublishRate } from "./publish-rate.ts";
import { createRetainedCache, retainedLimits } from "./retained-cache.ts";

/**
 * The embedded MQTT broker: TLS 1.3 with a client certificate, nothing without one. It keeps nothing on disk; whoever
 * restarts it publishes again what is retained.
 */
export type BrokerOptions = {
  readonly org: string;
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** MQTT over WebSocket; undefined = not offered. */
  readonly wsPort: number | undefined;
  readonly log: (fields: Readonly<Record<string, unknown>>, message: string) => void;
};
export type Broker = {
  readonly port: number;
  readonly wsPort: number | undefined;
  /** Agents that may not connect, whole list; those connected are cut off. */
  readonly setRevoked: (agents: readonly string[]) => void;
  readonly connections: () => number;
  readonly close: () => Promise<void>;
};

/** A TLS handshake and CONNECT over the slowest link; half-open connections are cut after it. */
const connectMsMax = 15_000;
/** Twice the fleet of DESIGN §11. */
const connectionsMax = 20_000;
/** Agents say 30 s; a client that says nothing for longer than one and a half times this is gone. */
const keepaliveSecondsMax = 300;
/** A subscriber that reads nothing for this long is cut off, or it holds back what others wait for. */
const drainMsMax = 2_000;

export const startBroker = async (options: BrokerOptions): Promise<Broker> => {
  const { org, log } = options;
  const identities = new WeakMap<object, Identity>();
  const rates = new WeakMap<object, () => number>();
  let revoked: ReadonlySet<string> = new Set();
  const cache = createRetainedCache(retainedLimits, (topic) =>
    log({ topic }, "retained message not kept, cache is full"),
  );

  const aedes = new Aedes({
    // 0 = a slow subscriber takes no slot away from the others (100 and 60 s, the defaults, hold up a kill for a minute).
    concurrency: 0,
    drainTimeout: drainMsMax,
    connectTimeout: connectMsMax,
    keepaliveLimit: keepaliveSecondsMax,
    maxClientsIdLength: segmentLengthMax,
    maxTopicLevels: 8,
    persistence: cache,
    preConnect: (client, packet, done) => {
      const identity = identities.get(client.conn);
      const why =
        connectRefusal(identity, org, { clientId: packet.clientId, clean: packet.clean === true }) ??
        (identity?.kind === "agent" && revoked.has(identity.agent) ? "the agent is revoked" : undefined);
      if (why === undefined) return done(null, true);
      log({ client: packet.clientId, why }, "connection refused");
      done(new Error(why), false);
    },
    authorizePublish: (client, packet, done) => {
      // The broker's own messages have no client.
      if (client === null) return done(null);
      const identity = identities.get(client.conn);
      const why = identity === undefined ? "nobody" : publishRefusal(identity, packet);
      if (why !== undefined) {
        log({ client: client.id, topic: packet.topic, why }, "publication refused");
        return done(new Error(why));
      }
      const waitMs = rates.get(client.conn)?.() ?? 0;
      if (waitMs === 0) done(null);
      else setTimeout(() => done(null), waitMs);
    },
    authorizeSubscribe: (client, subscription, done) => {
      const identity = identities.get(client.conn);
      const why = identity === undefined ? "nobody" : subscribeRefusal(identity, subscription.topic);
      if (why !== undefined) log({ client: client.id, topic: subscription.topic, why }, "subscription refused");
      done(null, why === undefined ? subscription : null);
    },
  });
  await aedes.listen();
  aedes.on("clientError", (client: Client, error) =>
    log({ client: client.id, error: error.message }, "connection ended"),
  );
  aedes.on("connectionError", (_client, error) => log({ error: error.message }, "connection ended before it began"));

  const take = (stream: Duplex, socket: TLSSocket): void => {
    const identity = identityOfAltName(socket.getPeerX509Certificate()?.subjectAltName);
    if (identity === undefined) return void stream.destroy();
    identities.set(stream, identity);
    if (identity.kind === "agent")
      rates.set(
        stream,
        createPublishRate(agentPublishRate, () => performance.now()),
      );
    guardPackets(stream, mqttPacketBytesMax, (bytes) =>
      log({ ...identity, bytes }, "connection ended: a packet longer than the limit was announced"),
    );
    aedes.handle(stream);
  };

  const tls = {
    ...options.tls,
    minVersion: "TLSv1.3" as const,
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: connectMsMax,
  };
  const plain = createTlsServer(tls, (socket) => {
    socket.setNoDelay(true);
    take(socket, socket);
  });
  plain.on("tlsClientError", (error) => log({ error: error.message }, "handshake failed"));
  plain.maxConnections = connectionsMax;
  const port = await listen(plain, options.host, options.port);

  const web = options.wsPort === undefined ? undefined : createHttpsServer(tls);
  web?.on("tlsClientError", (error) => log({ error: error.message }, "handshake failed"));
  if (web !== undefined) {
    const sockets = new WebSocketServer({ server: web, maxPayload: mqttPacketBytesMax, handleProtocols: offersMqtt });
    sockets.on("connection", (webSocket, request) => {
      const stream = createWebSocketStream(webSocket);
      stream.on("error", (error) => log({ error: error.message }, "connection ended"));
      take(stream, request.socket as TLSSocket);
    });
  }
  const wsPort = web === undefined ? undefined : await listen(web, options.host, options.wsPort ?? 0);

  return {
    port,
    wsPort,
    connections: () => aedes.connectedClients,
    setRevoked: (agents) => {
      revoked = new Set(agents);
      const clients = (aedes as unknown as { readonly clients: Readonly<Record<string, Client>> }).clients;
      for (const agent of agents) clients[agent]?.close();
    },
    close: async () => {
      web?.closeAllConnections();
      await Promise.all([
        new Promise<void>((done) => aedes.close(() => done())),
        new Promise<void>((done) => plain.close(() => done())),
        new Promise<void>((done) => (web === undefined ? done() : web.close(() => done()))),
      ]);
    },
  };
};

const offersMqtt = (protocols: Set<string>): string | false => (protocols.has("mqtt") ? "mqtt" : false);

const listen = (server: Server, host: string, port: number): Promise<number> =>
  new Promise((done, fail) => {
    server.once("error", fail);
    server.listen(port, host, () => {
      server.off("error", fail);
      done((server.address() as AddressInfo).port);
    });
  });
