import { Readable } from "node:stream";
import type { AedesPublishPacket, Client } from "aedes";

/**
 * What aedes keeps, for clean sessions alone: retained messages by their exact topic, and last wills. Nothing is queued for
 * the absent (a queue replays stale commands and has no bound), and no filter is matched against every retained topic.
 */
export type RetainedLimits = { readonly messagesMax: number; readonly bytesMax: number };

/** A head and a kill state per site and per killed agent; ten thousand agents use a tenth of it. */
export const retainedLimits: RetainedLimits = { messagesMax: 100_000, bytesMax: 256 * 1024 * 1024 };

type Packet = Pick<AedesPublishPacket, "topic" | "payload"> & Record<string, unknown>;
type Who = Pick<Client, "id">;

export const createRetainedCache = (limits: RetainedLimits, refuse: (topic: string) => void) => {
  const retained = new Map<string, Packet>();
  const wills = new Map<string, Packet>();
  let bytes = 0;
  let brokerId = "";

  const sizeOf = (packet: Packet | undefined): number => (packet === undefined ? 0 : packet.payload.length);

  return {
    setup: async (broker: { readonly id: string }) => {
      brokerId = broker.id;
    },
    storeRetained: async (packet: Packet) => {
      const before = retained.get(packet.topic);
      bytes -= sizeOf(before);
      retained.delete(packet.topic);
      if (packet.payload.length === 0) return;
      if (retained.size >= limits.messagesMax || bytes + sizeOf(packet) > limits.bytesMax) return refuse(packet.topic);
      retained.set(packet.topic, { ...packet });
      bytes += sizeOf(packet);
    },
    // A filter with wildcards matches no key, so it gets nothing: what is retained is a cache, and sync is the truth.
    createRetainedStreamCombi: (filters: readonly string[]) =>
      Readable.from(filters.flatMap((filter) => retained.get(filter) ?? [])),
    createRetainedStream: (filter: string) =>
      Readable.from([retained.get(filter)].filter((found) => found !== undefined)),

    addSubscriptions: async () => undefined,
    removeSubscriptions: async () => undefined,
    subscriptionsByClient: async () => [],
    subscriptionsByTopic: async () => [],
    cleanSubscriptions: async () => undefined,
    countOffline: async () => ({ subsCount: 0, clientsCount: 0 }),
    getClientList: () => Readable.from([]),

    outgoingEnqueue: async () => undefined,
    outgoingEnqueueCombi: async () => undefined,
    outgoingUpdate: async () => undefined,
    outgoingClearMessageId: async () => undefined,
    outgoingStream: () => Readable.from([]),

    // QoS 2 is refused before it gets here.
    incomingStorePacket: async () => undefined,
    incomingGetPacket: async () => {
      throw new Error("no such packet");
    },
    incomingDelPacket: async () => undefined,
    cleanIncoming: async () => undefined,

    putWill: async (client: Who, packet: Packet) => {
      wills.set(client.id, Object.assign(packet, { brokerId, clientId: client.id }));
    },
    getWill: async (client: Who) => wills.get(client.id),
    delWill: async (client: Who) => {
      const will = wills.get(client.id);
      wills.delete(client.id);
      return will;
    },
    streamWill: (brokers: Readonly<Record<string, unknown>> = {}) =>
      Readable.from([...wills.values()].filter((will) => brokers[String(will["brokerId"])] === undefined)),
    destroy: async () => undefined,
  };
};
