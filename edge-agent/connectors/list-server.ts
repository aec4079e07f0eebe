import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Snapshot } from "./list-file.ts";

export type ListServerOptions = {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** PEM. Without it the server speaks plain HTTP, and then only on a loopback address. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** What a firewall must show; either is enough when both are set. */
  readonly bearerToken?: string;
  readonly basic?: { readonly user: string; readonly password: string };
};

export type ListServer = {
  readonly url: string;
  readonly polls: () => number;
  readonly close: () => Promise<void>;
};

/** Serves lists for firewalls to poll, with a strong ETag so that an unchanged list costs them nothing. */
export const startListServer = async (
  options: ListServerOptions,
  lists: ReadonlyMap<string, () => Snapshot>,
): Promise<Result<ListServer, Refusal>> => {
  if (options.tls === undefined && !isLoopback(options.host)) {
    return err(
      refusal(
        "connector-refused",
        `the list server will not speak plain HTTP on ${options.host}: give a certificate and key, or bind to 127.0.0.1`,
      ),
    );
  }
  let polls = 0;
  const answer: RequestListener = (request, response) => {
    const list = lists.get((request.url ?? "").split("?")[0] ?? "");
    if (!isAllowed(request, options)) {
      response.writeHead(401, { "www-authenticate": options.basic ? 'Basic realm="lists"' : "Bearer" }).end();
      return;
    }
    if (list === undefined) return void response.writeHead(404).end();
    if (request.method !== "GET" && request.method !== "HEAD")
      return void response.writeHead(405, { allow: "GET, HEAD" }).end();
    polls += 1;
    const { text, etag, modifiedMs } = list();
    const headers = { etag, "last-modified": new Date(modifiedMs).toUTCString(), "cache-control": "no-cache" };
    if (matches(request.headers["if-none-match"], etag)) return void response.writeHead(304, headers).end();
    const body = Buffer.from(text);
    response.writeHead(200, { ...headers, "content-type": "text/plain; charset=utf-8", "content-length": body.length });
    response.end(request.method === "HEAD" ? undefined : body);
  };

  try {
    const server = options.tls
      ? createTlsServer({ cert: options.tls.certificate, key: options.tls.key, minVersion: "TLSv1.2" }, answer)
      : createServer(answer);
    // A poller that never finishes its request must not hold a socket for ever.
    server.requestTimeout = 10_000;
    server.headersTimeout = 5_000;
    server.maxConnections = 256;
    const port = await listen(server, options);
    const host = options.host.includes(":") ? `[${options.host}]` : options.host;
    return ok({
      url: `${options.tls ? "https" : "http"}://${host}:${port}`,
      polls: () => polls,
      close: () => close(server),
    });
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    return err(
      refusal("connector-refused", `the list server cannot listen on ${options.host}:${options.port}: ${detail}`),
    );
  }
};

const isLoopback = (host: string): boolean =>
  host === "::1" || host === "localhost" || /^127\.\d+\.\d+\.\d+$/.test(host);

const matches = (ifNoneMatch = "", etag: string): boolean =>
  ifNoneMatch.split(",").some((one) => one.trim() === "*" || one.trim().replace(/^W\//, "") === etag);

const isAllowed = (request: IncomingMessage, { bearerToken, basic }: ListServerOptions): boolean => {
  if (bearerToken === undefined && basic === undefined) return true;
  const shown = request.headers.authorization ?? "";
  const accepted = [
    ...(bearerToken === undefined ? [] : [`Bearer ${bearerToken}`]),
    ...(basic === undefined ? [] : [`Basic ${Buffer.from(`${basic.user}:${basic.password}`).toString("base64")}`]),
  ];
  return accepted.some((secret) => isSame(shown, secret));
};

/** Digests are compared, so that neither length nor time tells anything about the secret. */
const isSame = (one: string, other: string): boolean => timingSafeEqual(digest(one), digest(other));
const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

const listen = (server: Server, { host, port }: ListServerOptions): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });

const close = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
