import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { readForm, readJsonObject, segmentsOf, textsOf } from "./fake-body.ts";
import { createSwitches } from "./fake-switches.ts";
import { createTokenDesk } from "./token-desk.ts";

/**
 * CrowdStrike Falcon, from https://github.com/CrowdStrike/falconpy/wiki/Hosts (CombinedDevicesByFilter, GetDeviceDetailsV2,
 * PerformActionV2) and https://github.com/CrowdStrike/falconpy/wiki/OAuth2.
 * Quirks kept: the token comes with 201 and lasts 30 minutes; an action is only taken in (202), and the device then is
 * `containment_pending` until it has acted; the filter is FQL, where
 * `hostname:'x'` disregards case and finds longer names too; a device that was set up anew is there twice under one name;
 * containing what is contained is 409; every answer has `meta`, `resources` and `errors`.
 */
export const falconAccount = {
  clientId: "5f2c8d1a9b7e4c30a6d1e2f3b4c5d6e7",
  clientSecret: "planted-falcon-secret",
} as const;

export const falconHosts = {
  free: { name: "WS-041", id: "0f1e2d3c4b5a69788796a5b4c3d2e1f0" },
  other: { name: "WS-042", id: "1a2b3c4d5e6f708192a3b4c5d6e7f809" },
  foreign: { name: "WS-043", id: "5e6f708192a3b4c5d6e7f8091a2b3c4d" },
  /** Contained by an analyst before Reflex came. */
  held: { name: "WS-HELD", id: "2b3c4d5e6f708192a3b4c5d6e7f8091a" },
  twice: { name: "WS-TWICE" },
} as const;

const devices = [
  {
    device_id: falconHosts.free.id,
    hostname: falconHosts.free.name,
    local_ip: "10.0.4.41",
    groups: ["9d1f2e3a4b5c6d7e8f90a1b2c3d4e5f6"],
  },
  { device_id: falconHosts.other.id, hostname: falconHosts.other.name, local_ip: "10.0.4.42", groups: [] },
  { device_id: falconHosts.foreign.id, hostname: falconHosts.foreign.name, local_ip: "10.0.4.46", groups: [] },
  { device_id: falconHosts.held.id, hostname: falconHosts.held.name, local_ip: "10.0.4.43", groups: [] },
  {
    device_id: "3c4d5e6f708192a3b4c5d6e7f8091a2b",
    hostname: falconHosts.twice.name,
    local_ip: "10.0.4.44",
    groups: [],
  },
  {
    device_id: "4d5e6f708192a3b4c5d6e7f8091a2b3c",
    hostname: falconHosts.twice.name,
    local_ip: "10.0.4.45",
    groups: [],
  },
] as const;

export type FalconFake = Fake & { readonly hold: (id: string) => string };

/** `slow`: what was asked for is done by the second look, not by the first. */
export const createFakeFalcon = ({ slow = false }: { readonly slow?: boolean } = {}): FalconFake => {
  const desk = createTokenDesk("falcon");
  const contained = createSwitches("isolate_host");
  const pending = new Set<string>();
  const hold = (id: string): string => {
    contained.setBySomebodyElse(id, true);
    return `isolate_host ${id}`;
  };
  hold(falconHosts.held.id);

  const signIn = (request: FakeRequest): FakeAnswer => {
    const form = readForm(request);
    if (form?.get("client_id") !== falconAccount.clientId || form.get("client_secret") !== falconAccount.clientSecret)
      return failed(403, "access denied, authorization failed");
    return { status: 201, json: { access_token: desk.issue(), token_type: "bearer", expires_in: 1799 } };
  };

  const search = ({ query }: FakeRequest): FakeAnswer => {
    const match = /^hostname:'([^'\\]+)'$/.exec(query.get("filter") ?? "");
    const limit = Number(query.get("limit") ?? "100");
    if (match === null) return failed(400, "invalid filter expression");
    const wanted = (match[1] ?? "").toLowerCase();
    const found = devices.filter(({ hostname }) => hostname.toLowerCase().startsWith(wanted));
    const pagination = { limit, total: found.length };
    return {
      status: 200,
      json: { meta: { ...meta, pagination }, resources: found.slice(0, limit).map(deviceJson), errors: [] },
    };
  };

  const deviceJson = (device: (typeof devices)[number]) => ({
    ...device,
    ...constant,
    status: statusOf(device.device_id),
  });

  const details = (request: FakeRequest): FakeAnswer => {
    const ids =
      request.method === "GET" ? request.query.getAll("ids") : (textsOf(readJsonObject(request)?.["ids"]) ?? []);
    if (ids.length === 0) return failed(400, "Missing required parameter: ids");
    const found = devices.filter(({ device_id }) => ids.includes(device_id));
    if (!slow) pending.clear();
    const resources = found.map(deviceJson);
    pending.clear();
    return answer(200, resources);
  };

  const statusOf = (id: string): string => {
    if (contained.isOn(id)) return pending.has(id) ? "containment_pending" : "contained";
    return pending.has(id) ? "lift_containment_pending" : "normal";
  };

  const act = (request: FakeRequest): FakeAnswer => {
    const ids = textsOf(readJsonObject(request)?.["ids"]);
    const action = request.query.get("action_name");
    if (ids === undefined) return failed(400, "Provided data does not match expected 'ids' format");
    if (action !== "contain" && action !== "lift_containment")
      return failed(400, "Provided action_name is not supported");
    const missing = ids.filter((id) => !devices.some(({ device_id }) => device_id === id));
    if (missing.length > 0) return failed(404, `Device not found: ${missing[0]}`);
    const isWanted = action === "contain";
    if (ids.some((id) => contained.isOn(id) === isWanted))
      return failed(409, "Device is already in the requested state");
    for (const id of ids) {
      contained.set(id, isWanted);
      pending.add(id);
    }
    return answer(
      202,
      ids.map((id) => ({ id, path: `/devices/entities/devices/v1?ids=${id}` })),
    );
  };

  return {
    handle: (request) => {
      const path = (segmentsOf(request.path) ?? []).join("/");
      if (request.method === "POST" && path === "oauth2/token") return signIn(request);
      if (!desk.accepts(request.headers["authorization"])) return failed(401, "access denied, invalid bearer token");
      if (request.method === "GET" && path === "devices/combined/devices/v1") return search(request);
      if (["GET", "POST"].includes(request.method) && path === "devices/entities/devices/v2") return details(request);
      if (request.method === "POST" && path === "devices/entities/devices-actions/v2") return act(request);
      return failed(404, "not found");
    },
    present: contained.present,
    changes: contained.changes,
    expireTokens: desk.expireAll,
    addForeign: () => hold(falconHosts.foreign.id),
    hold,
  };
};

const constant = {
  cid: "c0ffee00c0ffee00c0ffee00c0ffee00",
  platform_name: "Windows",
  external_ip: "203.0.113.40",
  product_type_desc: "Workstation",
  tags: ["FalconGroupingTags/Office"],
};
const meta = { query_time: 0.01, powered_by: "device-api", trace_id: "3b7c5e1f-0000-4000-8000-000000000000" };

const answer = (status: number, resources: readonly unknown[]): FakeAnswer => ({
  status,
  json: { meta, resources, errors: [] },
});

const failed = (status: number, message: string): FakeAnswer => ({
  status,
  json: { meta, resources: [], errors: [{ code: status, message }] },
});
