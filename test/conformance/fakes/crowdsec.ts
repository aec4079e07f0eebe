import { isIP } from "node:net";
import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { createChangeWatch } from "./change-watch.ts";

/*
 * CrowdSec local API (LAPI), as a watcher. Made from crowdsecurity/crowdsec pkg/models/localapi_swagger.yaml, pkg/apiserver
 * (jwt.go, alerts.go, decisions.go), pkg/database/decisions.go, and compared with the answers of crowdsec 1.4.6 (Debian 12):
 * a wrong password is 401, not 403; a login without a `name/version` agent is 401; no match is JSON `null`; an unknown filter
 * or an address that cannot be read is 500; a decision lasts `duration` from the alert's `stop_at`, and a `stop_at` that cannot
 * be read is now; deleting takes `origin`, `value`, `type`, not `scope`; watchers may not read /v1/decisions (403).
 */
export const fakeCrowdsecMachine = "reflex";
export const fakeCrowdsecPassword = "cs-3e8d0b71f2";

const tokenMs = 3_600_000;

type DecisionRow = {
  readonly id: number;
  readonly origin: string;
  readonly type: string;
  readonly scope: string;
  readonly value: string;
  readonly scenario: string;
  untilMs: number;
};
type AlertRow = {
  readonly id: number;
  readonly alert: Fields;
  readonly createdAtMs: number;
  readonly decisions: DecisionRow[];
};
type Fields = Readonly<Record<string, unknown>>;

const alertFields = [
  "capacity",
  "events",
  "events_count",
  "leakspeed",
  "message",
  "scenario",
  "scenario_hash",
  "scenario_version",
  "simulated",
  "source",
  "start_at",
  "stop_at",
];
const decisionFields = ["duration", "origin", "scenario", "scope", "type", "value"];

export const createFakeCrowdsec = ({ nowMs = () => Date.now() } = {}): Fake => {
  const alerts: AlertRow[] = [];
  const tokens = new Map<string, number>();
  let idsGiven = 0;

  const present = (): readonly string[] => {
    const active = alerts
      .flatMap(({ decisions }) => decisions)
      .filter(({ type, untilMs }) => type === "ban" && untilMs > nowMs());
    return [...new Set(active.map(({ scope, value }) => `${scope === "Range" ? "block_range" : "block_ip"} ${value}`))];
  };
  const watch = createChangeWatch(present);

  const login = (request: FakeRequest): FakeAnswer => {
    const { machine_id: machine, password } = fieldsOf(parsed(request.text));
    if (machine !== fakeCrowdsecMachine) return unauthorized("ent: machine not found");
    const isAgent = (request.headers["user-agent"] ?? "").split("/").length === 2;
    if (password !== fakeCrowdsecPassword || !isAgent) return unauthorized("incorrect Username or Password");
    const token = `eyJhbGciOiJIUzI1NiJ9.${(++idsGiven).toString(36)}.fake`;
    const endsAtMs = nowMs() + tokenMs;
    tokens.set(token, endsAtMs);
    return { status: 200, json: { code: 200, expire: new Date(endsAtMs).toISOString(), token } };
  };

  const push = (request: FakeRequest): FakeAnswer => {
    const list = parsed(request.text);
    if (!Array.isArray(list))
      return { status: 400, json: { message: "invalid character looking for beginning of value" } };
    const missing = list.flatMap((alert: unknown, at) => [
      ...alertFields
        .filter((name) => fieldsOf(alert)[name] === undefined)
        .map((name) => `${at}.${name} in body is required`),
      ...decisionsOf(alert).flatMap((decision) =>
        decisionFields
          .filter((name) => decision[name] === undefined)
          .map((name) => `decisions.${name} in body is required`),
      ),
    ]);
    if (missing.length > 0) return failed(`validation failure list:\n${missing.join("\n")}`);
    const ids: string[] = [];
    for (const alert of list) {
      const from = Date.parse(String(fieldsOf(alert)["stop_at"]));
      const decisions: DecisionRow[] = [];
      for (const { origin, type, scope, value, scenario, duration } of decisionsOf(alert)) {
        const seconds = /^(\d+)s$/.exec(String(duration))?.[1];
        if (seconds === undefined)
          return failed(`unable to create alerts: decision duration '${duration}' : unable to parse duration`);
        const [host = ""] = String(value).split("/");
        if (isIP(host) === 0) return failed(`unable to create alerts: invalid addr/range ${value} : invalid address`);
        decisions.push({
          id: ++idsGiven,
          origin: String(origin),
          type: String(type),
          scope: scopeOf(String(scope)),
          value: String(value),
          scenario: String(scenario),
          untilMs: (Number.isNaN(from) ? nowMs() : from) + Number(seconds) * 1_000,
        });
      }
      alerts.push({ id: ++idsGiven, alert: fieldsOf(alert), createdAtMs: nowMs(), decisions });
      ids.push(String(idsGiven));
    }
    return { status: 201, json: ids };
  };

  const search = ({ query }: FakeRequest): FakeAnswer => {
    const has = (row: AlertRow, holds: (decision: DecisionRow) => boolean): boolean => row.decisions.some(holds);
    const tests: ((row: AlertRow) => boolean)[] = [];
    for (const [name, text] of query) {
      switch (name) {
        case "scope":
          tests.push(({ alert }) => scopeOf(String(fieldsOf(alert["source"])["scope"])) === scopeOf(text));
          break;
        case "value":
          tests.push(({ alert }) => fieldsOf(alert["source"])["value"] === text);
          break;
        case "origin":
        case "scenario":
          tests.push((row) => has(row, (decision) => decision[name] === text));
          break;
        case "has_active_decision":
          tests.push((row) =>
            text === "true" ? has(row, ({ untilMs }) => untilMs > nowMs()) : row.decisions.length === 0,
          );
          break;
        case "limit":
          break;
        default:
          return failed(`Filter parameter '${name}' is unknown (=${text}): invalid filter`);
      }
    }
    const limit = Number(query.get("limit") ?? "100");
    const hits = alerts.toReversed().filter((row) => tests.every((test) => test(row)));
    const shown = (limit === 0 ? hits : hits.slice(0, limit)).map(shownAlert);
    return { status: 200, json: shown.length === 0 ? null : shown };
  };

  const shownAlert = ({ id, alert, createdAtMs, decisions }: AlertRow): unknown => ({
    ...alert,
    id,
    machine_id: fakeCrowdsecMachine,
    created_at: new Date(createdAtMs).toISOString(),
    events: null,
    labels: null,
    decisions: decisions.map(({ untilMs, ...decision }) => ({
      ...decision,
      duration: `${(untilMs - nowMs()) / 1_000}s`,
      simulated: false,
    })),
  });

  const plant = (origin: string, scenario: string, value: string): void => {
    watch.look();
    const scope = value.includes("/") ? "Range" : "Ip";
    const decisions = [{ id: ++idsGiven, origin, type: "ban", scope, value, scenario, untilMs: nowMs() + 14_400_000 }];
    alerts.push({ id: ++idsGiven, alert: { scenario, source: { scope, value } }, createdAtMs: nowMs(), decisions });
    watch.accept();
  };

  const remove = ({ query }: FakeRequest): FakeAnswer => {
    const unknown = [...query.keys()].find((name) => !["origin", "value", "type"].includes(name));
    if (unknown !== undefined) return failed(`'${unknown}' doesn't exist: invalid filter`);
    const hits = alerts
      .flatMap(({ decisions }) => decisions)
      .filter((decision) => decision.untilMs > nowMs())
      .filter((decision) => [...query].every(([name, text]) => decision[name as "origin" | "value" | "type"] === text));
    for (const decision of hits) decision.untilMs = nowMs();
    return { status: 200, json: { nbDeleted: String(hits.length) } };
  };

  const route = (request: FakeRequest): FakeAnswer => {
    if (request.path === "/v1/watchers/login" && request.method === "POST") return login(request);
    if (request.path === "/v1/decisions" && request.method === "GET")
      return { status: 403, json: { message: "access forbidden" } };
    const token = request.headers["authorization"]?.replace(/^Bearer /, "");
    if (token === undefined) return unauthorized("cookie token is empty");
    if (!tokens.has(token)) return unauthorized("token contains an invalid number of segments");
    if ((tokens.get(token) ?? 0) <= nowMs()) return unauthorized("Token is expired");
    switch (`${request.method} ${request.path}`) {
      case "POST /v1/alerts":
        return push(request);
      case "GET /v1/alerts":
        return search(request);
      case "DELETE /v1/decisions":
        return remove(request);
      default:
        return { status: 404, json: { message: "Page or Method not found" } };
    }
  };

  return {
    handle: (request) => {
      watch.look();
      const answer = route(request);
      watch.look();
      return answer;
    },
    present,
    changes: watch.changes,
    expireTokens: () => {
      for (const token of tokens.keys()) tokens.set(token, 0);
    },
    addSame: (value) => plant("cscli", "manual 'ban'", value),
    addForeign: () => {
      plant("crowdsec", "crowdsecurity/ssh-bf", "192.0.2.77");
      return "block_ip 192.0.2.77";
    },
  };
};

const unauthorized = (message: string): FakeAnswer => ({ status: 401, json: { code: 401, message } });
const failed = (message: string): FakeAnswer => ({ status: 500, json: { message } });

const scopeOf = (scope: string): string => ({ ip: "Ip", range: "Range" })[scope.toLowerCase()] ?? scope;

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
const fieldsOf = (value: unknown): Fields => (typeof value === "object" && value !== null ? (value as Fields) : {});
const decisionsOf = (alert: unknown): readonly Fields[] => {
  const decisions = fieldsOf(alert)["decisions"];
  return Array.isArray(decisions) ? decisions.map(fieldsOf) : [];
};
