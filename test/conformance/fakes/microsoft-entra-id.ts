import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { readForm, readJsonObject, segmentsOf } from "./fake-body.ts";
import { createSwitches } from "./fake-switches.ts";
import { parseFilter } from "./odata-filter.ts";
import { createTokenDesk } from "./token-desk.ts";

/**
 * Microsoft Entra ID through Microsoft Graph 1.0, from https://learn.microsoft.com/en-us/graph/api/ : user-list, user-get,
 * user-update, user-list-transitivememberof; https://learn.microsoft.com/en-us/graph/errors ; sign-in as in
 * https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow .
 * Quirks kept: an update answers 204 with nothing in it; a property that was not selected is not in the answer; an account with an
 * administrative role is 403 `Authorization_RequestDenied` for an application without the privileged right; a user principal
 * name and somebody else's mail address may be the same text.
 */
export const entraAccount = {
  tenant: "5b0d2a4e-8c7f-4f11-9a3b-2d6c1e0f7a55",
  clientId: "e9a4c7b2-1d3f-4a6e-b8c5-0f2d4e6a8c10",
  clientSecret: "planted-entra-secret",
} as const;

export const entraUsers = {
  free: { name: "adele.vance@example.com", id: "87d349ed-44d7-43e1-9a83-5f2406dee5bd" },
  other: { name: "alex.wilber@example.com", id: "4782e723-f4f4-4af3-a76e-25e3bab0d896" },
  foreign: { name: "fay.foreign@example.com", id: "b66ecf79-a093-4d51-86e0-efcc4531f37a" },
  /** Disabled by an administrator before Reflex came. */
  held: { name: "held.user@example.com", id: "c03e6eaa-b6ab-46d7-905b-73ec7ea1f755" },
  twice: { name: "twin@example.com" },
  administrator: { name: "admin@example.com", id: "f5289423-7233-4d60-831a-fe107a8551cc" },
} as const;

const users = [
  {
    id: entraUsers.free.id,
    userPrincipalName: "adele.vance@example.com",
    mail: "adele.vance@example.com",
    displayName: "Adele Vance",
    member: ["Finance", "All staff"],
  },
  {
    id: entraUsers.other.id,
    userPrincipalName: "alex.wilber@example.com",
    mail: "alex.wilber@example.com",
    displayName: "Alex Wilber",
    member: ["All staff"],
  },
  {
    id: entraUsers.foreign.id,
    userPrincipalName: "fay.foreign@example.com",
    mail: "fay.foreign@example.com",
    displayName: "Fay Foreign",
    member: [],
  },
  {
    id: entraUsers.held.id,
    userPrincipalName: "held.user@example.com",
    mail: "held.user@example.com",
    displayName: "Held User",
    member: ["All staff"],
  },
  {
    id: "d4957c9d-869e-4364-830c-d0c95be72738",
    userPrincipalName: "twin@example.com",
    mail: "first@example.com",
    displayName: "First",
    member: [],
  },
  {
    id: "089a6bb8-e8cb-492c-aa41-c078aa0b5120",
    userPrincipalName: "second@example.com",
    mail: "twin@example.com",
    displayName: "Second",
    member: [],
  },
  {
    id: entraUsers.administrator.id,
    userPrincipalName: "admin@example.com",
    mail: "admin@example.com",
    displayName: "Administrator",
    member: ["Global Administrator"],
  },
] as const;

type User = (typeof users)[number];

export type EntraFake = Fake & { readonly hold: (id: string) => string };

export const createFakeEntraId = (): EntraFake => {
  const desk = createTokenDesk("entra");
  const disabled = createSwitches("disable_user");
  const hold = (id: string): string => {
    disabled.setBySomebodyElse(id, true);
    return `disable_user ${id}`;
  };
  hold(entraUsers.held.id);

  const signIn = (request: FakeRequest): FakeAnswer => {
    const form = readForm(request);
    const isKnown =
      form?.get("grant_type") === "client_credentials" &&
      form.get("client_id") === entraAccount.clientId &&
      form.get("client_secret") === entraAccount.clientSecret &&
      form.get("scope") === "https://graph.microsoft.com/.default";
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

  const userJson = (user: User, select: string | null) => {
    const all: Readonly<Record<string, unknown>> = {
      ...user,
      accountEnabled: !disabled.isOn(user.id),
      member: undefined,
    };
    const names = select?.split(",") ?? ["id", "displayName", "mail", "userPrincipalName"];
    return Object.fromEntries(names.filter((name) => all[name] !== undefined).map((name) => [name, all[name]]));
  };

  const list = ({ query }: FakeRequest): FakeAnswer => {
    const filter = parseFilter(query.get("$filter") ?? "", ["userPrincipalName", "mail", "id", "displayName"]);
    if (filter === undefined) return failed(400, "BadRequest", "Invalid filter clause");
    const value = users
      .filter((user) =>
        filter({
          userPrincipalName: user.userPrincipalName,
          mail: user.mail,
          id: user.id,
          displayName: user.displayName,
        }),
      )
      .map((user) => userJson(user, query.get("$select")));
    return { status: 200, json: { "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users", value } };
  };

  const update = (request: FakeRequest, user: User): FakeAnswer => {
    const body = readJsonObject(request);
    const accountEnabled = body?.["accountEnabled"];
    if (body === undefined || typeof accountEnabled !== "boolean" || Object.keys(body).length !== 1)
      return failed(
        400,
        "Request_BadRequest",
        "A value without a type name was found and no expected type is available.",
      );
    if (user.id === entraUsers.administrator.id)
      return failed(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.");
    disabled.set(user.id, !accountEnabled);
    return { status: 204 };
  };

  const memberships = (user: User): FakeAnswer => ({
    status: 200,
    json: {
      "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#directoryObjects",
      value: user.member.map((displayName) => ({
        "@odata.type":
          displayName === "Global Administrator" ? "#microsoft.graph.directoryRole" : "#microsoft.graph.group",
        displayName,
      })),
    },
  });

  return {
    handle: (request) => {
      const segments = segmentsOf(request.path) ?? [];
      if (request.method === "POST" && segments.join("/") === `${entraAccount.tenant}/oauth2/v2.0/token`)
        return signIn(request);
      if (!desk.accepts(request.headers["authorization"]))
        return failed(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.");
      const [version, kind, key, part] = segments;
      if (version !== "v1.0" || kind !== "users")
        return failed(404, "ResourceNotFound", "Resource not found for the segment.");
      if (key === undefined && request.method === "GET") return list(request);
      const user = users.find(({ id, userPrincipalName }) => id === key || userPrincipalName === key);
      if (user === undefined)
        return failed(
          404,
          "Request_ResourceNotFound",
          `Resource '${key}' does not exist or one of its queried reference-property objects are not present.`,
        );
      if (request.method === "GET" && part === undefined)
        return { status: 200, json: userJson(user, request.query.get("$select")) };
      if (request.method === "GET" && part === "transitiveMemberOf") return memberships(user);
      if (request.method === "PATCH" && part === undefined) return update(request, user);
      return failed(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.");
    },
    present: disabled.present,
    changes: disabled.changes,
    expireTokens: desk.expireAll,
    addForeign: () => hold(entraUsers.foreign.id),
    hold,
  };
};

const failed = (status: number, code: string, message: string): FakeAnswer => ({
  status,
  json: {
    error: {
      code,
      message,
      innerError: { date: "2026-11-20T12:00:00", "request-id": "b1f2c3d4-0000-4000-8000-000000000000" },
    },
  },
});
