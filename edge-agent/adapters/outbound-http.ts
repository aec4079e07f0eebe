import { type Agent, Agent as HttpAgent, type IncomingMessage, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import { connect as connectTcp, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { HttpCall, HttpCallAnswer, HttpCallFailure, HttpCalls } from "../connectors/http-call.ts";
import { isLoopback } from "./https-client.ts";

export type OutboundTls = {
  /** PEM, trusted besides the public authorities. */
  readonly ca?: string;
  /** PEM, shown to target systems that ask for a certificate. */
  readonly cert?: string;
  readonly key?: string;
};

/** The executor asks at most this many calls of one connector at once. */
const socketsMax = 32;
/** Idle connections are closed before most servers would close them: a request on a dying connection is an unknown outcome. */
const idleMsMax = 4_000;
/** A connection that is not made by then is not made. */
const connectMsMax = 10_000;

/**
 * Calls to target systems over kept connections. A request is written only once its connection stands and the
 * certificate was found good, so whatever fails before that has provably sent nothing. Checking cannot be turned off.
 */
export const createHttpCalls = (tls: OutboundTls = {}): HttpCalls => {
  const agents = { "https:": tlsAgent(tls), "http:": plainAgent() };
  return {
    request: (call) => requestOnce(call, agents),
    close: () => {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
};

type Made = (error: Error | null, socket?: Duplex) => void;
type ConnectOptions = {
  readonly host?: string | null;
  readonly port?: number | string | null;
  readonly servername?: string;
};

const agentOptions = {
  keepAlive: true,
  maxSockets: socketsMax,
  maxFreeSockets: socketsMax,
  timeout: idleMsMax,
  scheduling: "lifo",
} as const;

const tlsAgent = (tls: OutboundTls): Agent => {
  let context: SecureContext | undefined;
  return connectingFirst(new HttpsAgent(agentOptions), "secureConnect", ({ host, port, servername }) => {
    context ??= contextOf(tls);
    return connectTls({
      secureContext: context,
      rejectUnauthorized: true,
      ALPNProtocols: ["http/1.1"],
      host: host ?? "localhost",
      port: Number(port ?? 443),
      ...(servername === undefined || servername === "" ? {} : { servername }),
    });
  });
};

/** Connectors of one agent trust a handful of authorities. */
const contextsMax = 16;
const contexts = new Map<string, SecureContext>();

/**
 * Reading all public authorities takes 20 ms of processor time, so it is done once and not for each connection. Connectors that
 * trust the same share what was read; a client's key is shared with nobody.
 */
const contextOf = ({ ca, cert, key }: OutboundTls): SecureContext => {
  const trusted = {
    minVersion: "TLSv1.2",
    ...(ca === undefined ? {} : { ca: [...getCACertificates("default"), ca] }),
  } as const;
  if (cert !== undefined && key !== undefined) return createSecureContext({ ...trusted, cert, key });
  const known = contexts.get(ca ?? "");
  if (known !== undefined) return known;
  const made = createSecureContext(trusted);
  if (contexts.size < contextsMax) contexts.set(ca ?? "", made);
  return made;
};

const plainAgent = (): Agent =>
  connectingFirst(new HttpAgent(agentOptions), "connect", ({ host, port }) =>
    connectTcp({ host: host ?? "localhost", port: Number(port ?? 80) }),
  );

/** Hands a socket to a request only when `readyEvent` came: until then nothing of the request can have been written. */
const connectingFirst = (
  agent: Agent,
  readyEvent: "connect" | "secureConnect",
  open: (options: ConnectOptions) => Socket,
): Agent => {
  const createConnection = (options: ConnectOptions, made: Made): undefined => {
    const socket = open(options);
    const fail = (error: Error): void => made(error);
    const late = setTimeout(() => socket.destroy(new Error("no connection in time")), connectMsMax);
    socket.once("error", fail);
    socket.once("close", () => clearTimeout(late));
    socket.once(readyEvent, () => {
      clearTimeout(late);
      socket.removeListener("error", fail);
      socket.setNoDelay(true);
      made(null, socket);
    });
  };
  return Object.assign(agent, { createConnection });
};

const requestOnce = (
  call: HttpCall,
  agents: Readonly<Record<"https:" | "http:", Agent>>,
): Promise<Result<HttpCallAnswer, HttpCallFailure>> => {
  const checked = checkedUrl(call);
  if (!checked.ok) return Promise.resolve(err({ kind: "unsent", detail: checked.error }));
  const url = checked.value;
  return new Promise((resolve) => {
    // A request has a socket only once it can be written to.
    let isSent = false;
    let late: NodeJS.Timeout | undefined;
    const settle = (result: Result<HttpCallAnswer, HttpCallFailure>): void => {
      clearTimeout(late);
      resolve(result);
    };
    const fail = (detail: string): void =>
      settle(err({ kind: isSent ? "unknown" : "unsent", detail: `${url.host}: ${detail}` }));
    try {
      const request = url.protocol === "https:" ? requestHttps : requestHttp;
      const sent = request(
        url,
        {
          method: call.method,
          headers: { "accept-encoding": "identity", ...call.headers, ...lengthOf(call.body) },
          agent: agents[url.protocol as "https:" | "http:"],
        },
        (response) => readAnswer(response, call.bytesMax, fail, (answer) => settle(ok(answer))),
      );
      sent.on("socket", () => {
        isSent = true;
      });
      sent.on("error", (error) => fail(sentenceOf(error)));
      sent.end(call.body);
      // A destroyed request is never given to a connection that comes too late. Node itself would tell only then.
      late = setTimeout(
        () => {
          fail("no answer in time");
          sent.destroy();
        },
        Math.max(1, call.deadlineMs),
      );
    } catch (error) {
      // Node refuses line breaks in headers and the like before anything is written; its words do not repeat the value.
      fail(sentenceOf(error));
    }
  });
};

/** Headers that would change whom we believe to talk to, or where one request ends. */
const ownHeaders = new Set(["host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"]);

const checkedUrl = ({ url: text, headers }: HttpCall): Result<URL, string> => {
  const url = URL.parse(text);
  if (url === null) return err("not a URL");
  if (url.username !== "" || url.password !== "") return err(`${url.host}: a URL may not hold a user or password`);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback(url.hostname))) {
    return err(`${url.protocol}//${url.host}: only https, or http on loopback`);
  }
  const forbidden = Object.keys(headers).find((name) => ownHeaders.has(name.toLowerCase()));
  return forbidden === undefined ? ok(url) : err(`${url.host}: the header ${forbidden} cannot be set`);
};

const lengthOf = (body: Uint8Array | string | undefined): Record<string, number> =>
  body === undefined ? {} : { "content-length": Buffer.byteLength(body) };

const readAnswer = (
  response: IncomingMessage,
  bytesMax: number,
  fail: (detail: string) => void,
  done: (answer: HttpCallAnswer) => void,
): void => {
  const chunks: Buffer[] = [];
  let length = 0;
  response.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length <= bytesMax) return void chunks.push(chunk);
    fail(`the answer is longer than ${bytesMax} bytes`);
    response.destroy();
  });
  response.on("error", (error) => fail(sentenceOf(error)));
  response.on("close", () => {
    if (!response.complete) return fail("the answer broke off");
    done({ status: response.statusCode ?? 0, headers: headersOf(response), bytes: Buffer.concat(chunks) });
  });
};

const headersOf = ({ headers }: IncomingMessage): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : (value ?? "")]),
  );

const sentenceOf = (error: unknown): string => {
  if (!(error instanceof Error)) return "the call failed";
  // Several addresses were tried; each has its own reason.
  const [first] = error instanceof AggregateError ? (error.errors as readonly unknown[]) : [];
  return (first instanceof Error ? first : error).message.slice(0, 300) || "the connection failed";
};
