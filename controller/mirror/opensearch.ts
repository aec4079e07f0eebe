import { readFileSync } from "node:fs";
import { Client, type ClientOptions, errors } from "@opensearch-project/opensearch";
import { type Refusal, type RefusalCode, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { SiemDocument } from "./documents.ts";
import type { Fate, Siem } from "./siem-port.ts";
import { indexTemplates, retentionPolicy } from "./templates.ts";

/** Where the SIEM is and who we are there. Secrets stay in files: they are read for each connection, so they can be rotated. */
export type OpenSearchOptions = {
  /** `https://…`; plain `http://` on loopback only. */
  readonly url: string;
  readonly caFile?: string | undefined;
  /** A bearer token, or a whole `ApiKey …` header value. */
  readonly tokenFile?: string | undefined;
  readonly user?: string | undefined;
  readonly passwordFile?: string | undefined;
};

const answerMsMax = 30_000;
/** How long a document may wait in the SIEM for its shard to come up; then it is turned away, not lost in a time-out of ours. */
const shardWait = "10s";

/**
 * OpenSearch, or what speaks its bulk interface. Documents are created, never replaced: a data stream takes nothing else, and
 * the same id again answers 409. The library's own retries and sniffing are off: the mirror decides when to try again.
 */
export const createOpenSearch = (options: OpenSearchOptions): Siem => {
  checkUrl(options.url);
  let client: Client | undefined;
  const open = (): Client => {
    client ??= new Client(clientOptions(options));
    return client;
  };
  /** What is left of a failed connection, and a secret that was rotated, must not outlive the failure. */
  const discard = async (): Promise<void> => {
    const old = client;
    client = undefined;
    await old?.close().catch(() => undefined);
  };

  const ask = async <T>(call: (open: Client) => Promise<{ readonly body: T }>): Promise<Result<T, Refused>> => {
    try {
      return ok((await call(open())).body);
    } catch (error) {
      const refused = refusedBy(error);
      if (refused.status === undefined || refused.status === 401) await discard();
      return err(refused);
    }
  };

  const putTemplate = (name: string, body: object): Promise<Result<unknown, Refused>> =>
    ask((open) => open.transport.request({ method: "PUT", path: `/_index_template/${name}`, body }));

  const versionOf = async (name: string): Promise<Result<number, Refused>> => {
    const found = await ask<unknown>((open) =>
      open.transport.request({ method: "GET", path: `/_index_template/${name}` }),
    );
    if (found.ok) return ok(installedVersion(found.value));
    return found.error.status === 404 ? ok(0) : found;
  };

  return {
    prepare: async () => {
      for (const [name, template] of Object.entries(indexTemplates)) {
        const version = await versionOf(name);
        // Who may not even look at templates has an administrator who put them there.
        if (!version.ok && version.error.status === 403) continue;
        if (!version.ok) return version;
        if (version.value >= template.version) continue;
        const put = await putTemplate(name, template);
        if (put.ok || version.value > 0) continue;
        const how = "ask an administrator for controller/mirror/templates, or run: reflexctl siem install-templates";
        return err({ ...put.error, detail: `index template ${name} is missing: ${put.error.detail}; ${how}` });
      }
      return ok(undefined);
    },

    held: async (stream, ids) => {
      const refreshed = await ask((open) => open.indices.refresh({ index: stream, ignore_unavailable: true }));
      if (!refreshed.ok && refreshed.error.status === 404) return ok(new Set());
      if (!refreshed.ok) return refreshed;
      const found = await ask<unknown>((open) =>
        open.transport.request({
          method: "POST",
          path: `/${encodeURIComponent(stream)}/_search`,
          // Half an answer would call what is there missing.
          querystring: { ignore_unavailable: true, allow_partial_search_results: false },
          body: { size: ids.length, _source: false, query: { ids: { values: ids } } },
        }),
      );
      return found.ok ? ok(idsOf(found.value)) : found;
    },

    create: async (documents) => {
      const body = documents.map(({ stream, id, text }) => `${actionLine(stream, id)}\n${text}\n`).join("");
      const answer = await ask<unknown>((open) =>
        open.transport.request({ method: "POST", path: "/_bulk", querystring: { timeout: shardWait }, bulkBody: body }),
      );
      if (!answer.ok) return answer;
      const fates = fatesOf(answer.value, documents);
      return fates === undefined ? err(refusal("unreachable", "the answer to _bulk names other documents")) : ok(fates);
    },

    install: async () => {
      const lines: string[] = [];
      for (const [name, template] of Object.entries(indexTemplates)) {
        const put = await putTemplate(name, template);
        if (!put.ok) return put;
        lines.push(`index template ${name}, version ${template.version}: installed`);
      }
      const policy = await ask((open) =>
        open.transport.request({
          method: "PUT",
          path: `/_plugins/_ism/policies/${retentionPolicy.name}`,
          body: retentionPolicy.body,
        }),
      );
      const fate = policy.ok ? "installed" : policy.error.status === 409 ? "there already" : policy.error.detail;
      lines.push(`retention policy ${retentionPolicy.name}: ${fate}`);
      return ok(lines);
    },
    close: discard,
  };
};

const isLoopback = (host: string): boolean => host === "localhost" || host === "127.0.0.1" || host === "[::1]";

const checkUrl = (text: string): void => {
  const url = new URL(text);
  const isPlain = url.protocol === "http:";
  if (url.username !== "" || url.password !== "")
    throw new Error("--siem-url holds no credentials: use --siem-token-file, or --siem-user with --siem-password-file");
  if (url.protocol !== "https:" && !(isPlain && isLoopback(url.hostname)))
    throw new Error(`--siem-url is https: (http: on loopback only); got ${url.protocol}//${url.hostname}`);
};

const clientOptions = ({ url, caFile, tokenFile, user, passwordFile }: OpenSearchOptions): ClientOptions => {
  const token = tokenFile === undefined ? undefined : secretIn(tokenFile);
  const login = user === undefined || passwordFile === undefined ? undefined : `${user}:${secretIn(passwordFile)}`;
  const authorization =
    token !== undefined
      ? token.includes(" ")
        ? token
        : `Bearer ${token}`
      : login !== undefined
        ? `Basic ${Buffer.from(login).toString("base64")}`
        : undefined;
  return {
    node: url,
    maxRetries: 0,
    requestTimeout: answerMsMax,
    sniffOnStart: false,
    sniffOnConnectionFault: false,
    ...(url.startsWith("https:")
      ? { ssl: { minVersion: "TLSv1.2", ...(caFile === undefined ? {} : { ca: readFileSync(caFile, "utf8") }) } }
      : {}),
    ...(authorization === undefined ? {} : { headers: { authorization } }),
  };
};

const secretIn = (file: string): string => readFileSync(file, "utf8").trim();

type Refused = Refusal & { readonly status?: number };

const refusedBy = (error: unknown): Refused => {
  if (error instanceof errors.ResponseError) {
    const status = error.statusCode ?? 0;
    return { ...refusal(codes[status] ?? "unreachable", `${status}: ${shortOf(error)}`), status };
  }
  return refusal("unreachable", shortOf(error));
};
const codes: Readonly<Record<number, RefusalCode>> = { 401: "unauthorised", 403: "unauthorised", 413: "too-large" };
const shortOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 300);

const actionLine = (stream: string, id: string): string => JSON.stringify({ create: { _index: stream, _id: id } });

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const member = (value: unknown, name: string): unknown => (isObject(value) ? value[name] : undefined);
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

const installedVersion = (answer: unknown): number => {
  const version = member(member(listOf(member(answer, "index_templates"))[0], "index_template"), "version");
  return typeof version === "number" ? version : 0;
};

const idsOf = (answer: unknown): ReadonlySet<string> =>
  new Set(listOf(member(member(answer, "hits"), "hits")).map((hit) => String(member(hit, "_id"))));

/** In the order of the request, so says the interface; an answer that names others is not believed. */
const fatesOf = (answer: unknown, documents: readonly SiemDocument[]): readonly Fate[] | undefined => {
  const items = listOf(member(answer, "items")).map((item) => member(item, "create"));
  const isOurs = items.every((item, at) => member(item, "_id") === documents[at]?.id);
  return items.length === documents.length && isOurs ? items.map(fateOf) : undefined;
};

const fateOf = (item: unknown): Fate => {
  const status = Number(member(item, "status"));
  // 409: it is there already.
  if ((status >= 200 && status < 300) || status === 409) return { kind: "stored" };
  const error = member(item, "error");
  const cause = member(member(error, "caused_by"), "reason");
  const detail = [status, member(error, "type"), member(error, "reason"), cause]
    .filter((part) => part !== undefined)
    .join(": ")
    .slice(0, 500);
  return { kind: status === 400 || status === 413 ? "refused" : "later", detail };
};
