import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { createTestAuthority, type TestAuthority } from "../../test/conformance/certificates.ts";
import type { HttpCall, HttpCalls } from "../connectors/http-call.ts";
import { createHttpCalls } from "./outbound-http.ts";

let authority: TestAuthority;
let certificates: Record<"good" | "wrong", Awaited<ReturnType<TestAuthority["issue"]>>>;
beforeAll(async () => {
  authority = await createTestAuthority();
  certificates = { good: await authority.issue(["localhost"]), wrong: await authority.issue(["elsewhere.example"]) };
});

const toClose: (() => void)[] = [];
afterEach(() => {
  for (const close of toClose.splice(0)) close();
});

const opened = (server: Server): Promise<number> => {
  toClose.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Promise((resolve) => server.listen(0, "localhost", () => resolve((server.address() as AddressInfo).port)));
};
const callsWith = (options: Parameters<typeof createHttpCalls>[0] = {}): HttpCalls => {
  const calls = createHttpCalls(options);
  toClose.push(calls.close);
  return calls;
};
const call = (url: string, more: Partial<HttpCall> = {}): HttpCall => ({
  method: "GET",
  url,
  headers: {},
  deadlineMs: 10_000,
  bytesMax: 1_000,
  ...more,
});
const kindOf = async (calls: HttpCalls, one: HttpCall): Promise<string> => {
  const sent = await calls.request(one);
  return sent.ok ? String(sent.value.status) : sent.error.kind;
};

describe("TLS is always checked", () => {
  const serve = (which: "good" | "wrong", listener: RequestListener = (_, response) => void response.end("ok")) =>
    opened(createTlsServer({ ...certificates[which] }, listener));

  test("a certificate of a private authority is good once it was added", async () => {
    const url = `https://localhost:${await serve("good")}/`;
    expect(await kindOf(callsWith({ ca: authority.caPem }), call(url))).toBe("200");
    expect(await kindOf(callsWith(), call(url))).toBe("unsent");
  });

  test("a certificate for another name is refused before anything is sent", async () => {
    let asked = 0;
    const url = `https://localhost:${await serve("wrong", (_, response) => {
      asked += 1;
      response.end();
    })}/`;
    const sent = await callsWith({ ca: authority.caPem }).request(call(url, { method: "POST", body: "block" }));
    expect(sent).toMatchObject({ ok: false, error: { kind: "unsent" } });
    expect(!sent.ok && sent.error.detail).toContain("elsewhere.example");
    expect(asked).toBe(0);
  });

  test("the environment cannot turn it off", async () => {
    const before = process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    try {
      const url = `https://localhost:${await serve("wrong")}/`;
      expect(await kindOf(callsWith({ ca: authority.caPem }), call(url))).toBe("unsent");
    } finally {
      if (before === undefined) delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
      else process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = before;
    }
  });

  test("older versions than 1.2 are not spoken", async () => {
    const server = createTlsServer({
      ...certificates.good,
      minVersion: "TLSv1",
      maxVersion: "TLSv1.1",
      ciphers: "ALL:@SECLEVEL=0",
    });
    const url = `https://localhost:${await opened(server)}/`;
    expect(await kindOf(callsWith({ ca: authority.caPem }), call(url))).toBe("unsent");
  });

  test("a client certificate is shown where one is asked for", async () => {
    const server = createTlsServer(
      { ...certificates.good, ca: authority.caPem, requestCert: true, rejectUnauthorized: true },
      (_, response) => void response.end(),
    );
    const url = `https://localhost:${await opened(server)}/`;
    expect(await kindOf(callsWith({ ca: authority.caPem, ...certificates.good }), call(url))).toBe("200");
    expect(await kindOf(callsWith({ ca: authority.caPem }), call(url))).not.toBe("200");
  });
});

describe("an unsent call is one of which provably no byte left", () => {
  test("nobody listens", async () => {
    const port = await opened(createServer());
    for (const close of toClose.splice(0)) close();
    expect(await kindOf(callsWith(), call(`http://localhost:${port}/`))).toBe("unsent");
  });

  test("no such name", async () => {
    expect(await kindOf(callsWith(), call("https://does-not-exist.invalid/"))).toBe("unsent");
  });

  test("plain HTTP elsewhere, credentials in the URL, headers that are the connection's own, no URL at all", async () => {
    const refused = [
      call("http://203.0.113.9/"),
      call("https://user:word@localhost/"),
      call("ftp://localhost/"),
      call("nowhere"),
      call("https://localhost/", { headers: { host: "elsewhere.example" } }),
      call("https://localhost/", { headers: { "Transfer-Encoding": "chunked" } }),
      call("https://localhost/", { headers: { "x-a": "1\r\nx-b: 2" } }),
    ];
    for (const one of refused) expect(await kindOf(callsWith(), one)).toBe("unsent");
  });

  test("a handshake that never ends leaves the call unsent at its deadline", async () => {
    const sockets: Socket[] = [];
    const silent = createTcpServer((socket) => void sockets.push(socket));
    toClose.push(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    await new Promise<void>((resolve) => silent.listen(0, "localhost", resolve));
    const url = `https://localhost:${(silent.address() as AddressInfo).port}/`;
    expect(await kindOf(callsWith(), call(url, { deadlineMs: 100 }))).toBe("unsent");
  });
});

test("a connection that comes after the deadline is not given the request", async () => {
  let asked = 0;
  const port = await opened(
    createTlsServer({ ...certificates.good }, (request, response) => {
      if (request.method === "POST") asked += 1;
      response.end();
    }),
  );
  // Holds back what the two say to each other until it is told to go on.
  const held: (() => void)[] = [];
  const gate = createTcpServer((near) => {
    held.push(() => {
      const far = connect(port, "localhost");
      near.pipe(far).pipe(near);
      toClose.push(() => far.destroy());
    });
    near.on("error", () => undefined);
    toClose.push(() => near.destroy());
  });
  toClose.push(() => gate.close());
  await new Promise<void>((resolve) => gate.listen(0, "localhost", resolve));
  const url = `https://localhost:${(gate.address() as AddressInfo).port}/`;
  const calls = callsWith({ ca: authority.caPem });
  expect(await kindOf(calls, call(url, { method: "POST", body: "block", deadlineMs: 50 }))).toBe("unsent");
  const next = calls.request(call(url));
  for (const goOn of held.splice(0)) goOn();
  // Whichever connection serves the second call, the first one is never said.
  while (
    held.length === 0 &&
    !(await Promise.race([next.then(() => true), new Promise((tick) => setTimeout(tick, 5, false))]))
  );
  for (const goOn of held.splice(0)) goOn();
  expect((await next).ok).toBe(true);
  expect(asked).toBe(0);
});

describe("after the first byte the outcome of a failed call is unknown", () => {
  const endings: Readonly<Record<string, RequestListener>> = {
    "reset before an answer": (request) => request.socket.resetAndDestroy(),
    "no answer in time": () => undefined,
    "the answer breaks off": (_, response) => {
      response.writeHead(200, { "content-length": "10" });
      response.write("half", () => response.destroy());
    },
    "the answer is too long": (_, response) => void response.end("x".repeat(5_000)),
    "the answer drips": (_, response) => {
      response.writeHead(200);
      response.write("x");
    },
    "the answer is no HTTP": (request) => void request.socket.end("SSH-2.0-nonsense\r\n\r\n"),
  };
  test.each(Object.entries(endings))("%s", async (_, listener) => {
    const url = `http://localhost:${await opened(createServer(listener))}/`;
    expect(await kindOf(callsWith(), call(url, { method: "POST", body: "block", deadlineMs: 1_500 }))).toBe("unknown");
  });
});

describe("an answer is what was said", () => {
  test("redirects are answers and are not followed", async () => {
    let asked = 0;
    const url = `http://localhost:${await opened(
      createServer((_, response) => {
        asked += 1;
        response.writeHead(307, { location: "/elsewhere" }).end();
      }),
    )}/`;
    expect(await kindOf(callsWith(), call(url))).toBe("307");
    expect(asked).toBe(1);
  });

  test("any bytes go there and come back unchanged, over connections that are kept", async () => {
    const ports = new Set<number | undefined>();
    const url = `http://localhost:${await opened(
      createServer((request, response) => {
        ports.add(request.socket.remotePort);
        response.setHeader("x-method", request.method ?? "");
        request.pipe(response);
      }),
    )}/`;
    const calls = callsWith();
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 1_000 }),
        fc.constantFrom("POST", "PUT", "DELETE"),
        async (body, method) => {
          runs += 1;
          const sent = await calls.request(call(url, { method, body, bytesMax: 1_000 }));
          return (
            sent.ok &&
            Buffer.from(sent.value.bytes).equals(Buffer.from(body)) &&
            sent.value.headers["x-method"] === method
          );
        },
      ),
      { numRuns: 100 },
    );
    expect(ports.size).toBeLessThan(runs);
  });
});
