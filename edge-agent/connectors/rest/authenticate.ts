import { Sha256 } from "@aws-crypto/sha256-js";
import { err, ok, type Result } from "@reflex/protocol/result";
import { SignatureV4 } from "@smithy/signature-v4";
import type { Clock } from "../../ports.ts";
import type { HttpCallAnswer, HttpCallFailure } from "../http-call.ts";
import { type BoundRequest, bindRequest, bindUrl, encodeText } from "./bind-request.ts";
import type { Credentials } from "./credentials.ts";
import type { Auth } from "./manifest.ts";
import { valuesAt } from "./pointer.ts";
import { readAnswer } from "./read-answer.ts";
import { retryAfterMs } from "./retry-after.ts";
import { createTokenStore, type FetchedToken, type TokenFailure } from "./token-store.ts";

/** A request as it is sent. `drop` is there where a newer token may help after a 401. */
export type Authenticated = { readonly request: BoundRequest; readonly drop?: () => void };
export type Authenticate = (request: BoundRequest) => Promise<Result<Authenticated, TokenFailure>>;

type Transport = (request: BoundRequest) => Promise<Result<HttpCallAnswer, HttpCallFailure>>;
type Deps = {
  readonly auth: Auth;
  readonly baseUrl: string;
  readonly credentials: Credentials;
  readonly transport: Transport;
  readonly clock: Clock;
};

export const createAuthenticate = (deps: Deps): Authenticate => {
  const { auth, credentials } = deps;
  switch (auth.kind) {
    case "none":
    case "client_certificate":
      return async (request) => ok({ request });
    case "header":
      return async (request) => {
        const texts = credentials.texts(auth.headers.map(({ value }) => value));
        if (!texts.ok) return notSent(texts.error.detail);
        return withHeaders(
          request,
          auth.headers.map(({ name, prefix }, index) => [name, `${prefix}${texts.value[index] ?? ""}`]),
        );
      };
    case "basic":
      return async (request) => {
        const texts = credentials.texts([auth.user, auth.password]);
        return texts.ok
          ? withHeaders(request, [["authorization", basicOf(credentials, texts.value)]])
          : notSent(texts.error.detail);
      };
    case "oauth2":
      return withToken(deps, () => fetchOauth(auth, deps), { name: "authorization", prefix: "Bearer " });
    case "login":
      return withToken(deps, () => fetchLogin(auth, deps), auth.header);
    case "sigv4":
      return (request) => sign(request, auth, deps);
  }
};

const notSent = (detail: string): Result<never, TokenFailure> => err({ kind: "unsent", detail });

const headerText = /^[\x20-\x7e]*$/;

const withHeaders = (
  request: BoundRequest,
  headers: readonly (readonly [string, string])[],
): Result<Authenticated, TokenFailure> => {
  const wrong = headers.find(([, text]) => !headerText.test(text));
  if (wrong !== undefined)
    return err({ kind: "refused", detail: `what auth needs does not fit into the header ${wrong[0]}` });
  return ok({ request: { ...request, headers: { ...request.headers, ...Object.fromEntries(headers) } } });
};

/** Remembered, for a product may repeat this spelling of the password as well. */
const basicOf = (credentials: Credentials, [user = "", password = ""]: readonly string[]): string => {
  const text = Buffer.from(`${user}:${password}`, "utf8").toString("base64");
  credentials.remember(text);
  return `Basic ${text}`;
};

const withToken = (
  { clock, credentials }: Deps,
  fetchToken: () => Promise<Result<FetchedToken, TokenFailure>>,
  header: { readonly name: string; readonly prefix: string },
): Authenticate => {
  const store = createTokenStore(clock, async () => {
    const fetched = await fetchToken();
    if (fetched.ok) credentials.remember(fetched.value.token);
    return fetched;
  });
  return async (request) => {
    const token = await store.get();
    if (!token.ok) return token;
    const sent = withHeaders(request, [[header.name, `${header.prefix}${token.value}`]]);
    return sent.ok ? ok({ ...sent.value, drop: () => store.drop(token.value) }) : sent;
  };
};

/** Client credentials grant (RFC 6749 §4.4). */
const fetchOauth = async (auth: Auth & { kind: "oauth2" }, deps: Deps): Promise<Result<FetchedToken, TokenFailure>> => {
  const { credentials } = deps;
  const bindings = credentials.bindings();
  if (!bindings.ok) return notSent(bindings.error.detail);
  const url = bindUrl({ ...auth.tokenUrl, query: [] }, bindings.value, deps.baseUrl);
  const texts = credentials.texts([auth.clientId, auth.clientSecret, ...auth.fields.map(([, value]) => value)]);
  if (!url.ok || !texts.ok) return notSent("a secret or setting that auth needs is not there");
  const [id = "", secret = "", ...fields] = texts.value;
  const body = [
    ["grant_type", "client_credentials"],
    ...(auth.style === "body"
      ? [
          ["client_id", id],
          ["client_secret", secret],
        ]
      : []),
    ...auth.fields.map(([name], index) => [name, fields[index] ?? ""]),
  ];
  const sent = await deps.transport({
    method: "POST",
    url: url.value,
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      accept: "application/json",
      // RFC 6749 §2.3.1: id and secret are encoded before they are joined.
      ...(auth.style === "basic" ? { authorization: basicOf(credentials, [encodeText(id), encodeText(secret)]) } : {}),
    },
    body: body.map(([name = "", text = ""]) => `${encodeText(name)}=${encodeText(text)}`).join("&"),
  });
  return tokenOf(sent, deps, (content) => {
    const { access_token: token, expires_in: seconds } = Object(content) as Record<string, unknown>;
    // Where nothing is said about its end, a token is asked for again soon.
    return {
      token,
      expiresSeconds: Number.isFinite(Number(seconds)) && seconds !== null ? Number(seconds ?? 300) : 300,
    };
  });
};

const fetchLogin = async (auth: Auth & { kind: "login" }, deps: Deps): Promise<Result<FetchedToken, TokenFailure>> => {
  const bindings = deps.credentials.bindings();
  if (!bindings.ok) return notSent(bindings.error.detail);
  const bound = bindRequest(auth.request, bindings.value, deps.baseUrl);
  if (!bound.ok) return notSent("a secret or setting that the login needs does not fit into it");
  let request = bound.value;
  if (auth.basic !== undefined) {
    const texts = deps.credentials.texts([auth.basic.user, auth.basic.password]);
    if (!texts.ok) return notSent(texts.error.detail);
    request = { ...request, headers: { ...request.headers, authorization: basicOf(deps.credentials, texts.value) } };
  }
  const sent = await deps.transport(request);
  return tokenOf(
    sent,
    deps,
    (content) => ({ token: valuesAt(content, auth.token)[0], expiresSeconds: auth.expiresSeconds }),
    auth.request.answer === "xml" ? "xml" : "json",
  );
};

const tokenOf = (
  sent: Result<HttpCallAnswer, HttpCallFailure>,
  { clock }: Deps,
  pick: (content: unknown) => { readonly token: unknown; readonly expiresSeconds: number },
  format: "json" | "xml" = "json",
): Result<FetchedToken, TokenFailure> => {
  if (!sent.ok) return notSent(`no access token: ${sent.error.detail}`);
  const { status, headers } = sent.value;
  if (status === 429 || status >= 500 || status < 200) {
    const waitMs = retryAfterMs(headers, clock.nowMs());
    return err({
      kind: "unsent",
      detail: `no access token: HTTP ${status}`,
      ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
    });
  }
  // Nothing of the answer is repeated: it may hold what it was asked with.
  if (status >= 300) return err({ kind: "refused", detail: `no access token: HTTP ${status}; check the credentials` });
  const answer = readAnswer(sent.value, format);
  if (!answer.ok) return notSent(`no access token: ${answer.error}`);
  const { token, expiresSeconds } = pick(answer.value.content);
  if (typeof token !== "string" || token === "")
    return err({ kind: "refused", detail: "the login answers without a token" });
  return ok({ token, expiresSeconds });
};

/** AWS Signature Version 4, by AWS's own pieces. */
const sign = async (
  request: BoundRequest,
  auth: Auth & { kind: "sigv4" },
  { credentials, clock }: Deps,
): Promise<Result<Authenticated, TokenFailure>> => {
  const bindings = credentials.bindings();
  if (!bindings.ok) return notSent(bindings.error.detail);
  const { sessionToken: session } = auth;
  // Long-lived keys have none.
  const hasSession = session !== undefined && !(session.kind === "reference" && !bindings.value.has(session.path));
  const values = [auth.service, auth.region, auth.accessKey, auth.secretKey, ...(hasSession ? [session] : [])];
  const texts = credentials.texts(values);
  if (!texts.ok) return notSent(texts.error.detail);
  const [service = "", region = "", accessKeyId = "", secretAccessKey = "", sessionToken] = texts.value;
  const signer = new SignatureV4({
    service,
    region,
    sha256: Sha256,
    // The signature covers the body; only S3 wants its hash in a header as well.
    applyChecksum: service === "s3",
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
  });
  const url = new URL(request.url);
  const query: Record<string, string | string[]> = {};
  for (const name of new Set(url.searchParams.keys())) query[name] = url.searchParams.getAll(name);
  const signed = await signer.sign(
    {
      method: request.method,
      protocol: url.protocol,
      hostname: url.hostname,
      ...(url.port === "" ? {} : { port: Number(url.port) }),
      path: url.pathname,
      query,
      headers: { ...request.headers, host: url.host },
      ...(request.body === undefined ? {} : { body: request.body }),
    },
    { signingDate: new Date(clock.nowMs()) },
  );
  // The connection says the host by itself, from the same URL.
  const { host: _host, ...headers } = signed.headers;
  return ok({ request: { ...request, headers } });
};
