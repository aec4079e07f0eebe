import type { Envelope } from "./envelope.ts";
import { isSegment } from "./ids.ts";
import type { Acknowledgement } from "./report.ts";
import type { Heartbeat, SyncRequest, SyncResponse } from "./sync.ts";

/**
 * Every topic, its payload type, QoS and retain, in one map; no other file spells a topic.
 * Levels are `[a-z0-9_-]{1,48}` without dots (RabbitMQ maps "/" to "."). QoS 2 is never used. Retained = cache, sync = truth.
 */
const root = "reflex/v1";

export type AgentAddress = { readonly org: string; readonly site: string; readonly agent: string };

/** Up-topics are partitioned by agent so that controllers can share the load on any broker (no shared subscriptions). */
export const upPartitions = 64;

/** FNV-1a over the agent's name (draft-eastlake-fnv): stable for ever, it is part of the wire. */
export const partitionOf = (agent: string): number => {
  let hash = 0x811c9dc5;
  for (let index = 0; index < agent.length; index += 1) {
    hash ^= agent.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return hash % upPartitions;
};

export type TopicPayloads = {
  /** Newest head of a site. */
  head: Envelope;
  /** Kill states; org-wide, per site and per agent. */
  killOrg: Envelope;
  killSite: Envelope;
  killAgent: Envelope;
  /** What a person asks of one agent now; never kept for later. */
  order: Envelope;
  syncRequest: SyncRequest;
  syncResponse: SyncResponse;
  heartbeat: Heartbeat;
  /** Last will: an empty object when the broker noticed that the agent is gone. */
  presence: { readonly online: boolean };
  /** Signed batch of reports. */
  report: Envelope;
  acknowledgement: Acknowledgement;
};
export type TopicName = keyof TopicPayloads;

type TopicRule = { readonly qos: 0 | 1; readonly retain: boolean; readonly from: "agent" | "controller" };
export const topicRules: Readonly<Record<TopicName, TopicRule>> = {
  head: { qos: 1, retain: true, from: "controller" },
  killOrg: { qos: 1, retain: true, from: "controller" },
  killSite: { qos: 1, retain: true, from: "controller" },
  killAgent: { qos: 1, retain: true, from: "controller" },
  order: { qos: 1, retain: false, from: "controller" },
  syncRequest: { qos: 1, retain: false, from: "agent" },
  syncResponse: { qos: 1, retain: false, from: "controller" },
  heartbeat: { qos: 1, retain: false, from: "agent" },
  presence: { qos: 1, retain: false, from: "agent" },
  report: { qos: 1, retain: false, from: "agent" },
  acknowledgement: { qos: 0, retain: false, from: "controller" },
};

export const topicOf: Readonly<Record<TopicName, (address: AgentAddress) => string>> = {
  head: ({ org, site }) => `${root}/${org}/s/${site}/head`,
  killOrg: ({ org }) => `${root}/${org}/f/kill`,
  killSite: ({ org, site }) => `${root}/${org}/s/${site}/kill`,
  killAgent: ({ org, agent }) => `${root}/${org}/a/${agent}/kill`,
  order: ({ org, agent }) => `${root}/${org}/a/${agent}/order`,
  syncRequest: ({ org, agent }) => `${root}/${org}/up/${partitionOf(agent)}/${agent}/sync`,
  syncResponse: ({ org, agent }) => `${root}/${org}/a/${agent}/sync`,
  heartbeat: ({ org, agent }) => `${root}/${org}/up/${partitionOf(agent)}/${agent}/state`,
  presence: ({ org, agent }) => `${root}/${org}/up/${partitionOf(agent)}/${agent}/presence`,
  report: ({ org, agent }) => `${root}/${org}/up/${partitionOf(agent)}/${agent}/rec`,
  acknowledgement: ({ org, agent }) => `${root}/${org}/a/${agent}/ack`,
};

/** What a controller subscribes to for the partitions it holds. */
export const upFilter = (org: string, partition: number): string => `${root}/${org}/up/${partition}/+/+`;

const upLeaves: Readonly<Record<string, "syncRequest" | "heartbeat" | "presence" | "report">> = {
  sync: "syncRequest",
  state: "heartbeat",
  presence: "presence",
  rec: "report",
};

/** Reads an up-topic back; undefined for anything that topicOf would not have written. */
export const parseUpTopic = (
  topic: string,
):
  | { readonly name: "syncRequest" | "heartbeat" | "presence" | "report"; readonly org: string; readonly agent: string }
  | undefined => {
  const levels = topic.split("/");
  if (levels.length !== 7 || `${levels[0]}/${levels[1]}` !== root || levels[3] !== "up") return undefined;
  const [, , org, , partition, agent, leaf] = levels as [string, string, string, string, string, string, string];
  const name = Object.hasOwn(upLeaves, leaf) ? upLeaves[leaf] : undefined;
  if (name === undefined || !isSegment(org) || !isSegment(agent) || partition !== String(partitionOf(agent)))
    return undefined;
  return { name, org, agent };
};

/** Topic access of an agent, from the identity in its certificate. */
export const agentMaySubscribe = (self: AgentAddress, filter: string): boolean =>
  (["head", "killOrg", "killSite", "killAgent", "order", "syncResponse", "acknowledgement"] as const).some(
    (name) => topicOf[name](self) === filter,
  );
export const agentMayPublish = (self: AgentAddress, topic: string): boolean =>
  (["syncRequest", "heartbeat", "presence", "report"] as const).some((name) => topicOf[name](self) === topic);
/** A controller may publish and subscribe everywhere in its organisation, and nowhere else. */
export const controllerMayUse = (org: string, topic: string): boolean => topic.startsWith(`${root}/${org}/`);
