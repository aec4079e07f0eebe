import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { segmentsOf } from "./fake-body.ts";
import { createSwitches } from "./fake-switches.ts";

/**
 * Okta, from https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/ (list, get, list groups),
 * .../tag/UserLifecycle/ (suspend, unsuspend) and https://developer.okta.com/docs/reference/error-codes/ .
 * Quirks kept: only an ACTIVE user can be suspended and only a SUSPENDED one unsuspended, anything else is 400 E0000001 with the
 * reason as free text; a bad token is 401 E0000011; success is 200 with an empty object; the search is Okta's own expression language.
 */
export const oktaAccount = { apiToken: "planted-okta-token" } as const;

export const oktaUsers = {
  free: { name: "isaac.brock@example.com", id: "00ub0oNGTSWTBKOLGLNR" },
  other: { name: "mona.ray@example.com", id: "00ub0oNGTSWTBKOLGLN2" },
  foreign: { name: "fay.foreign@example.com", id: "00ub0oNGTSWTBKOLGLN7" },
  /** Suspended by an administrator before Reflex came. */
  held: { name: "held.user@example.com", id: "00ub0oNGTSWTBKOLGLN3" },
  twice: { name: "twin@example.com" },
  /** Locked out: Okta suspends active users only. */
  locked: { name: "locked.out@example.com", id: "00ub0oNGTSWTBKOLGLN6" },
} as const;

const users = [
  {
    id: oktaUsers.free.id,
    login: oktaUsers.free.name,
    email: oktaUsers.free.name,
    fixed: undefined,
    groups: ["Everyone", "Finance"],
  },
  {
    id: oktaUsers.other.id,
    login: oktaUsers.other.name,
    email: oktaUsers.other.name,
    fixed: undefined,
    groups: ["Everyone"],
  },
  {
    id: oktaUsers.foreign.id,
    login: oktaUsers.foreign.name,
    email: oktaUsers.foreign.name,
    fixed: undefined,
    groups: ["Everyone"],
  },
  {
    id: oktaUsers.held.id,
    login: oktaUsers.held.name,
    email: oktaUsers.held.name,
    fixed: undefined,
    groups: ["Everyone"],
  },
  {
    id: "00ub0oNGTSWTBKOLGLN4",
    login: "twin@example.com",
    email: "first@example.com",
    fixed: undefined,
    groups: ["Everyone"],
  },
  {
    id: "00ub0oNGTSWTBKOLGLN5",
    login: "second@example.com",
    email: "twin@example.com",
    fixed: undefined,
    groups: ["Everyone"],
  },
  {
    id: oktaUsers.locked.id,
    login: oktaUsers.locked.name,
    email: oktaUsers.locked.name,
    fixed: "LOCKED_OUT",
    groups: ["Everyone"],
  },
] as const;

export type OktaFake = Fake & { readonly hold: (id: string) => string };

export const createFakeOkta = (): OktaFake => {
  const suspended = createSwitches("suspend_account");
  const hold = (id: string): string => {
    suspended.setBySomebodyElse(id, true);
    return `suspend_account ${id}`;
  };
  hold(oktaUsers.held.id);

  const statusOf = (user: (typeof users)[number]): string =>
    user.fixed ?? (suspended.isOn(user.id) ? "SUSPENDED" : "ACTIVE");
  const userJson = (user: (typeof users)[number]) => ({
    id: user.id,
    status: statusOf(user),
    created: "2025-06-24T16:39:18.000Z",
    lastLogin: "2026-11-19T17:39:19.000Z",
    profile: { firstName: "Given", lastName: "Family", login: user.login, email: user.email },
    type: { id: "otyfnly5cQjJT9PnR0g4" },
  });

  const search = ({ query }: FakeRequest): FakeAnswer => {
    const wanted = termsOf(query.get("search") ?? "");
    if (wanted === undefined) return failed(400, "E0000031", "Invalid search criteria.");
    const found = users.filter((user) =>
      wanted.some(({ field, value }) => user[field].toLowerCase() === value.toLowerCase()),
    );
    return { status: 200, json: found.map(userJson) };
  };

  const change = (user: (typeof users)[number], isWanted: boolean): FakeAnswer => {
    const needed = isWanted ? "ACTIVE" : "SUSPENDED";
    const why = isWanted ? "Cannot suspend a user that is not active" : "Cannot unsuspend a user that is not suspended";
    if (statusOf(user) !== needed)
      return failed(400, "E0000001", `Api validation failed: ${why}`, [{ errorSummary: why }]);
    suspended.set(user.id, isWanted);
    return { status: 200, json: {} };
  };

  return {
    handle: (request) => {
      if (request.headers["authorization"] !== `SSWS ${oktaAccount.apiToken}`)
        return failed(401, "E0000011", "Invalid token provided");
      const [api, version, kind, key, part, verb] = segmentsOf(request.path) ?? [];
      if (api !== "api" || version !== "v1" || kind !== "users")
        return failed(404, "E0000022", "The endpoint does not support the provided HTTP method");
      if (key === undefined)
        return request.method === "GET"
          ? search(request)
          : failed(405, "E0000022", "The endpoint does not support the provided HTTP method");
      const user = users.find(({ id, login }) => id === key || login === key);
      if (user === undefined) return failed(404, "E0000007", `Not found: Resource not found: ${key} (User)`);
      const call = `${request.method} ${[part, verb].filter((one) => one !== undefined).join("/")}`;
      if (call === "GET ") return { status: 200, json: userJson(user) };
      if (call === "GET groups")
        return {
          status: 200,
          json: user.groups.map((name, at) => ({
            id: `00g${user.id.slice(3)}${at}`,
            type: "OKTA_GROUP",
            profile: { name },
          })),
        };
      if (call === "POST lifecycle/suspend") return change(user, true);
      if (call === "POST lifecycle/unsuspend") return change(user, false);
      return failed(405, "E0000022", "The endpoint does not support the provided HTTP method");
    },
    present: suspended.present,
    changes: suspended.changes,
    addForeign: () => hold(oktaUsers.foreign.id),
    hold,
  };
};

/** `profile.login eq "a" or profile.email eq "a"`; text in double quotes, `\` and `"` escaped. */
const termsOf = (
  search: string,
): readonly { readonly field: "login" | "email"; readonly value: string }[] | undefined => {
  const parts = search.split(" or ").map((part) => /^profile\.(login|email) eq "((?:[^"\\]|\\.)+)"$/.exec(part));
  if (parts.some((part) => part === null)) return undefined;
  return parts.map((part) => ({
    field: part?.[1] === "email" ? "email" : "login",
    value: (part?.[2] ?? "").replace(/\\(.)/g, "$1"),
  }));
};

const failed = (
  status: number,
  errorCode: string,
  errorSummary: string,
  errorCauses: readonly unknown[] = [],
): FakeAnswer => ({
  status,
  json: { errorCode, errorSummary, errorLink: errorCode, errorId: "sampleAPIErrorId0000000000000", errorCauses },
});
