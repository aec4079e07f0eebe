import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";

/**
 * OpenSearch as far as the mirror uses it, after its public documents (docs.opensearch.org: api-reference/document-apis/bulk,
 * im-plugin/data-streams, api-reference/index-apis/create-index-template, query-dsl/term/ids) and its answers of version 2.19.1:
 * data streams take `create` alone, an id is unique within one backing index only, and a rollover begins another.
 */
export type FakeSiem = {
  readonly url: () => string;
  /** Every document of a stream, in all its backing indices, as often as it is there. */
  readonly documents: (stream: string) => readonly StoredDocument[];
  readonly templates: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  readonly requests: readonly string[];
  /** Who asked, newest last: the Authorization header of each request. */
  readonly credentials: readonly string[];
  /** Credentials that are taken; undefined takes any. */
  takes: string | undefined;
  readonly rollOver: (stream: string) => void;
  /** What becomes of the next requests to `_bulk`, one each; then they are taken. */
  readonly faults: Fault[];
  /** Called when documents are stored and nobody was answered yet. */
  onStored: () => void;
  /** Documents that the mappings of this SIEM do not take. */
  refuses: (source: Readonly<Record<string, unknown>>) => boolean;
  readonly stop: () => Promise<void>;
  readonly start: () => Promise<void>;
};
export type StoredDocument = { readonly id: string; readonly source: Readonly<Record<string, unknown>> };
export type Fault =
  | "503"
  | "401"
  | "reset before"
  /** Stored, and the connection breaks before the answer. */
  | "reset after"
  /** Stored, and nobody ever answers. */
  | "no answer after"
  /** Every second document is turned away as too many. */
  | "busy items"
  | "413";

type Backing = Map<string, Readonly<Record<string, unknown>>>;

export const createFakeSiem = (tls?: { readonly cert: string; readonly key: string }): FakeSiem => {
  const streams = new Map<string, Backing[]>();
  const templates = new Map<string, Readonly<Record<string, unknown>>>();
  const requests: string[] = [];
  const credentials: string[] = [];
  const faults: Fault[] = [];
  let server: Server | undefined;
  let port = 0;

  const indicesOf = (stream: string): Backing[] => {
    const found = streams.get(stream) ?? [new Map()];
    streams.set(stream, found);
    return found;
  };

  const create = (action: Json, source: Json, isBusy: boolean): Json => {
    const { _index: stream, _id: id } = action["create"] as { _index: string; _id: string };
    const indices = indicesOf(stream);
    const index = `.ds-${stream}-${String(indices.length).padStart(6, "0")}`;
    const refused = (status: number, type: string, reason: string): Json => ({
      create: { _index: index, _id: id, status, error: { type, reason } },
    });
    if (isBusy) return refused(429, "rejected_execution_exception", "rejected execution of coordinating operation");
    if (fake.refuses(source)) return refused(400, "mapper_parsing_exception", "failed to parse field [event.code]");
    const newest = indices.at(-1) as Backing;
    if (newest.has(id))
      return refused(409, "version_conflict_engine_exception", `[${id}]: version conflict, document already exists`);
    newest.set(id, source);
    return { create: { _index: index, _id: id, _version: 1, result: "created", status: 201 } };
  };

  const bulk = (text: string): Reply => {
    const fault = faults.shift();
    if (fault === "503" || fault === "401" || fault === "413")
      return { status: Number(fault), body: { error: { type: "fault", reason: "fault" }, status: Number(fault) } };
    if (fault === "reset before") return "reset";
    const lines = text.trimEnd().split("\n");
    const items: Json[] = [];
    for (let at = 0; at < lines.length; at += 2) {
      const [action, source] = lines.slice(at, at + 2).map((line) => JSON.parse(line) as Json);
      items.push(create(action ?? {}, source ?? {}, fault === "busy items" && items.length % 2 === 1));
    }
    fake.onStored();
    if (fault === "reset after") return "reset";
    if (fault === "no answer after") return "silence";
    return { status: 200, body: { took: 1, errors: items.some((item) => "error" in (item["create"] as Json)), items } };
  };

  const search = (stream: string, text: string): Reply => {
    const { query } = JSON.parse(text) as { query: { ids: { values: string[] } } };
    const hits = indicesOf(stream).flatMap((index) =>
      query.ids.values.filter((id) => index.has(id)).map((id) => ({ _index: stream, _id: id })),
    );
    return { status: 200, body: { hits: { total: { value: hits.length }, hits } } };
  };

  const putTemplate = (name: string, text: string): Reply => {
    templates.set(name, JSON.parse(text) as Json);
    return { status: 200, body: { acknowledged: true } };
  };
  const getTemplate = (name: string): Reply => {
    const template = templates.get(name);
    return template === undefined
      ? { status: 404, body: { error: { type: "resource_not_found_exception" }, status: 404 } }
      : { status: 200, body: { index_templates: [{ name, index_template: template }] } };
  };

  const answer = (method: string, pathname: string, text: string): Reply => {
    requests.push(`${method} ${pathname}`);
    const [, first = "", second = ""] = pathname.split("/").map(decodeURIComponent);
    if (pathname === "/_bulk") return bulk(text);
    if (first === "_index_template") return method === "PUT" ? putTemplate(second, text) : getTemplate(second);
    if (second === "_refresh") return { status: 200, body: { _shards: { failed: 0 } } };
    if (second === "_search") return search(first, text);
    return { status: 400, body: { error: `no handler found for uri [${pathname}] and method [${method}]` } };
  };

  const start = async (): Promise<void> => {
    const take = (request: IncomingMessage, response: ServerResponse): void => {
      const caller = request.headers.authorization ?? "";
      credentials.push(caller);
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const { pathname } = new URL(request.url ?? "/", "http://localhost");
        const isKnown = fake.takes === undefined || fake.takes === caller;
        const reply = !isKnown
          ? { status: 401, body: {} }
          : answer(request.method ?? "", pathname, Buffer.concat(parts).toString("utf8"));
        if (reply === "reset") request.socket.destroy();
        else if (reply !== "silence") send(response, reply);
      });
    };
    const made = tls === undefined ? createServer(take) : createTlsServer(tls, take);
    server = made;
    await new Promise<void>((done) => made.listen(port, tls === undefined ? "127.0.0.1" : "0.0.0.0", done));
    port = (made.address() as AddressInfo).port;
  };

  const fake: FakeSiem = {
    url: () => `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    documents: (stream) =>
      (streams.get(stream) ?? []).flatMap((index) => [...index].map(([id, source]) => ({ id, source }))),
    templates,
    requests,
    credentials,
    takes: undefined,
    faults,
    rollOver: (stream) => void indicesOf(stream).push(new Map()),
    onStored: () => undefined,
    refuses: () => false,
    start,
    stop: async () => {
      server?.closeAllConnections();
      await new Promise((done) => (server === undefined ? done(undefined) : server.close(done)));
    },
  };
  return fake;
};

type Json = Readonly<Record<string, unknown>>;

type Reply = { readonly status: number; readonly body: Json } | "reset" | "silence";

const send = (response: ServerResponse, { status, body }: Exclude<Reply, string>): void => {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
};
