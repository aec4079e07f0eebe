import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { isObject, readJsonObject, segmentsOf, textsOf } from "./fake-body.ts";
import { createSwitches } from "./fake-switches.ts";

/**
 * SentinelOne management API 2.1, from its public users: https://xsoar.pan.dev/docs/reference/integrations/sentinel-one-v2
 * (list-agents, disconnect-agent, connect-agent, networkStatus) and the Tracecat and PS-SentinelOne packages; the vendor's own
 * reference is behind a login.
 * Quirks kept: one API token in the header `ApiToken`; an action takes a filter and answers how many agents it reached, 0 too;
 * an agent is `disconnecting` until it has acted; a decommissioned agent keeps its name beside the new one.
 */
export const sentinelOneAccount = { apiToken: "planted-sentinelone-token" } as const;

export const sentinelOneHosts = {
  free: { name: "lt-051", id: "657613730168123595" },
  other: { name: "lt-052", id: "657613730168123596" },
  foreign: { name: "lt-053", id: "657613730168123602" },
  /** Disconnected by an analyst before Reflex came. */
  held: { name: "lt-held", id: "657613730168123597" },
  twice: { name: "lt-twice" },
  /** In the list twice, but one of the two was decommissioned. */
  replaced: { name: "lt-new", id: "657613730168123601" },
} as const;

const agents = [
  {
    id: sentinelOneHosts.free.id,
    computerName: "lt-051",
    groupName: "Office",
    lastIpToMgmt: "10.0.5.51",
    isDecommissioned: false,
  },
  {
    id: sentinelOneHosts.other.id,
    computerName: "lt-052",
    groupName: "Office",
    lastIpToMgmt: "10.0.5.52",
    isDecommissioned: false,
  },
  {
    id: sentinelOneHosts.foreign.id,
    computerName: "lt-053",
    groupName: "Office",
    lastIpToMgmt: "10.0.5.57",
    isDecommissioned: false,
  },
  {
    id: sentinelOneHosts.held.id,
    computerName: "lt-held",
    groupName: "Office",
    lastIpToMgmt: "10.0.5.53",
    isDecommissioned: false,
  },
  {
    id: "657613730168123598",
    computerName: "lt-twice",
    groupName: "Office",
    lastIpToMgmt: "10.0.5.54",
    isDecommissioned: false,
  },
  {
    id: "657613730168123599",
    computerName: "LT-TWICE",
    groupName: "Lab",
    lastIpToMgmt: "10.0.5.55",
    isDecommissioned: false,
  },
  {
    id: "657613730168123600",
    computerName: "lt-new",
    groupName: "Office",
    lastIpToMgmt: "10.0.5.56",
    isDecommissioned: true,
  },
  {
    id: sentinelOneHosts.replaced.id,
    computerName: "lt-new",
    groupName: "Office",
    lastIpToMgmt: "10.0.5.56",
    isDecommissioned: false,
  },
] as const;

const knownParameters = ["ids", "computerName", "computerName__contains", "isDecommissioned", "limit"];

export type SentinelOneFake = Fake & { readonly hold: (id: string) => string };

/** `slow`: what was asked for is done by the second look, not by the first. */
export const createFakeSentinelOne = ({ slow = false }: { readonly slow?: boolean } = {}): SentinelOneFake => {
  const disconnected = createSwitches("isolate_host");
  const pending = new Set<string>();
  const hold = (id: string): string => {
    disconnected.setBySomebodyElse(id, true);
    return `isolate_host ${id}`;
  };
  hold(sentinelOneHosts.held.id);

  const networkStatusOf = (id: string): string => {
    if (disconnected.isOn(id)) return pending.has(id) ? "disconnecting" : "disconnected";
    return pending.has(id) ? "connecting" : "connected";
  };

  const list = ({ query }: FakeRequest): FakeAnswer => {
    const unknown = [...query.keys()].find((name) => !knownParameters.includes(name));
    if (unknown !== undefined) return failed(400, 4000040, "Validation Error", `${unknown}: Unknown field.`);
    const ids = query.get("ids")?.split(",");
    const name = query.get("computerName")?.toLowerCase();
    const part = query.get("computerName__contains")?.toLowerCase();
    const decommissioned = query.get("isDecommissioned");
    const found = agents.filter(
      (agent) =>
        (ids === undefined || ids.includes(agent.id)) &&
        (name === undefined || agent.computerName.toLowerCase() === name) &&
        (part === undefined || agent.computerName.toLowerCase().includes(part)) &&
        (decommissioned === null || String(agent.isDecommissioned) === decommissioned),
    );
    if (!slow) pending.clear();
    const data = found.map((agent) => ({ ...agent, ...constant, networkStatus: networkStatusOf(agent.id) }));
    pending.clear();
    return { status: 200, json: { data, pagination: { nextCursor: null, totalItems: data.length } } };
  };

  const act = (request: FakeRequest, isWanted: boolean): FakeAnswer => {
    const filter = readJsonObject(request)?.["filter"];
    const ids = isObject(filter) ? textsOf(filter["ids"]) : undefined;
    // The real service takes an empty filter as every agent there is; nobody may ever send that here.
    if (ids === undefined)
      return failed(400, 4000040, "Validation Error", "filter.ids: Missing data for required field.");
    const reached = agents.filter(({ id, isDecommissioned }) => ids.includes(id) && !isDecommissioned);
    for (const { id } of reached) if (disconnected.set(id, isWanted)) pending.add(id);
    return { status: 200, json: { data: { affected: reached.length } } };
  };

  return {
    handle: (request) => {
      const call = `${request.method} ${(segmentsOf(request.path) ?? []).join("/")}`;
      if (request.headers["authorization"] !== `ApiToken ${sentinelOneAccount.apiToken}`)
        return failed(401, 4010010, "Authentication Failed", "Invalid token");
      if (call === "GET web/api/v2.1/agents") return list(request);
      if (call === "POST web/api/v2.1/agents/actions/disconnect") return act(request, true);
      if (call === "POST web/api/v2.1/agents/actions/connect") return act(request, false);
      return failed(404, 4040010, "Resource not found", "No such resource");
    },
    present: disconnected.present,
    changes: disconnected.changes,
    addForeign: () => hold(sentinelOneHosts.foreign.id),
    hold,
  };
};

const constant = {
  siteName: "Default site",
  accountName: "Example",
  osType: "windows",
  externalIp: "203.0.113.50",
  isActive: true,
};

const failed = (status: number, code: number, title: string, detail: string): FakeAnswer => ({
  status,
  json: { errors: [{ code, title, detail }], data: null },
});
