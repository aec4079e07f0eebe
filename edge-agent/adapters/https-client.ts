import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { HttpAnswer, HttpClient, HttpRequest } from "../link/http-port.ts";

/** A certificate chain is leaf, intermediate, root; a loop ends here. */
const chainMax = 5;

export const isLoopback = (hostname: string): boolean => ["localhost", "127.0.0.1", "[::1]", "::1"].includes(hostname);

/** Plain HTTP is for loopback alone: a webhook test or a controller on the same machine. */
export const requestOf = (url: URL): Result<typeof requestHttps, Refusal> => {
  if (url.protocol === "https:") return ok(requestHttps);
  if (url.protocol === "http:" && isLoopback(url.hostname)) return ok(requestHttp as typeof requestHttps);
  return err(refusal("unauthorised", `${url.protocol}//${url.host}: only https, or http on loopback`));
};

export const createHttpsClient = (): HttpClient => ({
  request: (asked) => requestBounded(asked),
  chainOf: (url, deadlineMs) => chainOf(new URL(url), deadlineMs),
});

const requestBounded = (asked: HttpRequest): Promise<Result<HttpAnswer, Refusal>> => {
  const url = new URL(asked.url);
  const request = requestOf(url);
  if (!request.ok) return Promise.resolve(request);
  return new Promise((resolve) => {
    const fail = (detail: string): void =>
      resolve(err(refusal("unreachable", `${asked.method} ${url.pathname}: ${detail}`)));
    const { ca, cert, key } = asked.tls;
    const sent = request.value(
      url,
      {
        method: asked.method,
        headers: { ...asked.headers, ...(asked.body === undefined ? {} : { "content-length": asked.body.length }) },
        ca,
        ...(cert === undefined || key === undefined ? {} : { cert, key }),
        agent: false,
        signal: AbortSignal.timeout(asked.deadlineMs),
      },
      (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on("data", (chunk: Buffer) => {
          length += chunk.length;
          chunks.push(chunk);
          if (length <= asked.bytesMax) return;
          resolve(err(refusal("too-large", `${url.pathname} answers with more than ${asked.bytesMax} bytes`)));
          response.destroy();
        });
        response.on("end", () => resolve(ok({ status: response.statusCode ?? 0, bytes: Buffer.concat(chunks) })));
        response.on("error", (error) => fail(error.message));
        response.on("aborted", () => fail("the connection broke"));
      },
    );
    sent.on("error", (error) => fail(error.message));
    sent.end(asked.body);
  });
};

const chainOf = (url: URL, deadlineMs: number): Promise<Result<readonly string[], Refusal>> =>
  new Promise((resolve) => {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const socket = connect(
      {
        host,
        port: Number(url.port || 443),
        rejectUnauthorized: false,
        timeout: deadlineMs,
        ...(isName(host) ? { servername: host } : {}),
      },
      () => {
        const pems: string[] = [];
        for (let at: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true); at?.raw !== undefined; ) {
          pems.push(pemOf(at.raw));
          at = at.issuerCertificate === at || pems.length >= chainMax ? undefined : at.issuerCertificate;
        }
        socket.destroy();
        resolve(ok(pems));
      },
    );
    const fail = (detail: string): void => {
      socket.destroy();
      resolve(err(refusal("unreachable", `${url.host}: ${detail}`)));
    };
    socket.on("timeout", () => fail("no answer in time"));
    socket.on("error", (error) => fail(error.message));
  });

const isName = (host: string): boolean => !/^[\d.]+$|:/.test(host);

const pemOf = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(der)
    .toString("base64")
    .replace(/.{64}(?=.)/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
