import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { readJsonObject, segmentsOf, textsOf } from "./fake-body.ts";
import { createSwitches } from "./fake-switches.ts";

/**
 * Elastic Defend through Kibana 8.x/9.x, from https://www.elastic.co/docs/api/doc/kibana/ (Security endpoint management: metadata
 * list, isolate, unisolate, actions list) and x-pack/plugins/security_solution/common/endpoint in github.com/elastic/kibana.
 * Quirks kept: a changing call without `kbn-xsrf` is 400; an unknown API version is 400; the action is only taken in and stays
 * `pending` until the endpoint has acted; the list of actions is newest first; an unknown endpoint is 404; an action without any
 * endpoint is 400; isolating once more is one more action and no error.
 */
export const elasticAccount = { apiKey: "cGxhbnRlZDplbGFzdGljLWFwaS1rZXk=" } as const;

export const elasticHosts = {
  free: { name: "srv-071", id: "ed518850-681a-4d60-bb98-e22640cae2a8" },
  other: { name: "srv-072", id: "9972d10e-4b9e-41aa-a534-a85e2a28ea42" },
  foreign: { name: "srv-073", id: "bc0e4f0c-3bca-4633-9fee-156c0b505d16" },
  /** Isolated by an analyst before Reflex came. */
  held: { name: "srv-held", id: "fa89271b-b9d4-43f2-a684-307cffddeb5a" },
  twice: { name: "srv-twice" },
} as const;

const endpoints = [
  { id: elasticHosts.free.id, hostname: "srv-071", ip: ["10.0.7.71", "fe80::1"] },
  { id: elasticHosts.other.id, hostname: "srv-072", ip: ["10.0.7.72"] },
  { id: elasticHosts.foreign.id, hostname: "srv-073", ip: ["10.0.7.73"] },
  { id: elasticHosts.held.id, hostname: "srv-held", ip: ["10.0.7.74"] },
  { id: "0e1d2c3b-4a59-4687-9786-a5b4c3d2e1f0", hostname: "srv-twice", ip: ["10.0.7.75"] },
  { id: "1f2e3d4c-5b6a-4798-8897-b6c5d4e3f201", hostname: "srv-twice", ip: ["10.0.7.76"] },
] as const;

type Action = { id: string; agent: string; command: "isolate" | "unisolate"; isCompleted: boolean; comment: string };
export type ElasticFake = Fake & { readonly hold: (id: string) => string };

/** `slow`: what was asked for is done by the second look, not by the first. */
export const createFakeElasticDefend = ({ slow = false }: { readonly slow?: boolean } = {}): ElasticFake => {
  const isolated = createSwitches("isolate_host");
  const actions: Action[] = []; // newest first, as the service lists them

  const note = (agent: string, command: Action["command"], comment: string, isCompleted: boolean): Action => {
    const sequence = String(actions.length + 1).padStart(12, "0");
    const action = { id: `b3d6de74-36b0-4fa8-be46-${sequence}`, agent, command, comment, isCompleted };
    actions.unshift(action);
    return action;
  };
  const hold = (id: string): string => {
    isolated.setBySomebodyElse(id, true);
    note(id, "isolate", "held by an analyst", true);
    return `isolate_host ${id}`;
  };
  hold(elasticHosts.held.id);
  const endpointsAct = (): void => {
    for (const action of actions) action.isCompleted = true;
  };

  const metadata = ({ query }: FakeRequest): FakeAnswer => {
    const kuery = query.get("kuery") ?? "";
    const match = /^united\.endpoint\.host\.hostname: ?"((?:[^"\\]|\\.)*)"$/.exec(kuery);
    if (match === null) return failed(400, `KQLSyntaxError: ${kuery}`);
    const wanted = (match[1] ?? "").replace(/\\(.)/g, "$1");
    const data = endpoints
      .filter(({ hostname }) => hostname === wanted)
      .map((endpoint) => hostJson(endpoint, isolated.isOn(endpoint.id)));
    return {
      status: 200,
      json: { data, total: data.length, page: 0, pageSize: 10, sortField: "enrolled_at", sortDirection: "desc" },
    };
  };

  const list = ({ query }: FakeRequest): FakeAnswer => {
    const agents = query.getAll("agentIds");
    const commands = query.getAll("commands");
    if (commands.some((one) => one !== "isolate" && one !== "unisolate"))
      return failed(400, "[request query.commands]: types that failed validation");
    const pageSize = Number(query.get("pageSize") ?? "10");
    if (!slow) endpointsAct();
    const data = actions
      .filter(
        ({ agent, command }) =>
          (agents.length === 0 || agents.includes(agent)) && (commands.length === 0 || commands.includes(command)),
      )
      .slice(0, pageSize)
      .map(actionJson);
    endpointsAct();
    return { status: 200, json: { page: 1, pageSize, total: data.length, data } };
  };

  const act = (request: FakeRequest, command: Action["command"]): FakeAnswer => {
    if (request.headers["kbn-xsrf"] === undefined) return failed(400, "Request must contain a kbn-xsrf header.");
    const body = readJsonObject(request);
    const ids = textsOf(body?.["endpoint_ids"]);
    if (ids === undefined)
      return failed(400, "[request body.endpoint_ids]: expected at least one defined value but got []");
    const missing = ids.find((id) => !endpoints.some((endpoint) => endpoint.id === id));
    if (missing !== undefined) return failed(404, `Endpoint with id ${missing} not found`);
    const [first] = ids.map((id) => {
      isolated.set(id, command === "isolate");
      return note(id, command, String(body?.["comment"] ?? ""), false);
    });
    return { status: 200, json: first === undefined ? {} : { action: first.id, data: actionJson(first) } };
  };

  return {
    handle: (request) => {
      const version = request.headers["elastic-api-version"];
      if (request.headers["authorization"] !== `ApiKey ${elasticAccount.apiKey}`)
        return failed(401, "[security_exception]: unable to authenticate");
      if (version !== undefined && version !== "2023-10-31")
        return failed(400, `Version '${version}' is not available`);
      const call = `${request.method} ${(segmentsOf(request.path) ?? []).join("/")}`;
      if (call === "GET api/endpoint/metadata") return metadata(request);
      if (call === "GET api/endpoint/action") return list(request);
      if (call === "POST api/endpoint/action/isolate") return act(request, "isolate");
      if (call === "POST api/endpoint/action/unisolate") return act(request, "unisolate");
      return failed(404, "Not Found");
    },
    present: isolated.present,
    changes: isolated.changes,
    addForeign: () => hold(elasticHosts.foreign.id),
    hold,
  };
};

const hostJson = ({ id, hostname, ip }: (typeof endpoints)[number], isolation: boolean) => ({
  host_status: "healthy",
  last_checkin: "2026-11-20T12:00:00.000Z",
  metadata: {
    agent: { id, type: "endpoint", version: "9.1.0" },
    host: { hostname, name: hostname, ip, os: { name: "Linux", platform: "debian" } },
    Endpoint: {
      capabilities: ["isolation"],
      configuration: { isolation },
      policy: { applied: { id: "d5371dcd-93b7-4627-af88-4084f7d6aa3e", name: "Servers", status: "success" } },
      state: { isolation },
      status: "enrolled",
    },
  },
});

const actionJson = ({ id, agent, command, isCompleted, comment }: Action) => ({
  id,
  agents: [agent],
  agentType: "endpoint",
  command,
  comment,
  createdBy: "reflex",
  startedAt: "2026-11-20T12:00:00.000Z",
  isCompleted,
  isExpired: false,
  wasSuccessful: isCompleted,
  status: isCompleted ? "successful" : "pending",
});

const failed = (statusCode: number, message: string): FakeAnswer => ({
  status: statusCode,
  json: {
    statusCode,
    error: statusCode === 404 ? "Not Found" : statusCode === 401 ? "Unauthorized" : "Bad Request",
    message,
  },
});
