import type { Socket } from "node:net";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { Attribute, Change, Client, Control, type Entry, type Filter, ResultCodeError } from "ldapts";
import type { Secrets } from "../secrets-port.ts";
import { sentenceOf } from "../secure-socket.ts";
import { openTransport, type TransportOptions } from "./transport.ts";

export type LinkOptions = {
  readonly transport: TransportOptions;
  readonly bind: { readonly dn: string; readonly passwordRef: string } | { readonly external: true };
  /** From the start of one connector call to its end, whatever it asks. */
  readonly callMs: number;
  readonly secrets: Secrets;
};

/** Attribute names in lower case; values that are not text, or were asked for as bytes, are buffers. */
export type DirectoryEntry = {
  readonly dn: string;
  readonly attributes: ReadonlyMap<string, readonly (string | Buffer)[]>;
};

export type Query = {
  readonly base: string;
  readonly scope: "base" | "sub";
  readonly filter: Filter;
  readonly attributes: readonly string[];
  readonly bytes?: readonly string[];
  /** More are cut off; left out where all are needed, and a server that cuts off is then a failure. */
  readonly entriesMax?: number;
};

/** Take `remove` away and put `add` there, both or neither: fails if one of `remove` is not there any more. */
export type Swap = {
  readonly attribute: string;
  readonly remove: readonly string[];
  readonly add: readonly string[];
};

export type LinkFailure =
  /** The question provably never left. */
  | { readonly kind: "unsent"; readonly detail: string }
  /** The question never left, and asking again is no use until a person did something. */
  | { readonly kind: "unusable"; readonly refusal: Refusal }
  /** The server's own answer (RFC 4511 4.1.9): nothing was changed. */
  | { readonly kind: "answered"; readonly code: number; readonly detail: string }
  | { readonly kind: "unknown"; readonly detail: string };

/** Questions of one connector call; together they have `callMs`. */
export type Asking = {
  readonly search: (query: Query) => Promise<Result<readonly DirectoryEntry[], LinkFailure>>;
  readonly modify: (dn: string, swap: Swap) => Promise<Result<void, LinkFailure>>;
};

export type Link = {
  readonly begin: () => Asking;
  readonly close: () => Promise<void>;
};

type Session = { readonly client: Client; readonly socket: Socket };

/** A connection that is not made by then is not made. */
const connectMsMax = 3_000;
/** RFC 4511 4.1.9. */
const codes = { noSuchObject: 32, invalidCredentials: 49 } as const;
/** Active Directory, LDAP_SERVER_DOMAIN_SCOPE_OID: do not point to other domains. Others do not know it and need not. */
const domainScope = "1.2.840.113556.1.4.1339";

/**
 * One bound connection, made when it is needed and again when it broke. A call that runs out of time closes it: an answer that
 * comes later could be taken for another's, and a server that hangs will not answer the next question either.
 */
export const createLink = (options: LinkOptions): Link => {
  let current: Promise<Result<Session, LinkFailure>> | undefined;
  let isClosed = false;

  const connected = (): Promise<Result<Session, LinkFailure>> => {
    if (isClosed) return Promise.resolve(err({ kind: "unsent", detail: "the connector is stopped" }));
    if (current !== undefined) return current;
    const opening = openSession(options).then((opened) => {
      const forget = (): void => {
        if (current === opening) current = undefined;
      };
      if (!opened.ok) forget();
      else if (isClosed) opened.value.socket.destroy();
      else if (opened.value.socket.destroyed) forget();
      else opened.value.socket.once("close", forget);
      return opened;
    });
    current = opening;
    return opening;
  };

  const standing = async (): Promise<Result<Session, LinkFailure>> => {
    const asked = connected();
    const session = await asked;
    if (!session.ok || session.value.socket.writable) return session;
    // It broke a moment ago, and its end was not announced yet: nothing can be asked on it.
    if (current === asked) current = undefined;
    return connected();
  };

  const begin = (): Asking => {
    const endsAtMs = performance.now() + options.callMs;
    const ask = async <T>(question: (client: Client) => Promise<T>): Promise<Result<T, LinkFailure>> => {
      const session = await within(standing(), endsAtMs);
      if (session === "late") return err({ kind: "unsent", detail: "no connection in time" });
      if (!session.ok) return session;
      const { client, socket } = session.value;
      const answer = question(client).then(ok, (error: unknown) => err(failureOf(error)));
      const answered = await within(answer, endsAtMs);
      if (answered !== "late") return answered;
      socket.destroy();
      return err({ kind: "unknown", detail: `no answer in ${options.callMs} ms` });
    };
    return {
      search: async (query) => {
        const found = await ask((client) => client.search(query.base, searchOptions(query), new Control(domainScope)));
        if (!found.ok) return found;
        // Never followed: a second account may stand behind it.
        if (found.value.searchReferences.length > 0) {
          return err({ kind: "answered", code: 10, detail: "a part of the tree is on another server" });
        }
        return ok(found.value.searchEntries.map(readEntry));
      },
      modify: (dn, { attribute, remove, add }) =>
        ask((client) =>
          client.modify(
            dn,
            [
              { operation: "delete" as const, values: remove },
              { operation: "add" as const, values: add },
            ]
              .filter(({ values }) => values.length > 0)
              .map(
                ({ operation, values }) =>
                  new Change({ operation, modification: new Attribute({ type: attribute, values: [...values] }) }),
              ),
          ),
        ),
    };
  };

  return {
    begin,
    close: async () => {
      isClosed = true;
      const session = await current;
      if (session?.ok) await session.value.client.unbind().catch(() => undefined);
    },
  };
};

const openSession = async (options: LinkOptions): Promise<Result<Session, LinkFailure>> => {
  const { bind } = options;
  const password = "external" in bind ? undefined : options.secrets.read(bind.passwordRef);
  if (password?.ok === false) return err({ kind: "unusable", refusal: password.error });
  // An empty password is an anonymous bind that succeeds (RFC 4513 5.1.2).
  if (password?.value.reveal() === "") {
    return err({ kind: "unusable", refusal: refusal("unauthorised", "the bind password is empty") });
  }
  const connectMs = Math.min(connectMsMax, options.callMs);
  const opened = await openTransport(options.transport, connectMs);
  if (!opened.ok) return err({ kind: "unsent", detail: opened.error });
  const socket = opened.value;
  // ldapts would quietly connect again without binding; a connection is used once and is then over.
  let isGiven = false;
  const giveOnce = (): Socket => {
    if (isGiven) throw new ConnectionOver();
    isGiven = true;
    return socket;
  };
  const client = new Client({ url: "ldap://bound", timeout: connectMs, createConnection: giveOnce as () => Socket });
  try {
    if ("external" in bind) await client.bindSASL("EXTERNAL");
    else await client.bind(bind.dn, password?.value.reveal() ?? "");
  } catch (error) {
    socket.destroy();
    return err(bindFailureOf(error));
  }
  return ok({ client, socket });
};

class ConnectionOver extends Error {}

const bindFailureOf = (error: unknown): LinkFailure => {
  const failure = failureOf(error);
  if (failure.kind !== "answered") return { kind: "unsent", detail: sentenceOf(error) };
  if (failure.code === 51 || failure.code === 52) return { kind: "unsent", detail: failure.detail };
  const why = failure.code === codes.invalidCredentials ? "name or password is wrong" : failure.detail;
  return { kind: "unusable", refusal: refusal("unauthorised", `the directory does not let us in: ${why}`) };
};

const failureOf = (error: unknown): LinkFailure => {
  if (error instanceof ResultCodeError) {
    // ldapts puts the number behind the server's words, which may be none.
    const words = sentenceOf(error).replace(/ *Code: 0x[0-9a-f]+$/, "");
    const detail = `LDAP code ${error.code}${words === "" ? "" : `: ${words}`}`;
    return { kind: "answered", code: error.code, detail };
  }
  if (error instanceof ConnectionOver) return { kind: "unsent", detail: "the connection was over" };
  return { kind: "unknown", detail: sentenceOf(error) };
};

const searchOptions = ({ scope, filter, attributes, bytes, entriesMax }: Query) => ({
  scope,
  filter,
  attributes: [...attributes],
  explicitBufferAttributes: [...(bytes ?? [])],
  derefAliases: "never" as const,
  ...(entriesMax === undefined ? {} : { sizeLimit: entriesMax }),
});

const readEntry = ({ dn, ...attributes }: Entry): DirectoryEntry => ({
  dn,
  attributes: new Map(
    Object.entries(attributes).map(([name, value]) => [name.toLowerCase(), Array.isArray(value) ? value : [value]]),
  ),
});

const within = <T>(asked: Promise<T>, endsAtMs: number): Promise<T | "late"> =>
  new Promise((resolve, reject) => {
    const late = setTimeout(() => resolve("late"), Math.max(1, endsAtMs - performance.now()));
    asked.then(resolve, reject).finally(() => clearTimeout(late));
  });
