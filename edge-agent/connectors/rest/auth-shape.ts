import type { Position, Problems } from "@reflex/policies/language/policy-error";
import type { Located } from "@reflex/policies/language/read-yaml";
import { block, integer, name, type Shape, text } from "@reflex/policies/language/shape";
import { writeInstead } from "@reflex/policies/language/suggest";
import { built, pointer } from "./clause-shape.ts";
import type { Auth } from "./manifest.ts";
import { path, request } from "./request-shape.ts";
import type { Value } from "./value.ts";
import { value } from "./value-shape.ts";

const headerText = text({ expected: "a name of a header", pattern: "^[A-Za-z0-9-]{1,64}$", lengthMax: 64 });
/** Not trimmed: `Bearer ` ends with its space. */
const prefix: Shape<string> = {
  schema: { type: "string", maxLength: 32 },
  read: (node, problems) =>
    node.kind === "scalar" && node.text.length <= 32
      ? node.text
      : problems.report(node.at, "a prefix is a short text", 'write prefix: "SSWS "'),
};

const headerBlock = built(
  block("a header with a secret", {
    name: { shape: headerText, about: "name of the header", missing: "write name: X-API-Key" },
    prefix: { shape: prefix, about: 'text before the secret, such as "SSWS "' },
    value: { shape: value, about: "the secret", missing: "write value: $secrets.x" },
  }),
  (read) =>
    read.name === undefined || read.value === undefined
      ? undefined
      : { name: read.name.toLowerCase(), prefix: read.prefix ?? "", value: read.value },
);

const basicBlock = built(
  block("basic", {
    user: { shape: value, about: "user name", missing: "write user: $settings.user or $secrets.user" },
    password: { shape: value, about: "password", missing: "write password: $secrets.password" },
  }),
  (read) =>
    read.user === undefined || read.password === undefined ? undefined : { user: read.user, password: read.password },
);

const tokenUrl = built(
  block("a token_url", {
    base: { shape: value, about: "another origin than base_url" },
    path: { shape: path, about: "segments", missing: "write path: [oauth2, token]" },
  }),
  (read) =>
    read.path === undefined ? undefined : { path: read.path, ...(read.base === undefined ? {} : { base: read.base }) },
);

const oauth2Block = built(
  block("oauth2", {
    token_url: {
      shape: tokenUrl,
      about: "where tokens are given",
      missing: "write token_url: { path: [oauth2, token] }",
    },
    client_id: { shape: value, about: "client id", missing: "write client_id: $settings.client_id" },
    client_secret: { shape: value, about: "client secret", missing: "write client_secret: $secrets.client_secret" },
    scope: { shape: value, about: "scope, where one is asked for" },
    audience: { shape: value, about: "audience, where one is asked for" },
    style: {
      shape: name("a style", ["body", "basic"] as const),
      about: "client id and secret in the body (default) or by basic authentication",
    },
  }),
  (read): Auth | undefined => {
    const { token_url: url, client_id: id, client_secret: secret } = read;
    if (url === undefined || id === undefined || secret === undefined) return undefined;
    const fields = (["scope", "audience"] as const).flatMap((key) =>
      read[key] === undefined ? [] : [[key, read[key]] as const],
    );
    return { kind: "oauth2", tokenUrl: url, clientId: id, clientSecret: secret, style: read.style ?? "body", fields };
  },
);

const loginBlock = built(
  block("login", {
    request: {
      shape: request,
      about: "the request that gives a token",
      missing: "write request: { method: POST, path: […] }",
    },
    basic: { shape: basicBlock, about: "credentials of the login request, by basic authentication" },
    token: { shape: pointer, about: "where the token stands in the answer", missing: "write token: /data/token" },
    expires_seconds: {
      shape: integer("a lifetime in seconds", 10, 86_400),
      about: "how long a token is good for",
      missing: "write expires_seconds: 900",
    },
    header: {
      shape: block("the header of a token", {
        name: { shape: headerText, about: "default Authorization" },
        prefix: { shape: prefix, about: 'default "Bearer "' },
      }),
      about: "the header the token is sent in",
    },
  }),
  (read): Auth | undefined =>
    read.request === undefined || read.token === undefined || read.expires_seconds === undefined
      ? undefined
      : {
          kind: "login",
          request: read.request,
          token: read.token,
          expiresSeconds: read.expires_seconds,
          header: {
            name: read.header?.name?.toLowerCase() ?? "authorization",
            prefix: read.header?.prefix ?? (read.header?.name === undefined ? "Bearer " : ""),
          },
          ...(read.basic === undefined ? {} : { basic: read.basic }),
        },
);

const sigv4Block = built(
  block("sigv4", {
    service: { shape: value, about: "AWS name of the service, such as ec2", missing: "write service: ec2" },
    region: { shape: value, about: "AWS region", missing: "write region: $settings.region" },
    access_key: { shape: value, about: "access key id", missing: "write access_key: $secrets.access_key" },
    secret_key: { shape: value, about: "secret access key", missing: "write secret_key: $secrets.secret_key" },
    session_token: { shape: value, about: "session token of temporary credentials" },
  }),
  (read): Auth | undefined => {
    const { service, region, access_key: accessKey, secret_key: secretKey, session_token: sessionToken } = read;
    if (service === undefined || region === undefined || accessKey === undefined || secretKey === undefined)
      return undefined;
    return {
      kind: "sigv4",
      service,
      region,
      accessKey,
      secretKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
    };
  },
);

const bearer: Shape<Auth> = built(
  value,
  (read: Value): Auth => ({
    kind: "header",
    headers: [{ name: "authorization", prefix: "Bearer ", value: read }],
  }),
);

const header: Shape<Auth> = {
  schema: { anyOf: [headerBlock.schema, { type: "array", items: headerBlock.schema, minItems: 1, maxItems: 4 }] },
  read: (node, problems) => {
    const read = (node.kind === "list" ? node.items : [node]).map((one) => headerBlock.read(one, problems));
    const headers = read.filter((one) => one !== undefined);
    return headers.length === read.length && headers.length > 0 ? { kind: "header", headers } : undefined;
  },
};

const basic: Shape<Auth> = built(basicBlock, (read): Auth => ({ kind: "basic", ...read }));

const kinds: Readonly<Record<string, Shape<Auth>>> = {
  bearer,
  header,
  basic,
  oauth2: oauth2Block,
  login: loginBlock,
  sigv4: sigv4Block,
};
const words = ["none", "client_certificate"] as const;

/** One way to show who is asking; a client certificate comes from the site's configuration and can be added to any. */
export const auth: Shape<Auth> = {
  schema: {
    anyOf: [
      { enum: words },
      ...Object.entries(kinds).map(([key, { schema }]) => ({
        type: "object",
        additionalProperties: false,
        required: [key],
        properties: { [key]: schema },
      })),
    ],
  },
  read: (node, problems) => {
    if (node.kind === "scalar") {
      const word = words.find((one) => one === node.text);
      return word === undefined ? reportKind(node.text, node.at, problems) : { kind: word };
    }
    const [entry, other] = node.kind === "map" ? node.entries : [];
    if (entry === undefined || other !== undefined)
      return reportKind(other?.key ?? "", other?.keyAt ?? node.at, problems);
    const shape = Object.hasOwn(kinds, entry.key) ? kinds[entry.key] : undefined;
    return shape === undefined ? reportKind(entry.key, entry.keyAt, problems) : readKind(shape, entry.value, problems);
  },
};

const readKind = (shape: Shape<Auth>, node: Located, problems: Problems): Auth | undefined =>
  shape.read(node, problems);

const reportKind = (written: string, at: Position, problems: Problems): undefined =>
  problems.report(
    at,
    `${JSON.stringify(written)} is not the one way to authenticate`,
    `${writeInstead(written, [...Object.keys(kinds), ...words])}, as in auth: { bearer: $secrets.api_token }`,
  );
