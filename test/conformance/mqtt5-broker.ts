import { type AddressInfo, createServer as createPlainServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import mqttPacket, { type Packet } from "mqtt-packet";

/**
 * As much of an MQTT 5 broker as OpenC2 needs: exact topics, QoS 0 and 1, user properties and message expiry passed on, and
 * "no matching subscribers" said where nobody listens. Ordinary tests run on it because aedes speaks MQTT 3.1.1 only; the lab
 * runs the same subject on mosquitto.
 */
export type Mqtt5Broker = {
  readonly port: number;
  /** PUBLISH packets as they came, newest last. */
  readonly published: () => readonly Packet[];
  /** CONNECT packets as they came. */
  readonly connects: () => readonly Packet[];
  readonly listeners: (topic: string) => number;
  /** Breaks every connection, or those that listen to a topic; whoever comes back finds no session. */
  readonly cut: (topic?: string) => void;
  readonly close: () => Promise<void>;
};

export type BrokerTls = { readonly cert: string; readonly key: string };

export const startMqtt5Broker = async (tls?: BrokerTls): Promise<Mqtt5Broker> => {
  const sockets = new Set<Socket>();
  const subscribers = new Map<Socket, Set<string>>();
  const published: Packet[] = [];
  const connects: Packet[] = [];

  const serve = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      subscribers.delete(socket);
    });
    const send = (packet: Packet): void => {
      if (socket.writable) mqttPacket.writeToStream(packet, socket, { protocolVersion: 5 });
    };
    const parser = mqttPacket.parser({ protocolVersion: 5 });
    parser.on("error", () => socket.destroy());
    parser.on("packet", (packet: Packet) => take(packet, socket, send));
    socket.on("data", (bytes) => parser.parse(Buffer.from(bytes)));
  };

  const take = (packet: Packet, socket: Socket, send: (packet: Packet) => void): void => {
    switch (packet.cmd) {
      case "connect":
        connects.push(packet);
        if (packet.protocolVersion !== 5) socket.destroy();
        else send({ cmd: "connack", reasonCode: 0, sessionPresent: false });
        return;
      case "subscribe": {
        const topics = subscribers.get(socket) ?? new Set();
        subscribers.set(socket, topics);
        for (const { topic } of packet.subscriptions) topics.add(topic);
        send({
          cmd: "suback",
          ...(packet.messageId === undefined ? {} : { messageId: packet.messageId }),
          granted: packet.subscriptions.map(({ qos }) => Math.min(qos, 1)),
        });
        return;
      }
      case "publish": {
        published.push(packet);
        const listeners = [...subscribers].filter(([, topics]) => topics.has(packet.topic));
        const { messageId, properties, payload, topic } = packet;
        if (packet.qos === 1 && messageId !== undefined)
          send({ cmd: "puback", messageId, reasonCode: listeners.length === 0 ? 0x10 : 0 });
        for (const [listener] of listeners) {
          const onward: Packet = {
            cmd: "publish",
            qos: 0,
            dup: false,
            retain: false,
            topic,
            payload,
            ...(properties === undefined ? {} : { properties }),
          };
          if (listener.writable) mqttPacket.writeToStream(onward, listener, { protocolVersion: 5 });
        }
        return;
      }
      case "pingreq":
        send({ cmd: "pingresp" });
        return;
      case "disconnect":
        socket.end();
        return;
      default:
        return;
    }
  };

  const server: Server = tls === undefined ? createPlainServer(serve) : createTlsServer({ ...tls }, serve);
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (topic?: string): void => {
    for (const socket of [...sockets])
      if (topic === undefined || subscribers.get(socket)?.has(topic) === true) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    published: () => published,
    connects: () => connects,
    listeners: (topic) => [...subscribers.values()].filter((topics) => topics.has(topic)).length,
    cut,
    close: async () => {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
};
