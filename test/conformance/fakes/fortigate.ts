import { isIP } from "node:net";
import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { createEntryBook } from "./entry-book.ts";
import { readJsonObject } from "./fake-body.ts";

/*
 * FortiGate (FortiOS 7.x), banned users. Made from:
 * - FortiOS REST API reference, Monitor API, user/banned (`select`, `add_users`, `clear_users`): docs.fortinet.com, and the
 *   parameter lists in fortinet-ansible-dev/ansible-galaxy-fortios-sphinxdoc (fortios_monitor) and demisto/content FortiGate.
 * - CLI `diagnose user banned-ip add src4 <ip> <seconds> admin` for the cause of a ban made by an administrator.
 * - cmdb `firewall/addrgrp`: a PUT replaces the whole member list (chronicle/content-hub fortigate). Here to show the race.
 */
export const fakeFortigateToken = "fgt-4f1b9c7e2a6d8035";

export type FakeFortigate = Fake & { readonly groupMembers: () => readonly string[] };

type Ban = { readonly address: string; readonly createdAtMs: number; readonly source: "admin" | "ips" };

export const createFakeFortigate = ({
  nowMs = () => Date.now(),
  vdom = "root",
  canWrite = true,
} = {}): FakeFortigate => {
  const bans = createEntryBook<Ban>(nowMs);
  let groupMembers: readonly string[] = [];
  const keyOf = (address: string): string => `block_ip ${address}`;

  const envelope = (request: FakeRequest, rest: Readonly<Record<string, unknown>>): unknown => ({
    http_method: request.method,
    vdom,
    path: request.path.includes("/cmdb/") ? "firewall" : "user",
    name: request.path.includes("/cmdb/") ? "addrgrp" : "banned",
    serial: "FGVM010000000001",
    version: "v7.2.8",
    build: 1639,
    ...rest,
  });
  const success = (request: FakeRequest, results?: unknown): FakeAnswer => ({
    status: 200,
    json: envelope(request, { status: "success", http_status: 200, ...(results === undefined ? {} : { results }) }),
  });
  const failure = (request: FakeRequest, status: number, error: number): FakeAnswer => ({
    status,
    json: envelope(request, { status: "error", http_status: status, error }),
  });

  const listBans = (request: FakeRequest): FakeAnswer =>
    success(
      request,
      bans.all().map(({ entry, endsAtMs }) => ({
        ip_address: entry.address,
        created: Math.floor(entry.createdAtMs / 1_000),
        // A ban without an end is written as 0.
        expires: Number.isFinite(endsAtMs) ? Math.floor(endsAtMs / 1_000) : 0,
        source: entry.source,
        ipv6: isIP(entry.address) === 6,
      })),
    );

  const addBans = (request: FakeRequest): FakeAnswer => {
    const { ip_addresses: addresses, expiry = 0 } = readJsonObject(request) ?? {};
    if (!isAddressList(addresses) || !Number.isInteger(expiry) || Number(expiry) < 0)
      return failure(request, 400, -651);
    for (const address of addresses) {
      const endsAtMs = expiry === 0 ? Number.POSITIVE_INFINITY : nowMs() + Number(expiry) * 1_000;
      bans.put(keyOf(address), { address, createdAtMs: nowMs(), source: "admin" }, endsAtMs);
    }
    return success(request);
  };

  const clearBans = (request: FakeRequest): FakeAnswer => {
    const { ip_addresses: addresses } = readJsonObject(request) ?? {};
    if (!isAddressList(addresses)) return failure(request, 400, -651);
    // Clearing an address that is not banned is answered the same.
    for (const address of addresses) bans.remove(keyOf(address));
    return success(request);
  };

  const addressGroup = (request: FakeRequest): FakeAnswer => {
    if (request.method === "GET")
      return success(request, [{ name: "reflex", member: groupMembers.map((name) => ({ name, q_origin_key: name })) }]);
    const { member } = readJsonObject(request) ?? {};
    if (request.method !== "PUT" || !Array.isArray(member)) return failure(request, 405, -1);
    groupMembers = member.map((one: unknown) => String((one as { name?: unknown }).name));
    return success(request);
  };

  return {
    handle: (request) => {
      if (request.headers["authorization"] !== `Bearer ${fakeFortigateToken}`)
        return { status: 401, headers: { "content-type": "text/html" }, text: "<h1>401 Unauthorized</h1>" };
      if ((request.query.get("vdom") ?? "root") !== vdom) return failure(request, 403, -3);
      const path = request.path.replace(/\/$/, "");
      if (!canWrite && request.method !== "GET") return failure(request, 403, -37);
      switch (`${request.method} ${path}`) {
        case "GET /api/v2/monitor/user/banned":
        case "GET /api/v2/monitor/user/banned/select":
          return listBans(request);
        case "POST /api/v2/monitor/user/banned/add_users":
          return addBans(request);
        case "POST /api/v2/monitor/user/banned/clear_users":
          return clearBans(request);
        case "GET /api/v2/cmdb/firewall/addrgrp/reflex":
        case "PUT /api/v2/cmdb/firewall/addrgrp/reflex":
          return addressGroup(request);
        default:
          return failure(request, 404, -3);
      }
    },
    present: bans.keys,
    changes: bans.changes,
    groupMembers: () => groupMembers,
    // The firewall's own intrusion prevention quarantines into the same list.
    addSame: (address) => bans.plant(keyOf(address), { address, createdAtMs: nowMs(), source: "admin" }),
    addForeign: () => {
      bans.plant(keyOf("192.0.2.77"), { address: "192.0.2.77", createdAtMs: nowMs(), source: "ips" });
      return keyOf("192.0.2.77");
    },
  };
};

const isAddressList = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string" && isIP(one) !== 0);
