import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { readForm, readJsonObject, segmentsOf } from "./fake-body.ts";
import { createSwitches } from "./fake-switches.ts";
import { createTokenDesk } from "./token-desk.ts";

/**
 * Keycloak admin REST API, from https://www.keycloak.org/docs-api/latest/rest-api/index.html (users, groups, logout) and
 * https://www.keycloak.org/securing-apps/oidc-layers (token endpoint).
 * Quirks kept: an update answers 204 with nothing in it and leaves out fields as they were; `username` without `exact=true` finds parts
 * of names; names are in lower case there; an admin event without the role is 403; an unknown user is 404 `User not found`; a user of a
 * read-only directory is 400.
 */
export const keycloakAccount = { realm: "corp", clientId: "reflex", clientSecret: "planted-keycloak-secret" } as const;

export const keycloakUsers = {
  free: { name: "jdoe", id: "3f2d9c1e-7a64-4c0b-9d3e-5b1a2c4e6f80" },
  other: { name: "asmith", id: "4a3e0d2f-8b75-4d1c-8e4f-6c2b3d5f7a91" },
  foreign: { name: "bjones", id: "5b4f1e30-9c86-4e2d-9f50-7d3c4e608ba2" },
  /** Disabled by an administrator before Reflex came. */
  held: { name: "held", id: "6c502f41-ad97-4f3e-a061-8e4d5f719cb3" },
  /** Known by part of a longer name only. */
  part: { name: "jdo" },
  readOnly: { name: "ldapuser", id: "7d613052-bea8-404f-b172-9f5e60820dc4" },
} as const;

const users = [
  { id: keycloakUsers.free.id, username: "jdoe", email: "jdoe@example.com", groups: ["/staff", "/finance"] },
  { id: keycloakUsers.other.id, username: "asmith", email: "asmith@example.com", groups: ["/staff"] },
  { id: keycloakUsers.foreign.id, username: "bjones", email: "bjones@example.com", groups: [] },
  { id: keycloakUsers.held.id, username: "held", email: "held@example.com", groups: [] },
  { id: keycloakUsers.readOnly.id, username: "ldapuser", email: "ldapuser@example.com", groups: [] },
] as const;

type User = (typeof users)[number];
export type KeycloakFake = Fake & { readonly hold: (id: string) => string };

export const createFakeKeycloak = (): KeycloakFake => {
  const desk = createTokenDesk("keycloak");
  const disabled = createSwitches("disable_user");
  const hold = (id: string): string => {
    disabled.setBySomebodyElse(id, true);
    return `disable_user ${id}`;
  };
  hold(keycloakUsers.held.id);

  const signIn = (request: FakeRequest): FakeAnswer => {
    const form = readForm(request);
    if (
      form?.get("client_id") !== keycloakAccount.clientId ||
      form.get("client_secret") !== keycloakAccount.clientSecret
    )
      return {
        status: 401,
        json: { error: "unauthorized_client", error_description: "Invalid client or Invalid client credentials" },
      };
    if (form.get("grant_type") !== "client_credentials")
      return { status: 400, json: { error: "unsupported_grant_type", error_description: "Unsupported grant_type" } };
    return {
      status: 200,
      json: {
        access_token: desk.issue(),
        expires_in: 60,
        refresh_expires_in: 0,
        token_type: "Bearer",
        "not-before-policy": 0,
        scope: "profile email",
      },
    };
  };

  const userJson = ({ id, username, email }: User) => ({
    id,
    username,
    email,
    emailVerified: true,
    enabled: !disabled.isOn(id),
    createdTimestamp: 1_700_000_000_000,
    totp: false,
    requiredActions: [],
    attributes: { department: ["kept as it is"] },
  });

  const search = ({ query }: FakeRequest): FakeAnswer => {
    const wanted = (query.get("username") ?? "").toLowerCase();
    const isExact = query.get("exact") === "true";
    return {
      status: 200,
      json: users.filter(({ username }) => (isExact ? username === wanted : username.includes(wanted))).map(userJson),
    };
  };

  const update = (request: FakeRequest, user: User): FakeAnswer => {
    const body = readJsonObject(request);
    const enabled = body?.["enabled"];
    if (body === undefined || typeof enabled !== "boolean")
      return { status: 400, json: { error: "unable to read contents from stream" } };
    if (user.id === keycloakUsers.readOnly.id) return { status: 400, json: { errorMessage: "User is read only!" } };
    disabled.set(user.id, !enabled);
    return { status: 204 };
  };

  return {
    handle: (request) => {
      const [first, second, realm, kind, id, part] = segmentsOf(request.path) ?? [];
      if (
        first === "realms" &&
        second === keycloakAccount.realm &&
        request.path.endsWith("/protocol/openid-connect/token")
      )
        return signIn(request);
      if (!desk.accepts(request.headers["authorization"]))
        return { status: 401, json: { error: "HTTP 401 Unauthorized" } };
      if (first !== "admin" || second !== "realms" || realm !== keycloakAccount.realm)
        return { status: 404, json: { error: "Realm not found." } };
      if (kind !== "users") return { status: 403, json: { error: "HTTP 403 Forbidden" } };
      if (id === undefined)
        return request.method === "GET" ? search(request) : { status: 403, json: { error: "HTTP 403 Forbidden" } };
      const user = users.find((one) => one.id === id);
      if (user === undefined) return { status: 404, json: { error: "User not found" } };
      const call = `${request.method} ${part ?? ""}`;
      if (call === "GET ") return { status: 200, json: userJson(user) };
      if (call === "PUT ") return update(request, user);
      if (call === "POST logout") return { status: 204 };
      if (call === "GET groups")
        return {
          status: 200,
          json: user.groups.map((path) => ({ id: `g-${path.slice(1)}`, name: path.slice(1), path, subGroups: [] })),
        };
      return { status: 405, json: { error: "HTTP 405 Method Not Allowed" } };
    },
    present: disabled.present,
    changes: disabled.changes,
    expireTokens: desk.expireAll,
    addForeign: () => hold(keycloakUsers.foreign.id),
    hold,
  };
};
