import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { type Bindings, bindText, bindValue, isScalar, textOf } from "./bind.ts";
import type { Body, Named, RequestTemplate } from "./manifest.ts";
import type { Json, Value } from "./value.ts";
import { bindXml } from "./xml-text.ts";

/** A request with everything bound, before it is authenticated. */
export type BoundRequest = {
  readonly method: string;
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
};

/** An answer is wanted, not an upload. */
const bodyLengthMax = 256 * 1024;
const urlLengthMax = 8 * 1024;

const unfit = (why: string): Result<never, Refusal> => err(refusal("target-unresolved", why));

/** `baseUrl` is an origin with perhaps a path, and no final slash. */
export const bindRequest = (
  template: RequestTemplate,
  bindings: Bindings,
  baseUrl: string,
  constantHeaders: Named = [],
): Result<BoundRequest, Refusal> => {
  const url = bindUrl(template, bindings, baseUrl);
  if (!url.ok) return url;
  const headers = bindHeaders([...constantHeaders, ...template.headers], bindings);
  if (!headers.ok) return headers;
  if (template.body === undefined) return ok({ method: template.method, url: url.value, headers: headers.value });
  const body = bindBody(template.body, bindings);
  if (!body.ok) return body;
  if (body.value.length > bodyLengthMax) return unfit(`the request would be longer than ${bodyLengthMax} characters`);
  return ok({
    method: template.method,
    url: url.value,
    headers: { "content-type": contentTypes[template.body.kind], ...headers.value },
    body: body.value,
  });
};

const contentTypes = {
  json: "application/json",
  ndjson: "application/x-ndjson",
  form: "application/x-www-form-urlencoded",
  xml: "application/xml; charset=utf-8",
} as const satisfies Record<Body["kind"], string>;

/** Unreserved characters alone stay; what a text holds can end neither its segment nor its parameter. */
export const encodeText = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

type UrlParts = Pick<RequestTemplate, "path" | "query" | "base">;

export const bindUrl = (
  { base, path, query }: UrlParts,
  bindings: Bindings,
  baseUrl: string,
): Result<string, Refusal> => {
  const origin = base === undefined ? ok(baseUrl) : bindText(base, bindings);
  if (!origin.ok) return origin;
  const segments: string[] = [];
  for (const [index, segment] of path.entries()) {
    const text = bindText(segment, bindings);
    if (!text.ok) return text;
    const isFinalSlash = text.value === "" && index === path.length - 1 && segment.kind === "literal";
    // Dots would climb out of the path, however they are encoded.
    if (!isFinalSlash && (text.value === "" || text.value === "." || text.value === "..")) {
      return unfit("the value cannot be one segment of a path");
    }
    segments.push(encodeText(text.value));
  }
  const parameters = bindParameters(query, bindings);
  if (!parameters.ok) return parameters;
  const url = `${origin.value.replace(/\/$/, "")}/${segments.join("/")}${parameters.value === "" ? "" : `?${parameters.value}`}`;
  const read = URL.parse(url);
  // A reader of URLs that finds another request in it than we wrote must not be asked.
  if (read === null || read.href !== url) return unfit("the value does not fit into a URL");
  return url.length > urlLengthMax ? unfit(`the URL would be longer than ${urlLengthMax} characters`) : ok(url);
};

/** `a=1&b=2`; a list gives its name several times, `numbered` gives `a.1=…&a.2=…`. */
const bindParameters = (named: Named, bindings: Bindings): Result<string, Refusal> => {
  const pairs: string[] = [];
  for (const [name, value] of named) {
    const texts = bindTexts(value, bindings);
    if (!texts.ok) return texts;
    for (const [index, text] of texts.value.entries()) {
      if (!text.isWellFormed()) return unfit("the text is not legal Unicode");
      pairs.push(`${encodeText(value.kind === "numbered" ? `${name}.${index + 1}` : name)}=${encodeText(text)}`);
    }
  }
  return ok(pairs.join("&"));
};

const bindTexts = (value: Value, bindings: Bindings): Result<readonly string[], Refusal> => {
  if (value.kind === "xml") {
    const text = bindXml(value.tree, bindings);
    return text.ok ? ok([text.value]) : text;
  }
  const bound = bindValue(value, bindings);
  if (!bound.ok) return bound;
  const items: readonly Json[] = Array.isArray(bound.value) ? bound.value : [bound.value];
  const texts: string[] = [];
  for (const item of items) {
    if (!isScalar(item)) return unfit("a block stands where a text is needed");
    texts.push(textOf(item));
  }
  return ok(texts);
};

/** Visible ASCII: what two readers of a header could take for different things is refused. */
const headerText = /^[\x20-\x7e]*$/;

const bindHeaders = (named: Named, bindings: Bindings): Result<Record<string, string>, Refusal> => {
  const headers: Record<string, string> = {};
  for (const [name, value] of named) {
    const text = bindText(value, bindings);
    if (!text.ok) return text;
    if (!headerText.test(text.value)) return unfit(`the value does not fit into the header ${name}`);
    headers[name] = text.value;
  }
  return ok(headers);
};

const bindBody = (body: Body, bindings: Bindings): Result<string, Refusal> => {
  switch (body.kind) {
    case "json": {
      const bound = bindValue(body.value, bindings);
      return bound.ok ? ok(JSON.stringify(bound.value)) : bound;
    }
    case "ndjson": {
      const bound = bindValue(body.value, bindings);
      if (!bound.ok) return bound;
      const documents: readonly Json[] = Array.isArray(bound.value) ? bound.value : [bound.value];
      return ok(documents.map((document) => `${JSON.stringify(document)}\n`).join(""));
    }
    case "form":
      return bindParameters(body.fields, bindings);
    case "xml": {
      const text = bindXml(body.tree, bindings);
      return text.ok ? ok(`<?xml version="1.0" encoding="UTF-8"?>${text.value}`) : text;
    }
  }
};
