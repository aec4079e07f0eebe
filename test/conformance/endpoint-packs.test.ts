import { readFileSync } from "node:fs";
import { createHttpCalls } from "@reflex/edge-agent/adapters/outbound-http";
import { createSecrets } from "@reflex/edge-agent/adapters/secrets";
import type { Connector, ConnectorCall } from "@reflex/edge-agent/connectors/contract";
import { parseManifest } from "@reflex/edge-agent/connectors/rest/parse-manifest";
import { createRest } from "@reflex/edge-agent/connectors/rest/rest";
import type { Entity } from "@reflex/protocol/entity";
import { afterEach, describe, expect, test } from "vitest";
import type { Fake } from "./fake.ts";
import { handlerOf, startFakeServer } from "./fake-server.ts";
import { createFakeFalcon, falconAccount, falconHosts } from "./fakes/crowdstrike-falcon.ts";
import { createFakeElasticDefend, elasticAccount, elasticHosts } from "./fakes/elastic-defend.ts";
import { createFakeKeycloak, keycloakAccount, keycloakUsers } from "./fakes/keycloak.ts";
import { createFakeDefender, defenderAccount, defenderHosts } from "./fakes/microsoft-defender.ts";
import { createFakeEntraId, entraAccount, entraUsers } from "./fakes/microsoft-entra-id.ts";
import { createFakeOkta, oktaAccount, oktaUsers } from "./fakes/okta.ts";
import { createFakeSentinelOne, sentinelOneAccount, sentinelOneHosts } from "./fakes/sentinelone.ts";
import { createFakeWazuh4, wazuh4Account, wazuh4Hosts } from "./fakes/wazuh-4.ts";
import { newCall, prepared } from "./stage.ts";

/** What the kit does not ask every connector: states in between, clear refusals, and what the never-touch list gets to see. */

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const manifestOf = (pack: string) => {
  const text = readFileSync(new URL(`../../edge-agent/packs/${pack}.yaml`, import.meta.url), "utf8");
  const manifest = parseManifest(`${pack}.yaml`, text);
  if (!manifest.ok) throw new Error(JSON.stringify(manifest.error));
  return manifest.value;
};

type Site = {
  readonly settings?: (url: string) => Readonly<Record<string, string>>;
  readonly secret: readonly [name: string, value: string];
};

const open = async (
  pack: string,
  fake: Fake,
  { settings = () => ({}), secret: [name, value] }: Site,
): Promise<Connector> => {
  const server = await startFakeServer(handlerOf(fake));
  const built = createRest(
    {
      name: pack,
      manifest: manifestOf(pack),
      site: { baseUrl: server.url, settings: settings(server.url), secrets: { [name]: "env:SECRET" } },
    },
    {
      calls: createHttpCalls({ ca: server.caPem }),
      secrets: createSecrets({ SECRET: value }),
      clock: { nowMs: () => Date.now() },
    },
  );
  if (!built.ok) throw new Error(built.error.detail);
  closing.push(async () => {
    await built.value.stop();
    await server.close();
  });
  return built.value;
};

const host = (value: string): Entity => ({ type: "host", value });
const user = (value: string): Entity => ({ type: "user", value });

const defender: Site = {
  settings: (url) => ({ tenant: defenderAccount.tenant, client_id: defenderAccount.clientId, login_url: url }),
  secret: ["client_secret", defenderAccount.clientSecret],
};
const entra: Site = {
  settings: (url) => ({ tenant: entraAccount.tenant, client_id: entraAccount.clientId, login_url: url }),
  secret: ["client_secret", entraAccount.clientSecret],
};
const falcon: Site = {
  settings: () => ({ client_id: falconAccount.clientId }),
  secret: ["client_secret", falconAccount.clientSecret],
};
const sentinelOne: Site = { secret: ["api_token", sentinelOneAccount.apiToken] };
const elastic: Site = { secret: ["api_key", elasticAccount.apiKey] };
const okta: Site = { secret: ["api_token", oktaAccount.apiToken] };
const keycloak: Site = {
  settings: () => ({
    realm: keycloakAccount.realm,
    token_realm: keycloakAccount.realm,
    client_id: keycloakAccount.clientId,
  }),
  secret: ["client_secret", keycloakAccount.clientSecret],
};
const wazuh4: Site = { settings: () => ({ user: wazuh4Account.user }), secret: ["password", wazuh4Account.password] };

describe("endpoints that have not acted yet", () => {
  test.each([
    ["microsoft-defender", () => createFakeDefender({ slow: true }), defender, defenderHosts.free.name],
    ["crowdstrike-falcon", () => createFakeFalcon({ slow: true }), falcon, falconHosts.free.name],
    ["sentinelone", () => createFakeSentinelOne({ slow: true }), sentinelOne, sentinelOneHosts.free.name],
    ["elastic-defend", () => createFakeElasticDefend({ slow: true }), elastic, elasticHosts.free.name],
  ] as const)("%s says unknown until it is so, in both directions", async (pack, fake, site, name) => {
    const connector = await open(pack, fake(), site);
    const call = await prepared(connector, newCall("isolate_host", host(name)));
    const verified = async () => (await connector.verify(call)).kind;
    expect((await connector.apply(call)).kind).toBe("applied");
    expect([await verified(), await verified()]).toEqual(["unknown", "present"]);
    expect((await connector.undo(call)).kind).toBe("undone");
    expect([await verified(), await verified()]).toEqual(["unknown", "absent"]);
  });
});

describe("what a product refuses is refused, and nothing is in force", () => {
  const refused = async (connector: Connector, fake: Fake, call: ConnectorCall): Promise<string> => {
    const before = fake.present();
    const outcome = await connector.apply(await prepared(connector, call));
    expect(fake.present()).toEqual(before);
    return outcome.kind === "refused" ? `${outcome.code}: ${outcome.detail}` : outcome.kind;
  };

  test("Defender: an operating system that cannot be isolated", async () => {
    const fake = createFakeDefender();
    const connector = await open("microsoft-defender", fake, defender);
    const said = await refused(connector, fake, newCall("isolate_host", host(defenderHosts.unsupported.name)));
    expect(said).toMatch(/^connector-refused: HTTP 400: OS Platform/);
  });
  test("Entra ID: an administrator's account", async () => {
    const fake = createFakeEntraId();
    const connector = await open("microsoft-entra-id", fake, entra);
    const said = await refused(connector, fake, newCall("disable_user", user(entraUsers.administrator.name)));
    expect(said).toMatch(/HTTP 403: Insufficient privileges/);
  });
  test("Keycloak: a user of a read-only directory", async () => {
    const fake = createFakeKeycloak();
    const connector = await open("keycloak", fake, keycloak);
    const said = await refused(connector, fake, newCall("disable_user", user(keycloakUsers.readOnly.name)));
    expect(said).toMatch(/HTTP 400: User is read only/);
  });
  test("Okta: a user who is locked out is no target", async () => {
    const connector = await open("okta", createFakeOkta(), okta);
    const found = await connector.resolve?.(newCall("suspend_account", user(oktaUsers.locked.name)));
    expect(found).toMatchObject({ ok: false, error: { code: "target-unresolved" } });
  });
  test("Wazuh 4: an agent that is not connected may be tried again, a removed one not", async () => {
    const fake = createFakeWazuh4();
    const connector = await open("wazuh-4", fake, wazuh4);
    const away = await prepared(connector, newCall("isolate_host", host(wazuh4Hosts.away.name)));
    expect(await connector.apply(away)).toMatchObject({ kind: "retry", detail: expect.stringContaining("not active") });
    const removed = { ...away, resolved: { id: "999", label: "removed", entities: [], groups: [] } };
    expect(await connector.apply(removed)).toMatchObject({ kind: "refused" });
    expect(await connector.undo(removed)).toMatchObject({ kind: "undone" });
    expect(fake.changes()).toEqual([]);
  });
  test("Wazuh 4: a site without a gateway agent cannot block addresses", async () => {
    const connector = await open("wazuh-4", createFakeWazuh4(), wazuh4);
    const outcome = await connector.apply(newCall("block_ip", { type: "address", value: "203.0.113.9" }));
    expect(outcome).toMatchObject({ kind: "refused" });
  });
});

test("what was so before stays so through a lease of ours: nothing is asked of the product", async () => {
  const fake = createFakeFalcon();
  const connector = await open("crowdstrike-falcon", fake, falcon);
  const call = await prepared(connector, newCall("isolate_host", host(falconHosts.held.name)));
  const before = fake.present();
  expect((await connector.apply(call)).kind).toBe("applied");
  expect((await connector.verify(call)).kind).toBe("present");
  expect((await connector.undo(call)).kind).toBe("undone");
  expect([fake.present(), fake.changes()]).toEqual([before, []]);
});

describe("the never-touch list sees what the product calls the target", () => {
  const resolvedBy = async (connector: Connector, call: ConnectorCall) => {
    const found = await connector.resolve?.(call);
    if (found?.ok !== true) throw new Error("it does not resolve");
    return found.value;
  };
  test.each([
    [
      "microsoft-defender",
      () => createFakeDefender(),
      defender,
      newCall("isolate_host", host("ws-031")),
      ["office", "The-A-Team"],
      [host("ws-031.corp.example"), { type: "address", value: "10.0.3.31" }],
    ],
    [
      "crowdstrike-falcon",
      () => createFakeFalcon(),
      falcon,
      newCall("isolate_host", host("ws-041")),
      ["FalconGroupingTags/Office", "9d1f2e3a4b5c6d7e8f90a1b2c3d4e5f6", "Workstation"],
      [host("WS-041"), { type: "address", value: "10.0.4.41" }],
    ],
    [
      "elastic-defend",
      () => createFakeElasticDefend(),
      elastic,
      newCall("isolate_host", host("srv-071")),
      ["Servers"],
      [host("srv-071"), { type: "address", value: "10.0.7.71" }, { type: "address", value: "fe80::1" }],
    ],
    [
      "sentinelone",
      () => createFakeSentinelOne(),
      sentinelOne,
      newCall("isolate_host", host("LT-051")),
      ["Office", "Default site"],
      [host("lt-051"), { type: "address", value: "10.0.5.51" }],
    ],
    [
      "wazuh-4",
      () => createFakeWazuh4(),
      wazuh4,
      newCall("isolate_host", host("web-061")),
      ["default", "webserver"],
      [host("web-061"), { type: "address", value: "10.0.6.61" }],
    ],
    [
      "microsoft-entra-id",
      () => createFakeEntraId(),
      entra,
      newCall("disable_user", user("admin@example.com")),
      ["Global Administrator"],
      [user("admin@example.com")],
    ],
    [
      "okta",
      () => createFakeOkta(),
      okta,
      newCall("suspend_account", user("isaac.brock@example.com")),
      ["Everyone", "Finance"],
      [user("isaac.brock@example.com")],
    ],
    [
      "keycloak",
      () => createFakeKeycloak(),
      keycloak,
      newCall("disable_user", user("JDOE")),
      ["staff", "finance"],
      [user("jdoe")],
    ],
  ] as const)("%s", async (pack, fake, site, call, groups, entities) => {
    const connector = await open(pack, fake(), site);
    expect(await resolvedBy(connector, call)).toMatchObject({ groups, entities });
  });
});

test("OpenEDR cannot be opened as a connector, and says where its hosts go", () => {
  const built = createRest(
    { name: "openedr", manifest: manifestOf("openedr"), site: { baseUrl: "https://openedr.example" } },
    { calls: createHttpCalls({}), secrets: createSecrets({}), clock: { nowMs: () => 0 } },
  );
  expect(built).toMatchObject({
    ok: false,
    error: { code: "connector-unknown", detail: expect.stringContaining("routing") },
  });
});
