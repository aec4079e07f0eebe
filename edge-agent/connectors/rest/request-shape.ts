import type { Problems } from "@reflex/policies/language/policy-error";
import type { Located } from "@reflex/policies/language/read-yaml";
import { block, integer, name, type Shape, text } from "@reflex/policies/language/shape";
import { callRequest } from "../grpc/call-shape.ts";
import { built, named, pointer } from "./clause-shape.ts";
import type { Body, Named, Pages, RequestTemplate } from "./manifest.ts";
import type { Value } from "./value.ts";
import { value, valueMap, xmlTree } from "./value-shape.ts";

export const answerFormats = ["json", "xml", "none"] as const;

/** A list of segments, each encoded on its own; an empty one at the end is a final slash. */
export const path: Shape<readonly Value[]> = {
  schema: { type: "array", minItems: 1, maxItems: 32 },
  read: (node, problems) => {
    if (node.kind === "scalar") {
      const segments = node.text
        .replace(/^https?:\/\/[^/]*/, "")
        .split("/")
        .filter((one) => one !== "");
      return problems.report(node.at, "a path is a list of segments", `write [${segments.join(", ")}]`);
    }
    if (node.kind !== "list" || node.items.length === 0)
      return problems.report(node.at, "a path is a list of segments", "write [api, v2, bans]");
    const segments = node.items.map((item, index) => readSegment(item, index === node.items.length - 1, problems));
    return segments.every((one) => one !== undefined) ? (segments as Value[]) : undefined;
  },
};

const readSegment = (node: Located, isLast: boolean, problems: Problems): Value | undefined => {
  const read = value.read(node, problems);
  if (read?.kind !== "literal") return read;
  const written = String(read.value);
  if (written === "" && isLast) return read;
  if (written === "" || written === "." || written === "..") {
    return problems.report(
      node.at,
      `${JSON.stringify(written)} is not a segment of a path`,
      'leave it out; "" at the end gives a final slash',
    );
  }
  if (/[/?#]/.test(written)) {
    const parts =
      written
        .split(/[?#]/)[0]
        ?.split("/")
        .filter((one) => one !== "") ?? [];
    return problems.report(
      node.at,
      `${JSON.stringify(written)} is more than one segment`,
      `write ${parts.join(", ")} as entries of their own${written.includes("?") ? ", and the rest as query" : ""}`,
    );
  }
  return read;
};

/** Who is spoken to, and where a request ends, is not for a manifest to say. */
const ownHeaders = ["host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"];
const headerName = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/;

export const headers: Shape<Named> = {
  schema: { type: "object" },
  read: (node, problems) => {
    const read = valueMap("headers").read(node, problems);
    if (read === undefined || node.kind !== "map") return undefined;
    for (const { key, keyAt } of node.entries) checkHeaderName(key, keyAt, problems);
    return read.map(([key, one]) => [key.toLowerCase(), one] as const);
  },
};

export const checkHeaderName = (key: string, at: Located["at"], problems: Problems): boolean => {
  const lower = key.toLowerCase();
  if (ownHeaders.includes(lower)) problems.report(at, `the header ${lower} follows from the request`, "remove it");
  else if (lower === "authorization")
    problems.report(at, "credentials are not written into requests", "write auth: at the top of the manifest");
  else if (!headerName.test(key))
    problems.report(at, `${JSON.stringify(key)} is not a name of a header`, "write letters, digits and -");
  else return true;
  return false;
};

const requestKeys = {
  method: {
    shape: name("a method", ["GET", "POST", "PUT", "PATCH", "DELETE"] as const, lowerCaseMethods()),
    about: "HTTP method",
    missing: "write method: GET",
  },
  base: { shape: value, about: "another origin: a setting with format: url, or https://host" },
  path: { shape: path, about: "list of segments below the base URL", missing: "write path: [api, v2, bans]" },
  query: { shape: valueMap("query"), about: "query parameters" },
  headers: { shape: headers, about: "headers of this request" },
  json: { shape: value, about: "body: JSON" },
  ndjson: { shape: value, about: "body: a list of JSON documents, one a line" },
  form: { shape: valueMap("form"), about: "body: urlencoded fields" },
  xml: { shape: xmlTree, about: "body: one XML element" },
  answer: {
    shape: name("a format of an answer", answerFormats),
    about: "json (default), xml, or none: the status says all",
  },
} as const;

function lowerCaseMethods(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    ["get", "post", "put", "patch", "delete"].map((one) => [one, `write ${one.toUpperCase()}`]),
  );
}

const requestHints = {
  url: "write path: [segment, …]; the origin is the site's base_url, or base: $settings.x",
  uri: "write path: [segment, …]",
  body: "write json:, form:, xml: or ndjson:",
  data: "write json: or form:",
  params: 'write "query"',
  token: "credentials stand in auth: at the top of the manifest",
} as const;

const requestBlock: Shape<RequestTemplate> = built(
  block("a request", requestKeys, requestHints),
  (read, node, problems) => {
    const bodies: Body[] = [
      ...(read.json === undefined ? [] : [{ kind: "json", value: read.json } as const]),
      ...(read.ndjson === undefined ? [] : [{ kind: "ndjson", value: read.ndjson } as const]),
      ...(read.form === undefined ? [] : [{ kind: "form", fields: read.form } as const]),
      ...(read.xml === undefined ? [] : [{ kind: "xml", tree: read.xml } as const]),
    ];
    const [body, other] = bodies;
    if (other !== undefined)
      problems.report(node.at, "a request has one body", `keep ${bodies.map(({ kind }) => kind).join(" or ")}`);
    if (body !== undefined && read.method === "GET")
      problems.report(node.at, "a GET request has no body", "write its values into query, or another method");
    if (read.method === undefined || read.path === undefined) return undefined;
    return {
      at: node.at,
      method: read.method,
      path: read.path,
      query: read.query ?? [],
      headers: read.headers ?? [],
      ...(read.base === undefined ? {} : { base: read.base }),
      ...(body === undefined ? {} : { body }),
      ...(read.answer === undefined ? {} : { answer: read.answer }),
    };
  },
);

/** Over HTTP, or a gRPC call. */
export const request = named<RequestTemplate>("request", {
  schema: { anyOf: [requestBlock.schema, callRequest.schema] },
  read: (node, problems) =>
    node.kind === "map" && node.entries.some(({ key }) => key === "call" || key === "message")
      ? callRequest.read(node, problems)
      : requestBlock.read(node, problems),
});

const parameter = text({ expected: "a name of a parameter", lengthMax: 128 });

const pagesKeys = {
  page: { shape: parameter, about: "query parameter with the number of the page" },
  from: { shape: integer("the first page", 0, 1), about: "number of the first page: 1 (default) or 0" },
  total: { shape: pointer, about: "pointer to the number of pages" },
  cursor: { shape: pointer, about: "pointer to what names the next page; missing, null or empty on the last" },
  query: { shape: parameter, about: "query parameter the cursor is sent in" },
  form: { shape: parameter, about: "form field the cursor is sent in" },
  next: { shape: pointer, about: "pointer to the URL of the next page" },
  link: { shape: name("link", ["true"] as const), about: "true: the next page is in the Link header" },
} as const;

/** How the rest of a list is read. */
export const pages: Shape<Pages> = built(block("pages", pagesKeys), (read, node, problems): Pages | undefined => {
  if (read.page !== undefined && read.total !== undefined)
    return { kind: "page", name: read.page, from: read.from ?? 1, total: read.total };
  if (read.cursor !== undefined && read.query !== undefined)
    return { kind: "cursor", pointer: read.cursor, place: "query", name: read.query };
  if (read.cursor !== undefined && read.form !== undefined)
    return { kind: "cursor", pointer: read.cursor, place: "form", name: read.form };
  if (read.next !== undefined) return { kind: "next", pointer: read.next };
  if (read.link !== undefined) return { kind: "link" };
  return problems.report(
    node.at,
    "this does not say how the next page is asked for",
    "write { page: page, total: /pages }, { cursor: /next, query: after }, { next: /next } or { link: true }",
  );
});
