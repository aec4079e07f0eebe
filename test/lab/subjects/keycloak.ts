import { randomBytes } from "node:crypto";
import type { FakeChange } from "../../conformance/fake.ts";
import { illegalUsers } from "../../conformance/illegal-names.ts";
import type { Subject } from "../../conformance/subject.ts";
import { type Keycloak, keycloakMissing, startKeycloak } from "../servers/keycloak.ts";
import { startedOnce } from "../servers/shared.ts";
import { type RealTarget, subjectOfServer } from "../subject-of-server.ts";

const server = startedOnce(startKeycloak);

/** One server, a realm for each case: with people, a client for Reflex, and a record of what administrators did. */
const start = async (): Promise<RealTarget> => {
  const keycloak = await server();
  const realm = `lab-${randomBytes(6).toString("hex")}`;
  const clientSecret = randomBytes(18).toString("hex");
  await keycloak.ask("POST", "", realmOf(realm, clientSecret));
  return {
    baseUrl: keycloak.url,
    settings: { realm, token_realm: realm, client_id: "reflex" },
    secrets: { client_secret: clientSecret },
    present: async () =>
      (await usersOf(keycloak, realm)).filter(({ enabled }) => !enabled).map(({ id }) => `disable_user ${id}`),
    changes: () => changesOf(keycloak, realm),
    addForeign: async () => `disable_user ${await disable(keycloak, realm, "mallory")}`,
    addSame: async () => void (await disable(keycloak, realm, "alice")),
    isChange: ({ method }) => method === "PUT",
    hasTokens: true,
    close: async () => void (await keycloak.ask("DELETE", `/${realm}`)),
  };
};

type User = { readonly id: string; readonly username: string; readonly enabled: boolean };
const usersOf = async (keycloak: Keycloak, realm: string): Promise<readonly User[]> =>
  (await keycloak.ask("GET", `/${realm}/users?max=100`)) as readonly User[];

const disable = async (keycloak: Keycloak, realm: string, name: string): Promise<string> => {
  const user = (await usersOf(keycloak, realm)).find(({ username }) => username === name);
  if (user === undefined) throw new Error(`there is no ${name}`);
  await keycloak.ask("PUT", `/${realm}/users/${user.id}`, { enabled: false, attributes: { byHand: ["true"] } });
  return user.id;
};

/** From Keycloak's own record: an update counts where it turns `enabled` round. */
const changesOf = async (keycloak: Keycloak, realm: string): Promise<readonly FakeChange[]> => {
  const path = `/${realm}/admin-events?operationTypes=UPDATE&resourceTypes=USER&max=1000`;
  const events = (await keycloak.ask("GET", path)) as readonly {
    readonly time: number;
    readonly resourcePath: string;
    readonly representation?: string;
  }[];
  const isEnabled = new Map<string, boolean>();
  const changes: FakeChange[] = [];
  // Newest first, as it answers; those of one millisecond keep their order.
  for (const { resourcePath, representation } of [...events].reverse()) {
    const update = JSON.parse(representation ?? "{}") as { enabled?: boolean; attributes?: { byHand?: unknown } };
    if (update.enabled === undefined) continue;
    if (update.enabled !== (isEnabled.get(resourcePath) ?? true) && update.attributes?.byHand === undefined)
      changes.push({ verb: update.enabled ? "undo" : "apply", key: `disable_user ${resourcePath}` });
    isEnabled.set(resourcePath, update.enabled);
  }
  return changes;
};

const realmOf = (realm: string, clientSecret: string): unknown => ({
  realm,
  enabled: true,
  adminEventsEnabled: true,
  adminEventsDetailsEnabled: true,
  clients: [
    {
      clientId: "reflex",
      secret: clientSecret,
      publicClient: false,
      serviceAccountsEnabled: true,
      standardFlowEnabled: false,
    },
  ],
  users: [
    ...["alice", "alice2", "bob", "mallory"].map((username) => ({ username, enabled: true })),
    {
      username: "service-account-reflex",
      enabled: true,
      serviceAccountClientId: "reflex",
      clientRoles: { "realm-management": ["view-users", "query-users", "manage-users"] },
    },
  ],
});

export const subjects: readonly Subject[] = [
  subjectOfServer({
    name: "keycloak (server)",
    action: "disable_user",
    target: { type: "user", value: "alice" },
    otherTarget: { type: "user", value: "bob" },
    illegalTargets: illegalUsers("alice", ["ali"]),
    pack: "keycloak",
    missing: keycloakMissing,
    start,
  }),
];
