import { describe, expect, test } from "vitest";
import type { Fake, FakeAnswer } from "../fake.ts";
import { createFakeFalcon, falconAccount, falconHosts } from "./crowdstrike-falcon.ts";
import { createFakeElasticDefend, elasticAccount, elasticHosts } from "./elastic-defend.ts";
import { createFakeKeycloak, keycloakAccount, keycloakUsers } from "./keycloak.ts";
import { createFakeDefender, defenderAccount, defenderHosts } from "./microsoft-defender.ts";
import { createFakeEntraId, entraAccount, entraUsers } from "./microsoft-entra-id.ts";
import { parseFilter } from "./odata-filter.ts";
import { createFakeOkta, oktaAccount, oktaUsers } from "./okta.ts";
import { createFakeSentinelOne, sentinelOneAccount, sentinelOneHosts } from "./sentinelone.ts";
import { basicAuthorization } from "./token-desk.ts";
import { createFakeWazuh4, wazuh4Account, wazuh4Hosts } from "./wazuh-4.ts";
import { createFakeWazuh5, wazuh5Account, wazuh5Hosts } from "./wazuh-5.ts";

/** A fake that says yes to everything proves nothing about a connector: here is what each of them says no to. */

type Said = {
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
};

const ask = (fake: Fake, method: string, url: string, { json, form, headers = {} }: Said = {}): FakeAnswer => {
  const { pathname, searchParams } = new URL(url, "https://fake");
  const type =
    json !== undefined ? "application/json" : form !== undefined ? "application/x-www-form-urlencoded" : undefined;
  return fake.handle({
    method,
    path: pathname,
    query: searchParams,
    headers: { ...(type === undefined ? {} : { "content-type": type }), ...headers },
    text: json !== undefined ? JSON.stringify(json) : form !== undefined ? new URLSearchParams(form).toString() : "",
  });
};
const at = (answer: FakeAnswer, ...keys: readonly (string | number)[]): unknown =>
  keys.reduce<unknown>((value, key) => (value as Record<string | number, unknown> | undefined)?.[key], answer.json);
const bearer = (answer: FakeAnswer): Said["headers"] & object => ({
  authorization: `Bearer ${String(at(answer, "access_token") ?? at(answer, "data", "token"))}`,
});

const signedIn: Readonly<
  Record<string, () => { readonly fake: Fake; readonly headers: Readonly<Record<string, string>> }>
> = {
  "microsoft-defender": () => {
    const fake = createFakeDefender({ slow: true });
    const { tenant, clientId, clientSecret } = defenderAccount;
    const form = {
      grant_type: "client_credentials",
      client_id: clientId,
      client_secret: clientSecret,
      scope: "https://api.securitycenter.microsoft.com/.default",
    };
    return { fake, headers: bearer(ask(fake, "POST", `/${tenant}/oauth2/v2.0/token`, { form })) };
  },
  "crowdstrike-falcon": () => {
    const fake = createFakeFalcon({ slow: true });
    const { clientId, clientSecret } = falconAccount;
    return {
      fake,
      headers: bearer(
        ask(fake, "POST", "/oauth2/token", { form: { client_id: clientId, client_secret: clientSecret } }),
      ),
    };
  },
  sentinelone: () => ({
    fake: createFakeSentinelOne({ slow: true }),
    headers: { authorization: `ApiToken ${sentinelOneAccount.apiToken}` },
  }),
  "elastic-defend": () => ({
    fake: createFakeElasticDefend({ slow: true }),
    headers: { authorization: `ApiKey ${elasticAccount.apiKey}`, "kbn-xsrf": "test" },
  }),
  "microsoft-entra-id": () => {
    const fake = createFakeEntraId();
    const { tenant, clientId, clientSecret } = entraAccount;
    const form = {
      grant_type: "client_credentials",
      client_id: clientId,
      client_secret: clientSecret,
      scope: "https://graph.microsoft.com/.default",
    };
    return { fake, headers: bearer(ask(fake, "POST", `/${tenant}/oauth2/v2.0/token`, { form })) };
  },
  okta: () => ({ fake: createFakeOkta(), headers: { authorization: `SSWS ${oktaAccount.apiToken}` } }),
  keycloak: () => {
    const fake = createFakeKeycloak();
    const { realm, clientId, clientSecret } = keycloakAccount;
    const form = { grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret };
    return { fake, headers: bearer(ask(fake, "POST", `/realms/${realm}/protocol/openid-connect/token`, { form })) };
  },
  "wazuh-4": () => {
    const fake = createFakeWazuh4();
    const headers = { authorization: basicAuthorization(wazuh4Account.user, wazuh4Account.password) };
    return { fake, headers: bearer(ask(fake, "POST", "/security/user/authenticate", { headers })) };
  },
  "wazuh-5": () => ({
    fake: createFakeWazuh5(),
    headers: { authorization: basicAuthorization(wazuh5Account.user, wazuh5Account.password) },
  }),
};
const open = (name: keyof typeof signedIn) => {
  const opened = signedIn[name]?.();
  if (opened === undefined) throw new Error(`there is no fake ${name}`);
  return {
    ...opened,
    ask: (method: string, url: string, said: Said = {}) =>
      ask(opened.fake, method, url, { ...said, headers: { ...opened.headers, ...said.headers } }),
  };
};

const changing: readonly (readonly [keyof typeof signedIn & string, string, string, unknown])[] = [
  [
    "microsoft-defender",
    "POST",
    `/api/machines/${defenderHosts.free.id}/isolate`,
    { Comment: "test", IsolationType: "Full" },
  ],
  [
    "crowdstrike-falcon",
    "POST",
    "/devices/entities/devices-actions/v2?action_name=contain",
    { ids: [falconHosts.free.id] },
  ],
  ["sentinelone", "POST", "/web/api/v2.1/agents/actions/disconnect", { filter: { ids: [sentinelOneHosts.free.id] } }],
  ["elastic-defend", "POST", "/api/endpoint/action/isolate", { endpoint_ids: [elasticHosts.free.id] }],
  ["microsoft-entra-id", "PATCH", `/v1.0/users/${entraUsers.free.id}`, { accountEnabled: false }],
  ["okta", "POST", `/api/v1/users/${oktaUsers.free.id}/lifecycle/suspend`, {}],
  ["keycloak", "PUT", `/admin/realms/corp/users/${keycloakUsers.free.id}`, { enabled: false }],
  ["wazuh-4", "PUT", `/active-response?agents_list=${wazuh4Hosts.free.id}`, { command: "!reflex-isolate" }],
];

describe("faked endpoint and identity services", () => {
  test.each(changing)("%s changes something once, and nothing for a stranger", (name, method, url, json) => {
    const { fake, ask: asked } = open(name);
    const before = fake.present();
    expect(ask(fake, method, url, { json }).status).toBe(401);
    expect(ask(fake, method, url, { json, headers: { authorization: "Bearer guessed", "kbn-xsrf": "x" } }).status).toBe(
      401,
    );
    expect(fake.present()).toEqual(before);
    expect(asked(method, url, { json }).status).toBeLessThan(300);
    expect(fake.present()).toHaveLength(before.length + 1);
    asked(method, url, { json });
    expect(fake.changes()).toHaveLength(1);
    fake.expireTokens?.();
    if (fake.expireTokens !== undefined) expect(asked(method, url, { json }).status).toBe(401);
  });

  test("what was asked for of a slow endpoint is under way first", () => {
    const defender = open("microsoft-defender");
    defender.ask("POST", `/api/machines/${defenderHosts.free.id}/isolate`, {
      json: { Comment: "test", IsolationType: "Full" },
    });
    const filter = encodeURIComponent(`machineId eq '${defenderHosts.free.id}'`);
    const newest = () => at(defender.ask("GET", `/api/machineactions?$filter=${filter}&$top=1`), "value", 0, "status");
    expect([newest(), newest()]).toEqual(["Pending", "Succeeded"]);

    const falcon = open("crowdstrike-falcon");
    falcon.ask("POST", "/devices/entities/devices-actions/v2?action_name=contain", {
      json: { ids: [falconHosts.free.id] },
    });
    const status = () =>
      at(falcon.ask("GET", `/devices/entities/devices/v2?ids=${falconHosts.free.id}`), "resources", 0, "status");
    expect([status(), status()]).toEqual(["containment_pending", "contained"]);

    const sentinel = open("sentinelone");
    sentinel.ask("POST", "/web/api/v2.1/agents/actions/disconnect", {
      json: { filter: { ids: [sentinelOneHosts.free.id] } },
    });
    const network = () =>
      at(sentinel.ask("GET", `/web/api/v2.1/agents?ids=${sentinelOneHosts.free.id}`), "data", 0, "networkStatus");
    expect([network(), network()]).toEqual(["disconnecting", "disconnected"]);

    const elastic = open("elastic-defend");
    elastic.ask("POST", "/api/endpoint/action/isolate", { json: { endpoint_ids: [elasticHosts.free.id] } });
    const action = () =>
      at(elastic.ask("GET", `/api/endpoint/action?agentIds=${elasticHosts.free.id}&pageSize=1`), "data", 0, "status");
    expect([action(), action()]).toEqual(["pending", "successful"]);
  });

  test("an action for no endpoint, or for every one, is refused", () => {
    expect(
      open("sentinelone").ask("POST", "/web/api/v2.1/agents/actions/disconnect", { json: { filter: {} } }).status,
    ).toBe(400);
    expect(
      open("elastic-defend").ask("POST", "/api/endpoint/action/isolate", { json: { endpoint_ids: [] } }).status,
    ).toBe(400);
    expect(
      open("crowdstrike-falcon").ask("POST", "/devices/entities/devices-actions/v2?action_name=contain", { json: {} })
        .status,
    ).toBe(400);
    expect(open("wazuh-4").ask("PUT", "/active-response", { json: { command: "!reflex-isolate" } }).status).toBe(403);
  });

  test("Kibana wants kbn-xsrf, Defender a comment, Okta an active user, Entra ID a right that is not there", () => {
    const json = { endpoint_ids: [elasticHosts.free.id] };
    const { fake, headers } = open("elastic-defend");
    expect(
      ask(fake, "POST", "/api/endpoint/action/isolate", {
        json,
        headers: { authorization: headers["authorization"] ?? "" },
      }).status,
    ).toBe(400);
    const isolate = `/api/machines/${defenderHosts.free.id}/isolate`;
    expect(
      at(open("microsoft-defender").ask("POST", isolate, { json: { IsolationType: "Full" } }), "error", "code"),
    ).toBe("MissingRequiredParameter");
    const locked = open("okta").ask("POST", `/api/v1/users/${oktaUsers.locked.id}/lifecycle/suspend`);
    expect([locked.status, at(locked, "errorCode")]).toEqual([400, "E0000001"]);
    const administrator = open("microsoft-entra-id").ask("PATCH", `/v1.0/users/${entraUsers.administrator.id}`, {
      json: { accountEnabled: false },
    });
    expect([administrator.status, at(administrator, "error", "code")]).toEqual([403, "Authorization_RequestDenied"]);
  });

  test("Wazuh 4 answers 200 for what it did not send", () => {
    const { ask: asked, fake } = open("wazuh-4");
    const away = asked("PUT", `/active-response?agents_list=${wazuh4Hosts.away.id}`, {
      json: { command: "!reflex-isolate" },
    });
    expect([away.status, at(away, "error"), at(away, "data", "failed_items", 0, "error", "code")]).toEqual([
      200, 1, 1707,
    ]);
    expect(fake.changes()).toEqual([]);
  });

  test("Wazuh 5 takes a document and runs it only if it is whole and its event is there", () => {
    const { ask: asked, fake } = open("wazuh-5");
    const event = { index: wazuh5Account.eventIndex, doc_id: "one" };
    const response = {
      name: "x",
      executable: "reflex-isolate",
      extra_arguments: null,
      type: "stateful",
      stateful_timeout: 60,
      location: "defined-agent",
      agent_id: wazuh5Hosts.free.id,
    };
    const write = (id: string, active_response: object, stray = {}) =>
      asked("PUT", `/wazuh-active-responses/_create/${id}`, {
        json: { "@timestamp": "2026-11-20T12:00:00Z", event, wazuh: { active_response }, ...stray },
      });
    expect(write("a", response).status).toBe(201); // its event is not there
    expect(fake.present()).toEqual([]);
    expect(
      asked("PUT", `/${wazuh5Account.eventIndex}/_create/one`, { json: { "@timestamp": "2026-11-20T12:00:00Z" } })
        .status,
    ).toBe(201);
    expect(write("b", { ...response, stateful_timeout: 0 }).status).toBe(201); // not whole
    expect(fake.present()).toEqual([]);
    expect(write("c", response, { source: { ip: "203.0.113.9" } }).status).toBe(400);
    expect(write("d", response).status).toBe(201);
    expect(write("d", response).status).toBe(409);
    expect(fake.changes()).toEqual([{ verb: "apply", key: `isolate_host ${wazuh5Hosts.free.id}` }]);
  });

  test("a filter with a quote that was not doubled is no filter, and cannot ask for more", () => {
    const one = { name: "o'neill" };
    expect(parseFilter("name eq 'o''neill'", ["name"])?.(one)).toBe(true);
    expect(parseFilter("name eq 'x' or name ne 'x'", ["name"])?.(one)).toBe(true);
    expect(parseFilter("startswith(name,'O') and name ne 'x'", ["name"])?.(one)).toBe(true);
    for (const text of [
      "",
      "name eq 'o'neill'",
      "name eq x",
      "other eq 'x'",
      "name eq 'x' or",
      "(name eq 'x'",
      "name gt 'x'",
    ])
      expect(parseFilter(text, ["name"]), text).toBeUndefined();
  });
});
