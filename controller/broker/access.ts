import { agentMayPublish, agentMaySubscribe, controllerMayUse } from "@reflex/protocol/topics";
import type { Identity } from "../pki/identity.ts";

/** Who may do what on the broker, from the identity in the certificate alone. Each answers why not, or undefined. */
export type Publication = { readonly topic: string; readonly qos: number; readonly retain: boolean };

export const connectRefusal = (
  identity: Identity | undefined,
  org: string,
  connection: { readonly clientId: string; readonly clean: boolean },
): string | undefined => {
  if (identity === undefined) return "the certificate names nobody";
  if (identity.org !== org) return "the certificate is of another organisation";
  const name = identity.kind === "agent" ? identity.agent : identity.name;
  // One connection per identity: a second one takes the first one's place instead of listening beside it.
  if (connection.clientId !== name) return "the client id is not the name in the certificate";
  if (!connection.clean) return "only clean sessions: nothing is queued for the absent";
  return undefined;
};

export const publishRefusal = (identity: Identity, { topic, qos, retain }: Publication): string | undefined => {
  if (qos > 1) return "quality of service 2 is never used";
  if (identity.kind === "controller") return controllerMayUse(identity.org, topic) ? undefined : "another organisation";
  if (retain) return "agents retain nothing";
  return agentMayPublish(identity, topic) ? undefined : "not a topic this agent publishes";
};

export const subscribeRefusal = (identity: Identity, filter: string): string | undefined => {
  // aedes grants shared subscriptions and delivers nothing on them; $SYS is the broker's own.
  if (filter.startsWith("$")) return "no filters that begin with $";
  if (identity.kind === "controller")
    return controllerMayUse(identity.org, filter) ? undefined : "another organisation";
  return agentMaySubscribe(identity, filter) ? undefined : "not a topic this agent subscribes";
};
