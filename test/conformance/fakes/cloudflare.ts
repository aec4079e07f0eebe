import { isIP } from "node:net";
import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { createEntryBook } from "./entry-book.ts";
import { readJsonObject } from "./fake-body.ts";

/*
 * Cloudflare, IP access rules of an account. Made from:
 * - developers.cloudflare.com/api/resources/firewall/subresources/access_rules (create, list, delete; `configuration.target` of
 *   ip, ip6, ip_range; only /16 and /24 of IPv4 and /32, /48, /64 of IPv6; `notes` found by containment without case;
 *   permission "Account Firewall Access Rules Write").
 * - IPv6 is kept with all its digits, so that looking for the short spelling finds nothing (only IPv4 is documented to be found).
 * - Error 10009 `firewallaccessrules.api.duplicate_of_existing` (HTTP 400, one rule per target whatever its mode) and 10001
 *   `firewallaccessrules.api.not_found` as recorded in public clients; 10000 "Authentication error"; 429 with Retry-After.
 */
export const fakeCloudflareToken = "cf-Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY";
export const fakeCloudflareAccount = "023e105f4ecef8ad9ca31a8372d0c353";

type Rule = {
  readonly id: string;
  readonly mode: string;
  readonly notes: string;
  readonly target: string;
  readonly value: string;
  /** As it was sent. */
  readonly asked: string;
  readonly createdAtMs: number;
};

const modes = ["whitelist", "block", "challenge", "js_challenge", "managed_challenge"];
const perPageMax = 1_000;

export const createFakeCloudflare = ({ nowMs = () => Date.now(), canWrite = true } = {}): Fake => {
  const rules = createEntryBook<Rule>(nowMs);
  const rulesPath = `/client/v4/accounts/${fakeCloudflareAccount}/firewall/access_rules/rules`;
  let made = 0;

  const keyOf = ({ mode, asked }: Pick<Rule, "mode" | "asked">): string => {
    const verb = asked.includes("/") ? "block_range" : "block_ip";
    return mode === "block" ? `${verb} ${asked}` : `${mode} ${asked}`;
  };
  const nextId = (): string => (++made).toString(16).padStart(32, "9");

  const byHand = (value: string): string => {
    const target = value.includes("/") ? "ip_range" : "ip";
    const notes = "blocked by hand, ticket 4711";
    const rule: Rule = { id: nextId(), mode: "block", notes, target, value, asked: value, createdAtMs: nowMs() };
    rules.plant(keyOf(rule), rule);
    return keyOf(rule);
  };

  const create = (request: FakeRequest): FakeAnswer => {
    const body = readJsonObject(request) ?? {};
    const configuration = body["configuration"] as { target?: unknown; value?: unknown } | undefined;
    const { target, value } = configuration ?? {};
    const mode = body["mode"];
    if (typeof mode !== "string" || !modes.includes(mode))
      return refuse(400, 10_012, "firewallaccessrules.api.invalid_mode");
    if (typeof target !== "string" || typeof value !== "string" || !isLegal(target, value))
      return refuse(400, 10_014, "firewallaccessrules.api.invalid_configuration_value");
    if (rules.all().some(({ entry }) => entry.value === spelt(value)))
      return refuse(400, 10_009, "firewallaccessrules.api.duplicate_of_existing");
    const notes = typeof body["notes"] === "string" ? body["notes"] : "";
    const rule: Rule = { id: nextId(), mode, notes, target, value: spelt(value), asked: value, createdAtMs: nowMs() };
    rules.put(keyOf(rule), rule);
    return succeed(shown(rule));
  };

  const list = ({ query }: FakeRequest): FakeAnswer => {
    const page = Number(query.get("page") ?? "1");
    const perPage = Number(query.get("per_page") ?? "20");
    if (!Number.isInteger(page) || page < 1 || !Number.isInteger(perPage) || perPage < 1 || perPage > perPageMax)
      return refuse(400, 10_006, "firewallaccessrules.api.invalid_pagination");
    const tests = [
      ...queryTest(query, "configuration.target", (rule, text) => rule.target === text),
      ...queryTest(query, "configuration.value", (rule, text) => rule.value === text),
      ...queryTest(query, "mode", (rule, text) => rule.mode === text),
      ...queryTest(query, "notes", (rule, text) => rule.notes.toLowerCase().includes(text.toLowerCase())),
    ];
    const isAny = query.get("match") === "any" && tests.length > 0;
    const hits = rules
      .all()
      .map(({ entry }) => entry)
      .filter((rule) => (isAny ? tests.some((test) => test(rule)) : tests.every((test) => test(rule))));
    const shownHits = hits.slice((page - 1) * perPage, page * perPage);
    return succeed(shownHits.map(shown), {
      result_info: {
        page,
        per_page: perPage,
        count: shownHits.length,
        total_count: hits.length,
        total_pages: Math.ceil(hits.length / perPage),
      },
    });
  };

  const remove = (id: string): FakeAnswer => {
    const rule = rules.all().find(({ entry }) => entry.id === id);
    if (rule === undefined) return refuse(404, 10_001, "firewallaccessrules.api.not_found");
    rules.remove(rule.key);
    return succeed({ id });
  };

  return {
    handle: (request) => {
      if (request.headers["authorization"] !== `Bearer ${fakeCloudflareToken}`)
        return refuse(request.headers["authorization"] === undefined ? 400 : 403, 10_000, "Authentication error");
      if (!request.path.startsWith(rulesPath)) return refuse(404, 7_003, `Could not route to ${request.path}`);
      if (!canWrite && request.method !== "GET") return refuse(403, 10_000, "Authentication error");
      const id = request.path.slice(rulesPath.length + 1);
      if (id === "" && request.method === "POST") return create(request);
      if (id === "" && request.method === "GET") return list(request);
      if (id !== "" && request.method === "DELETE") return remove(id);
      return refuse(405, 10_405, "Method not allowed for this authentication scheme");
    },
    present: rules.keys,
    changes: rules.changes,
    addSame: byHand,
    addForeign: () => byHand("192.0.2.77"),
  };
};

const succeed = (result: unknown, more: object = {}): FakeAnswer => ({
  status: 200,
  json: { result, success: true, errors: [], messages: [], ...more },
});
const refuse = (status: number, code: number, message: string): FakeAnswer => ({
  status,
  json: { result: null, success: false, errors: [{ code, message }], messages: [] },
});

const shown = ({ id, mode, notes, target, value, createdAtMs }: Rule): unknown => ({
  id,
  paused: false,
  modified_on: new Date(createdAtMs).toISOString(),
  allowed_modes: modes,
  mode,
  notes,
  configuration: { target, value },
  scope: { id: fakeCloudflareAccount, name: "Example", type: "account" },
  created_on: new Date(createdAtMs).toISOString(),
});

type RuleTest = (rule: Rule) => boolean;
const queryTest = (query: URLSearchParams, name: string, holds: (rule: Rule, text: string) => boolean): RuleTest[] => {
  const text = query.get(name);
  return text === null ? [] : [(rule) => holds(rule, text)];
};

/** `2001:db8::9` as `2001:0db8:0000:0000:0000:0000:0000:0009`. */
const spelt = (value: string): string => {
  const [host = "", bits] = value.split("/");
  if (isIP(host) !== 6) return value;
  const [head = "", tail] = host.split("::");
  const [before, after] = [head, tail ?? ""].map((half) => half.split(":").filter((group) => group !== ""));
  const groups = [
    ...(before ?? []),
    ...Array(8 - (before ?? []).length - (after ?? []).length).fill("0"),
    ...(after ?? []),
  ];
  return groups.map((group) => group.padStart(4, "0")).join(":") + (bits === undefined ? "" : `/${bits}`);
};

const isLegal = (target: string, value: string): boolean => {
  const [host = "", bits] = value.split("/");
  const family = isIP(host);
  switch (target) {
    case "ip":
      return family === 4 && bits === undefined;
    case "ip6":
      return family === 6 && bits === undefined;
    case "ip_range":
      return (family === 4 ? ["16", "24"] : family === 6 ? ["32", "48", "64"] : []).includes(bits ?? "");
    default:
      return false;
  }
};
