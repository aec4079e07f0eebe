import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { createTestAuthority, type TestAuthority } from "./certificates.ts";
import type { Fake, FakeAnswer, FakeRequest } from "./fake.ts";
import { type Fault, type FaultControl, type FaultName, faultNames, retryAfterSeconds } from "./subject.ts";

/** A fake, or a real server behind a handler that passes requests on: then faults can be put in front of that too. */
export type Handler = {
  readonly handle: (request: FakeRequest) => FakeAnswer | Promise<FakeAnswer>;
  /** How much has changed so far, to tell a call that had an effect from one that only read. */
  readonly changeCount: () => number | Promise<number>;
  readonly expireTokens?: () => void;
};

export type FakeServer = {
  /** `https://localhost:<port>`, without a slash at the end. */
  readonly url: string;
  /** PEM of the authority that signed its certificate. */
  readonly caPem: string;
  readonly faults: FaultControl;
  /** As they were answered, newest last: for the author of a connector who wonders. */
  readonly log: () => readonly string[];
  /** Passwords, keys and tokens it was shown so far: what may be found nowhere else. */
  readonly secrets: () => readonly string[];
  readonly close: () => Promise<void>;
};

export const handlerOf = (fake: Fake): Handler => ({
  handle: fake.handle,
  changeCount: () => fake.changes().length,
  ...(fake.expireTokens === undefined ? {} : { expireTokens: fake.expireTokens }),
});

const faultsOfChanges: ReadonlySet<FaultName> = new Set([
  "timeout after success",
  "partial answer",
  "5xx after handling",
]);
const bodyBytesMax = 4 * 1024 * 1024;
const dripEveryMs = 40;
/** For an author's eyes. */
const logLinesMax = 200;

let shared: Promise<{ authority: TestAuthority; good: Certificate; wrong: Certificate }> | undefined;
type Certificate = Awaited<ReturnType<TestAuthority["issue"]>>;
/** Making keys takes longer than a case does, so all servers of a process show the same ones. */
const certificates = () => {
  shared ??= createTestAuthority().then(async (authority) => ({
    authority,
    good: await authority.issue(["localhost", "127.0.0.1"]),
    wrong: await authority.issue(["elsewhere.example"]),
  }));
  return shared;
};

/** Puts a fake on a loopback socket with TLS and lets things go wrong there. */
export const startFakeServer = async (
  handler: Handler,
  { isTls = true }: { readonly isTls?: boolean } = {},
): Promise<FakeServer> => {
  const { authority, good, wrong } = await certificates();
  const sockets = new Set<Socket>();
  const hanging = new Set<Socket>();
  /** What each question was answered last, for reads that will be stale. */
  const lastAnswers = new Map<string, FakeAnswer>();
  const lines: string[] = [];
  const secrets = new Set<string>();
  let calls = 0;
  let fault: Fault | undefined;
  let befallen = 0;
  let passed = 0;
  let hasChangedSince = false;

  /** Whether it is this call's turn to go wrong; asked once for each call that the fault is for. */
  const strikes = (): boolean => {
    if (fault === undefined) return false;
    if (passed < (fault.skip ?? 0)) {
      passed += 1;
      return false;
    }
    if (befallen >= (fault.times ?? Number.POSITIVE_INFINITY)) return false;
    befallen += 1;
    return true;
  };

  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    calls += 1;
    const request = await readRequest(incoming);
    for (const secret of secretsIn(request)) secrets.add(secret);
    const note = (said: string): void => {
      const action = /(?:^|&)Action=\w+/.exec(request.text)?.[0] ?? "";
      lines.push(`${request.method} ${incoming.url ?? ""} ${action} -> ${said}`);
      if (lines.length > logLinesMax) lines.shift();
    };
    const name = fault?.name;
    const isForChanges = name !== undefined && faultsOfChanges.has(name);
    const isStruckFirst = name !== undefined && !isForChanges && name !== "stale read" && strikes();
    if (isStruckFirst && name === "reset before handling") {
      note("reset");
      return void incoming.socket.destroy();
    }
    if (isStruckFirst && (name === "429" || name === "5xx before handling")) {
      const answer = turnedAway(name, befallen, request);
      note(`${answer.status}, on purpose`);
      return send(response, answer);
    }
    const before = await handler.changeCount();
    const fresh = await handler.handle(request);
    const hasChanged = (await handler.changeCount()) !== before;
    if (hasChanged) hasChangedSince = true;
    const key = `${request.method} ${incoming.url ?? ""} ${request.text}`;
    const earlier = lastAnswers.get(key);
    if (name !== "stale read" || !hasChangedSince) lastAnswers.set(key, fresh);
    const isStruck =
      isStruckFirst ||
      (hasChanged && isForChanges && strikes()) ||
      (!hasChanged && hasChangedSince && earlier !== undefined && name === "stale read" && strikes());
    note(isStruck ? `${fresh.status}, but ${name}` : String(fresh.status));
    if (!isStruck) return send(response, fresh);
    switch (name) {
      case "timeout after success":
        return void hanging.add(incoming.socket);
      case "partial answer":
        return breakInTheMiddle(response, fresh);
      case "5xx after handling":
        return send(response, { status: befallen % 2 === 1 ? 500 : 502, text: "upstream trouble" });
      case "stale read":
        return send(response, earlier ?? fresh);
      case "slow body":
        // An answer without a body cannot drip: it is whole, and its connection is used again.
        if (fresh.status === 204) return send(response, fresh);
        hanging.add(incoming.socket);
        return drip(response, fresh);
      case "reset after handling":
        return void incoming.socket.destroy();
      default:
        return send(response, fresh);
    }
  };

  const listener = (incoming: IncomingMessage, response: ServerResponse): void => {
    serve(incoming, response).catch((cause: unknown) => {
      lines.push(`${incoming.method} ${incoming.url} -> broke: ${String(cause)}`);
      if (response.headersSent) incoming.socket.destroy();
      else send(response, { status: 599, text: `the fake broke: ${String(cause)}` });
    });
  };
  const tls = isTls ? createTlsServer({ ...good, ALPNProtocols: ["http/1.1"] }, listener) : undefined;
  const server = tls ?? createServer(listener);
  server.on(isTls ? "secureConnection" : "connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      hanging.delete(socket);
    });
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (which: Set<Socket>): void => {
    for (const socket of [...which]) socket.destroy();
  };

  return {
    url: `${isTls ? "https" : "http"}://localhost:${(server.address() as AddressInfo).port}`,
    caPem: authority.caPem,
    log: () => lines,
    secrets: () => [...secrets],
    faults: {
      can: faultNames.filter((one) => isTls || one !== "TLS name mismatch"),
      set: (next) => {
        fault = next;
        befallen = 0;
        passed = 0;
        hasChangedSince = false;
        if (next.name !== "TLS name mismatch") return;
        tls?.setSecureContext(wrong);
        cut(sockets);
      },
      clear: () => {
        if (fault?.name === "TLS name mismatch") {
          tls?.setSecureContext(good);
          cut(sockets);
        }
        fault = undefined;
        cut(hanging);
      },
      calls: () => calls,
      ...(handler.expireTokens === undefined ? {} : { expireTokens: handler.expireTokens }),
    },
    close: async () => {
      cut(sockets);
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
};

const readRequest = async (incoming: IncomingMessage): Promise<FakeRequest> => {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of incoming) {
    bytes += (part as Buffer).length;
    if (bytes > bodyBytesMax) throw new Error("the request is too long");
    parts.push(part as Buffer);
  }
  const url = new URL(incoming.url ?? "/", "https://fake");
  return {
    method: incoming.method ?? "GET",
    path: url.pathname,
    query: url.searchParams,
    headers: Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)])),
    text: Buffer.concat(parts).toString("utf8"),
  };
};

/** A server in trouble says more than it should: all that it was sent, in every place where errors are told. */
const turnedAway = (name: "429" | "5xx before handling", count: number, { headers }: FakeRequest): FakeAnswer => {
  if (name === "429") return { status: 429, headers: { "retry-after": String(retryAfterSeconds) }, text: "slow down" };
  const message = `upstream trouble with ${JSON.stringify(headers)}`;
  const json = {
    message,
    detail: message,
    errorSummary: message,
    error: { message, reason: message },
    errors: [{ message }],
  };
  return { status: count % 2 === 1 ? 500 : 503, json };
};

const secretHeaders = ["authorization", "cookie", "x-api-key", "x-auth-token", "x-pan-key"];
const secretField = /(?:"|^|&)\w*(?:password|secret|token)\w*"?\s*[:=]\s*"?([^"&\s]+)/gi;
/** Shorter ones are found everywhere by chance. */
const secretCharsMin = 8;

const secretsIn = ({ headers, text }: FakeRequest): string[] => {
  const shown = secretHeaders.map((name) => headers[name] ?? "").map((value) => value.replace(/^[A-Za-z0-9]+ /, ""));
  const basic = /^Basic (.+)$/.exec(headers["authorization"] ?? "")?.[1] ?? "";
  const password = Buffer.from(basic, "base64").toString("utf8").split(":").slice(1).join(":");
  const fields = [...text.matchAll(secretField)].map(([, value]) => decodeURIComponent(value ?? ""));
  return [...shown, password, ...fields].filter((value) => value.length >= secretCharsMin);
};

const bodyOf = ({ json, text }: FakeAnswer): string => (json === undefined ? (text ?? "") : JSON.stringify(json));
const headersOf = (answer: FakeAnswer): Record<string, string> => ({
  ...(answer.json === undefined ? {} : { "content-type": "application/json" }),
  ...answer.headers,
});

const send = (response: ServerResponse, answer: FakeAnswer): void => {
  response.writeHead(answer.status, headersOf(answer)).end(bodyOf(answer));
};

/** Says how long the answer is, sends less, and is gone. */
const breakInTheMiddle = (response: ServerResponse, answer: FakeAnswer): void => {
  const body = bodyOf(answer);
  response.writeHead(answer.status, { ...headersOf(answer), "content-length": String(Buffer.byteLength(body) + 64) });
  response.write(body.slice(0, Math.max(1, body.length >> 1)) || " ", () => response.socket?.destroy());
};

/** White space may go on for ever in front of most formats, and says nothing. */
const drip = (response: ServerResponse, answer: FakeAnswer): void => {
  response.writeHead(answer.status, headersOf(answer));
  response.flushHeaders();
  const timer = setInterval(() => response.write(" "), dripEveryMs);
  response.on("close", () => clearInterval(timer));
};
