import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { readForm, readJsonObject, segmentsOf } from "./fake-body.ts";
import { createSwitches } from "./fake-switches.ts";
import { type Filter, parseFilter } from "./odata-filter.ts";
import { createTokenDesk } from "./token-desk.ts";

/**
 * Microsoft Defender for Endpoint, from https://learn.microsoft.com/en-us/defender-endpoint/api/ : get-machines,
 * isolate-machine, unisolate-machine, machineaction, get-machineactions-collection, common-errors; and from
 * https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow for the sign-in.
 * Quirks kept: an action is only asked for (201, `Pending`) and succeeds when the machine has acted; a second one meanwhile is
 * 400 `ActiveRequestAlreadyExists`; names of machines are whole DNS names and may be there twice; bodies are case-sensitive.
 */
export const defenderAccount = {
  tenant: "0f3f7c3a-5f5e-4c1b-9d6e-6b0f4a3e2d11",
  clientId: "7c1d9c1e-3b7a-4b53-8a0e-1c2f5d8e9a10",
  clientSecret: "planted-defender-secret",
} as const;

export const defenderHosts = {
  free: { name: "ws-031", id: "1e5bc9d7e413ddd7902c2932e418702b84d0cc07" },
  other: { name: "ws-032", id: "2f6cdae8f524eee8a13d3a43f529813c95e1dd18" },
  foreign: { name: "ws-033", id: "7ebbc33de079333df682e98e7e7ed681e0663d6d" },
  /** Cut off by an analyst before Reflex came. */
  held: { name: "ws-held", id: "3a7debf9a635fff9b24e4b54a63a924da6f2ee29" },
  twice: { name: "ws-twice" },
  /** An operating system that cannot be isolated. */
  unsupported: { name: "switch-7", id: "6daab22cd968222ce571e87d9d6dc570d9552c5c" },
} as const;

const machines = [
  {
    id: defenderHosts.free.id,
    computerDnsName: "ws-031.corp.example",
    osPlatform: "Windows11",
    lastIpAddress: "10.0.3.31",
    machineTags: ["office"],
  },
  {
    id: defenderHosts.other.id,
    computerDnsName: "ws-032.corp.example",
    osPlatform: "Windows11",
    lastIpAddress: "10.0.3.32",
    machineTags: [],
  },
  {
    id: defenderHosts.foreign.id,
    computerDnsName: "ws-033.corp.example",
    osPlatform: "Windows11",
    lastIpAddress: "10.0.3.35",
    machineTags: [],
  },
  {
    id: defenderHosts.held.id,
    computerDnsName: "ws-held.corp.example",
    osPlatform: "Windows10",
    lastIpAddress: "10.0.3.33",
    machineTags: [],
  },
  {
    id: "4b8efc0ab74600aac35f5c65b74ba35eb7033a3a",
    computerDnsName: "ws-twice.corp.example",
    osPlatform: "Windows11",
    lastIpAddress: "10.0.3.34",
    machineTags: [],
  },
  {
    id: "5c9f0d1bc85711bbd4606d76c85cb46fc8144b4b",
    computerDnsName: "ws-twice.lab.example",
    osPlatform: "Windows11",
    lastIpAddress: "10.0.9.34",
    machineTags: [],
  },
  {
    id: defenderHosts.unsupported.id,
    computerDnsName: "switch-7.corp.example",
    osPlatform: "Other",
    lastIpAddress: "10.0.3.7",
    machineTags: ["network"],
  },
] as const;

type MachineAction = {
  id: string;
  type: "Isolate" | "Unisolate";
  machineId: string;
  requestorComment: string;
  status: string;
};

const machineFields = ["computerDnsName", "id", "lastIpAddress", "osPlatform", "healthStatus", "onboardingStatus"];
const actionFields = ["id", "status", "machineId", "type", "requestor"];

export type DefenderFake = Fake & { readonly hold: (id: string) => string };

/** `slow`: what was asked for is done by the second look, not by the first. */
export const createFakeDefender = ({ slow = false }: { readonly slow?: boolean } = {}): DefenderFake => {
  const desk = createTokenDesk("defender");
  const isolated = createSwitches("isolate_host");
  const actions: MachineAction[] = []; // newest first, as the service lists them

  const ask = (machineId: string, type: MachineAction["type"], comment: string, status: string): MachineAction => {
    const sequence = String(actions.length + 1).padStart(12, "0");
    const action = { id: `69dc3630-1ccc-4342-acf3-${sequence}`, type, machineId, requestorComment: comment, status };
    actions.unshift(action);
    return action;
  };
  const hold = (machineId: string): string => {
    isolated.setBySomebodyElse(machineId, true);
    ask(machineId, "Isolate", "held by an analyst", "Succeeded");
    return `isolate_host ${machineId}`;
  };
  hold(defenderHosts.held.id);

  const signIn = (request: FakeRequest): FakeAnswer => {
    const form = readForm(request);
    const isKnown =
      form?.get("grant_type") === "client_credentials" &&
      form.get("client_id") === defenderAccount.clientId &&
      form.get("client_secret") === defenderAccount.clientSecret &&
      form.get("scope") === "https://api.securitycenter.microsoft.com/.default";
    if (!isKnown)
      return {
        status: 401,
        json: { error: "invalid_client", error_description: "AADSTS7000215: Invalid client secret provided." },
      };
    return {
      status: 200,
      json: { token_type: "Bearer", expires_in: 3599, ext_expires_in: 3599, access_token: desk.issue() },
    };
  };

  /** What was asked for is done by the time somebody looks again. */
  const machinesAct = (): void => {
    for (const action of actions) if (action.status === "Pending") action.status = "Succeeded";
  };

  const isolate = (request: FakeRequest, id: string, type: MachineAction["type"]): FakeAnswer => {
    const machine = machines.find((one) => one.id === id);
    if (machine === undefined) return refusal(404, "ResourceNotFound", `Machine ${id} was not found`);
    const body = readJsonObject(request);
    if (body === undefined) return refusal(400, "InvalidRequestBody", "Request body is incorrect");
    const { Comment: comment, IsolationType: isolationType } = body;
    if (typeof comment !== "string" || comment === "")
      return refusal(400, "MissingRequiredParameter", "Parameter Comment is missing");
    if (type === "Isolate" && !["Full", "Selective"].includes(String(isolationType)))
      return refusal(400, "InvalidInput", "Invalid input IsolationType");
    if (machine.osPlatform === "Other")
      return refusal(400, "OsPlatformNotSupported", "OS Platform Other isn't supported for this action.");
    if (actions.some((action) => action.machineId === id && action.status === "Pending"))
      return refusal(400, "ActiveRequestAlreadyExists", "Action is already in progress");
    isolated.set(id, type === "Isolate");
    return { status: 201, json: actionJson(ask(id, type, comment, "Pending")) };
  };

  const list = (
    request: FakeRequest,
    fields: readonly string[],
    rows: readonly Readonly<Record<string, unknown>>[],
    kind: string,
  ): FakeAnswer => {
    const filter = filterOf(request, fields);
    if (filter === undefined) return refusal(400, "ODataError", "Invalid OData URI query");
    const top = Number(request.query.get("$top") ?? "10000");
    if (!Number.isInteger(top) || top < 1 || top > 10_000) return refusal(400, "ODataError", "Invalid $top");
    const value = rows.filter((row) => filter(textFields(row))).slice(0, top);
    return {
      status: 200,
      json: { "@odata.context": `https://api.securitycenter.microsoft.com/api/$metadata#${kind}`, value },
    };
  };

  return {
    handle: (request) => {
      const segments = segmentsOf(request.path) ?? [];
      const [first, second, third, fourth] = segments;
      if (request.method === "POST" && segments.join("/") === `${defenderAccount.tenant}/oauth2/v2.0/token`)
        return signIn(request);
      if (!desk.accepts(request.headers["authorization"]))
        return refusal(401, "Unauthorized", "Invalid or expired authorization header");
      if (first !== "api") return refusal(404, "NotFound", "No such resource");
      const call = `${request.method} ${second}/${segments.length > 3 ? `{id}/${fourth}` : segments.length > 2 ? "{id}" : ""}`;
      const isFor = (wanted: string): boolean => call === wanted;
      if (!slow) machinesAct();
      if (isFor("POST machines/{id}/isolate")) return isolate(request, third ?? "", "Isolate");
      if (isFor("POST machines/{id}/unisolate")) return isolate(request, third ?? "", "Unisolate");
      if (isFor("GET machines/")) return list(request, machineFields, machines.map(machineJson), "Machines");
      if (isFor("GET machineactions/")) {
        const answer = list(request, actionFields, actions.map(actionJson), "MachineActions");
        machinesAct();
        return answer;
      }
      return refusal(404, "NotFound", "No such resource");
    },
    present: isolated.present,
    changes: isolated.changes,
    expireTokens: desk.expireAll,
    addForeign: () => hold(defenderHosts.foreign.id),
    hold,
  };
};

const filterOf = (request: FakeRequest, fields: readonly string[]): Filter | undefined => {
  const text = request.query.get("$filter");
  return text === null ? () => true : parseFilter(text, fields);
};

const textFields = (row: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(row).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
  );

const machineJson = (machine: (typeof machines)[number]) => ({
  ...machine,
  firstSeen: "2026-01-02T14:55:03.7791856Z",
  lastSeen: "2026-11-20T14:55:03.7791856Z",
  version: "24H2",
  healthStatus: "Active",
  onboardingStatus: "Onboarded",
  rbacGroupId: "140",
  rbacGroupName: "The-A-Team",
  riskScore: "Low",
  exposureLevel: "Medium",
});

const actionJson = (action: MachineAction) => ({
  ...action,
  scope: action.type === "Isolate" ? "Full" : null,
  requestor: "reflex",
  computerDnsName: machines.find(({ id }) => id === action.machineId)?.computerDnsName ?? null,
  creationDateTimeUtc: "2026-11-20T12:43:57.2011911Z",
  lastUpdateDateTimeUtc: "2026-11-20T12:45:25.4049122Z",
});

const refusal = (status: number, code: string, message: string): FakeAnswer => ({
  status,
  json: { error: { code, message, target: "43f4cb08-8fac-4b65-9db1-745c2ae65f3a" } },
});
