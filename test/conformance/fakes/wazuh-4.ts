import type { Fake, FakeAnswer, FakeChange, FakeRequest } from "../fake.ts";
import { isObject, readJsonObject, segmentsOf, textsOf } from "./fake-body.ts";
import { basicAuthorization, createTokenDesk } from "./token-desk.ts";

/**
 * Wazuh 4.x server API, from https://documentation.wazuh.com/current/user-manual/api/reference.html (login, list agents, run
 * command) and https://github.com/wazuh/wazuh/blob/v4.9.0/framework/wazuh/active_response.py for the codes.
 * Quirks kept: the answer is 200 with `error: 1` and an empty `affected_items` where nothing was sent; 1701 no such agent, 1703
 * the manager itself, 1707 agent not active, 1652 command not defined; a name may belong to two agents; whether the command ran is never told, and
 * there is nothing to ask. A command that starts with `!` names a script of the agent and is not checked here.
 */
export const wazuh4Account = { user: "reflex", password: "planted-wazuh4-password" } as const;

export const wazuh4Hosts = {
  free: { name: "web-061", id: "061" },
  other: { name: "web-062", id: "062" },
  foreign: { name: "web-066", id: "066" },
  twice: { name: "web-twice" },
  /** Not connected now: nothing can be sent to it. */
  away: { name: "web-away", id: "065" },
  gateway: { name: "gw-1", id: "070" },
} as const;

const agents = [
  { id: "000", name: "manager", ip: "127.0.0.1", status: "active", group: [] },
  { id: wazuh4Hosts.free.id, name: "web-061", ip: "10.0.6.61", status: "active", group: ["default", "webserver"] },
  { id: wazuh4Hosts.other.id, name: "web-062", ip: "10.0.6.62", status: "active", group: ["default"] },
  { id: wazuh4Hosts.foreign.id, name: "web-066", ip: "10.0.6.66", status: "active", group: ["default"] },
  { id: "063", name: "web-twice", ip: "10.0.6.63", status: "active", group: ["default"] },
  { id: "064", name: "web-twice", ip: "10.0.6.64", status: "disconnected", group: ["default"] },
  { id: wazuh4Hosts.away.id, name: "web-away", ip: "10.0.6.65", status: "disconnected", group: ["default"] },
  { id: wazuh4Hosts.gateway.id, name: "gw-1", ip: "10.0.6.1", status: "active", group: ["gateway"] },
] as const;

/** What the scripts do on the agent once they run: told by their names. */
const scripts: Readonly<Record<string, { readonly action: string; readonly verb: FakeChange["verb"] }>> = {
  "!reflex-isolate": { action: "isolate_host", verb: "apply" },
  "!reflex-release": { action: "isolate_host", verb: "undo" },
  "!firewall-drop": { action: "block_ip", verb: "apply" },
  "!reflex-firewall-allow": { action: "block_ip", verb: "undo" },
};

export const createFakeWazuh4 = (): Fake => {
  const desk = createTokenDesk("wazuh4");
  const present = new Set<string>();
  const changes: FakeChange[] = [];

  const signIn = (request: FakeRequest): FakeAnswer => {
    const isKnown = request.headers["authorization"] === basicAuthorization(wazuh4Account.user, wazuh4Account.password);
    if (!isKnown) return problem(401, "Unauthorized", "Invalid credentials");
    return { status: 200, json: { data: { token: desk.issue() }, error: 0 } };
  };

  const list = ({ query }: FakeRequest): FakeAnswer => {
    const name = query.get("name");
    const found = agents.filter((agent) => agent.id !== "000" && (name === null || agent.name === name));
    return items(found, [], "All selected agents information was returned", "No agent information was returned");
  };

  const send = (request: FakeRequest): FakeAnswer => {
    const body = readJsonObject(request);
    const { command, alert } = body ?? {};
    const listed = request.query.get("agents_list");
    if (typeof command !== "string" || command === "")
      return problem(400, "Bad Request", "'command' is a required property");
    if (
      body?.["arguments"] !== undefined &&
      textsOf(body["arguments"]) === undefined &&
      JSON.stringify(body["arguments"]) !== "[]"
    )
      return problem(400, "Bad Request", "'arguments' must be a list of strings");
    // Without agents_list the real service sends it to every agent; nobody may ever do that here.
    if (listed === null) return problem(403, "Permission Denied", "Permission denied: Resource type: agent:id");
    const sent: string[] = [];
    const unsent: {
      readonly error: { readonly code: number; readonly message: string };
      readonly id: readonly string[];
    }[] = [];
    for (const id of listed.split(",")) {
      const code = codeOf(id, command);
      if (code === undefined) {
        sent.push(id);
        run(id, command, alert);
      } else unsent.push({ error: code, id: [id] });
    }
    return items(sent, unsent, "AR command was sent to all agents", "AR command was not sent to any agent");
  };

  const run = (id: string, command: string, alert: unknown): void => {
    const script = scripts[command];
    if (script === undefined) return;
    const data = isObject(alert) ? alert["data"] : undefined;
    const address = isObject(data) ? data["srcip"] : undefined;
    if (script.action === "block_ip" && typeof address !== "string") return; // the script finds no srcip and gives up
    const key = script.action === "block_ip" ? `block_ip ${String(address)}` : `isolate_host ${id}`;
    if (present.has(key) === (script.verb === "apply")) return;
    if (script.verb === "apply") present.add(key);
    else present.delete(key);
    changes.push({ verb: script.verb, key });
  };

  return {
    handle: (request) => {
      const call = `${request.method} ${(segmentsOf(request.path) ?? []).join("/")}`;
      if (call === "POST security/user/authenticate") return signIn(request);
      if (!desk.accepts(request.headers["authorization"])) return problem(401, "Unauthorized", "Invalid token");
      if (call === "GET agents") return list(request);
      if (call === "PUT active-response") return send(request);
      return problem(404, "Not Found", "404: Not Found");
    },
    present: () => [...present].sort(),
    changes: () => [...changes],
    expireTokens: desk.expireAll,
    addForeign: () => {
      const key = `isolate_host ${wazuh4Hosts.foreign.id}`;
      present.add(key);
      return key;
    },
  };
};

const codeOf = (id: string, command: string): { readonly code: number; readonly message: string } | undefined => {
  const agent = agents.find((one) => one.id === id);
  if (agent === undefined) return { code: 1701, message: "Agent does not exist" };
  if (id === "000") return { code: 1703, message: "Action not available for Manager (agent 000)" };
  if (agent.status !== "active") return { code: 1707, message: "Cannot send request, agent is not active" };
  if (!command.startsWith("!")) return { code: 1652, message: "The command used is not defined in the configuration." };
  return undefined;
};

const items = (affected: readonly unknown[], failed: readonly unknown[], all: string, none: string): FakeAnswer => ({
  status: 200,
  json: {
    data: {
      affected_items: affected,
      total_affected_items: affected.length,
      total_failed_items: failed.length,
      failed_items: failed,
    },
    message: affected.length > 0 ? all : none,
    error: failed.length === 0 ? 0 : affected.length === 0 ? 1 : 2,
  },
});

const problem = (status: number, title: string, detail: string): FakeAnswer => ({
  status,
  headers: { "content-type": "application/problem+json; charset=utf-8" },
  json: { title, detail },
});
