import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { entityTypes } from "@reflex/protocol/entity";
import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { createTestAuthority, type TestAuthority } from "../../../test/conformance/certificates.ts";
import type { Connector, ConnectorCall } from "../contract.ts";
import { formatCef } from "./cef.ts";
import { syslogOptionsOf } from "./config.ts";
import { formatNotice } from "./notice.ts";
import { formatSyslog, frame } from "./rfc5424.ts";
import { createSyslog } from "./syslog.ts";

// A collector's side, written from the RFCs and the CEF standard: it knows nothing of how the messages were made.

/** RFC 6587 3.4.1: `length SP message`, any number of times. */
const readFrames = (bytes: Buffer): string[] => {
  const messages: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(bytes.toString("latin1", at, space));
    if (!Number.isInteger(length) || length < 1) throw new Error("not a frame");
    messages.push(bytes.toString("utf8", space + 1, space + 1 + length));
    at = space + 1 + length;
  }
  return messages;
};

type Parsed = { header: string[]; data: Record<string, string> | undefined; text: string | undefined };

const readSyslog = (message: string): Parsed => {
  const header = message.split(" ", 6);
  let at = header.join(" ").length + 1;
  if (message[at] === "-") {
    return { header, data: undefined, text: at + 1 < message.length ? message.slice(at + 2) : undefined };
  }
  const data: Record<string, string> = {};
  if (message[at] !== "[") throw new Error("no structured data");
  at = message.indexOf(" ", at);
  while (message[at] === " ") {
    const equals = message.indexOf('="', at);
    let value = "";
    let end = equals + 2;
    for (; message[end] !== '"'; end += 1) {
      if (message[end] === "\\") end += 1;
      if (message[end] === undefined) throw new Error("a value without an end");
      value += message[end];
    }
    data[message.slice(at + 1, equals)] = value;
    at = end + 1;
  }
  if (message[at] !== "]") throw new Error("structured data without an end");
  return { header, data, text: at + 1 < message.length ? message.slice(at + 2) : undefined };
};

/** Positions of an unescaped mark. */
const marksIn = (text: string, mark: string): number[] => {
  const found: number[] = [];
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === mark) found.push(at);
  }
  return found;
};
const plain = (text: string): string =>
  text.replace(/\\(.)/gs, (_, mark: string) => (mark === "n" ? "\n" : mark === "r" ? "\r" : mark));

const readCef = (text: string): { header: string[]; extension: Record<string, string> } => {
  const pipes = marksIn(text, "|").slice(0, 7);
  const cuts = [-1, ...pipes];
  const header = pipes.map((pipe, index) => plain(text.slice((cuts[index] ?? -1) + 1, pipe)));
  const rest = text.slice((pipes[6] ?? text.length) + 1);
  const extension: Record<string, string> = {};
  const equals = marksIn(rest, "=");
  const keyStarts = equals.map((at) => rest.lastIndexOf(" ", at) + 1);
  for (const [index, at] of equals.entries()) {
    const end = keyStarts[index + 1];
    extension[rest.slice(keyStarts[index], at)] = plain(rest.slice(at + 1, end === undefined ? undefined : end - 1));
  }
  return { header, extension };
};

/** Letters that mean something to some reader, more often than chance gives them. */
const hostile = fc.string({
  unit: fc.oneof(
    {
      weight: 3,
      arbitrary: fc.constantFrom(
        ...'|\\=]"[<>\n\r \t\0- 1\u2028\u0085',
        "CEF:0|",
        " act=",
        "\n<13>1 ",
        "]",
        '" x="',
        "é",
        "\ud800",
      ),
    },
    { weight: 1, arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 3 }) },
  ),
  maxLength: 24,
});
/** What a value may at most lose on its way: signs that some reader takes for a line end or control. */
const kept = (text: string): string => text.toWellFormed().replace(/[\p{Cc}\u2028\u2029]/gu, "\ufffd");
const keptInCef = (text: string): string => text.toWellFormed().replace(/[^\P{Cc}\n\r]|[\u2028\u2029]/gu, "\ufffd");

const anyCall = fc
  .record({
    action: fc.constant("notify" as const),
    commandId: hostile,
    decisionId: hostile,
    idempotencyKey: hostile,
    reason: hostile,
    target: fc.record({ type: fc.constantFrom(...entityTypes), value: hostile }),
    ttlSeconds: fc.integer({ min: 10, max: 86_400 }),
  })
  .map((call): ConnectorCall => call);
const options = { facility: 16, hostname: "agent-7", enterprise: 32_473 };

describe("whatever a value says", () => {
  test("one notice is one frame and one line, for any number of them on one connection", () => {
    fc.assert(
      fc.property(
        fc.array(anyCall, { minLength: 1, maxLength: 4 }),
        fc.constantFrom("cef", "rfc5424"),
        (calls, format) => {
          const sent = calls.map((call) => formatNotice({ ...options, format }, call, 0));
          expect(readFrames(Buffer.concat(sent.map(frame)))).toEqual(sent);
          for (const message of sent) expect(message).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
        },
      ),
    );
  });

  test("structured data: no value ends, adds or changes another", () => {
    fc.assert(
      fc.property(anyCall, (call) => {
        const { header, data } = readSyslog(formatNotice({ ...options, format: "rfc5424" }, call, 0));
        expect(header).toEqual(["<133>1", "1970-01-01T00:00:00.000Z", "agent-7", "reflex", "-", "notify"]);
        expect(data).toEqual({
          commandId: kept(call.commandId),
          decisionId: kept(call.decisionId),
          action: "notify",
          targetType: call.target.type,
          target: kept(call.target.value),
          ttlSeconds: String(call.ttlSeconds),
          reason: kept(call.reason),
        });
      }),
    );
  });

  test("CEF: no value ends, adds or changes another", () => {
    fc.assert(
      fc.property(anyCall, (call) => {
        const { data, text } = readSyslog(formatNotice({ ...options, format: "cef" }, call, 12));
        expect(data).toBeUndefined();
        const { header, extension } = readCef(text ?? "");
        expect(header).toEqual([
          "CEF:0",
          "Reflex",
          "Reflex",
          "1",
          "notify",
          kept(`tell people about ${call.target.type} ${call.target.value}: ${call.reason}`),
          "5",
        ]);
        expect(extension).toMatchObject({
          rt: "12",
          act: "notify",
          externalId: keptInCef(call.commandId),
          cs1: keptInCef(call.decisionId),
          cs2: call.target.type,
          reason: keptInCef(call.reason),
          cn1: String(call.ttlSeconds),
        });
        expect(Object.values(extension)).toContain(keptInCef(call.target.value));
        expect(Object.keys(extension)).toHaveLength("cs3" in extension || "c6a3" in extension ? 13 : 12);
      }),
    );
  });

  test("a header field of syslog is visible ASCII of its length, or a dash", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const message = formatSyslog({
          facility: 1,
          severity: 5,
          atMs: 0,
          hostname: text,
          appName: text,
          procId: text,
          msgId: text,
        });
        expect(message).toMatch(
          /^<13>1 \S+ [\x21-\x7e]{1,255} [\x21-\x7e]{1,48} [\x21-\x7e]{1,128} [\x21-\x7e]{1,32} -$/,
        );
      }),
    );
  });
});

test("the examples of the CEF standard: pipes in the header, equals signs and line ends in the extension", () => {
  const header = { vendor: "security", product: "threatmanager", version: "1.0", signatureId: "100", severity: 10 };
  expect(
    formatCef({ ...header, name: "detected a | in message", extension: { src: "10.0.0.1", act: "blocked a |" } }),
  ).toBe("CEF:0|security|threatmanager|1.0|100|detected a \\| in message|10|src=10.0.0.1 act=blocked a |");
  expect(
    formatCef({ ...header, name: "detected a \\ in packet", extension: { act: "blocked a \\", dst: "1.1.1.1" } }),
  ).toBe("CEF:0|security|threatmanager|1.0|100|detected a \\\\ in packet|10|act=blocked a \\\\ dst=1.1.1.1");
  expect(formatCef({ ...header, name: "detected a = in message", extension: { act: "blocked a =" } })).toBe(
    "CEF:0|security|threatmanager|1.0|100|detected a = in message|10|act=blocked a \\=",
  );
  expect(formatCef({ ...header, name: "detected", extension: { msg: "Detected a threat.\n No action needed." } })).toBe(
    "CEF:0|security|threatmanager|1.0|100|detected|10|msg=Detected a threat.\\n No action needed.",
  );
});

test("the marks of RFC 5424 6.3.3 are escaped, though most readers would forgive the bracket", () => {
  const data = { id: "reflex@32473", values: { target: 'a"b\\c]d\ne' } };
  const message = { facility: 1, severity: 5, atMs: 0, hostname: "h", appName: "a", procId: "", msgId: "m", data };
  expect(formatSyslog(message)).toBe(
    '<13>1 1970-01-01T00:00:00.000Z h a - m [reflex@32473 target="a\\"b\\\\c\\]d\ufffde"]',
  );
});

describe("a collector", () => {
  let authority: TestAuthority;
  const open: (() => void)[] = [];
  beforeAll(async () => {
    authority = await createTestAuthority();
  });
  afterEach(() => {
    for (const close of open.splice(0)) close();
  });

  const listen = async (server: Server): Promise<number> => {
    const sockets = new Set<Socket>();
    server.on("connection", (socket) => sockets.add(socket.on("error", () => undefined)));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    open.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  };
  const keeping =
    (received: Buffer[]) =>
    (socket: Socket): void =>
      void socket.on("error", () => undefined).on("data", (chunk: Buffer) => received.push(chunk));
  const connectorTo = (port: number, isTls: boolean, callMs = 20_000): Connector => {
    const made = syslogOptionsOf(
      {
        kind: "syslog",
        name: "siem",
        host: "127.0.0.1",
        port,
        tls: isTls,
        call_ms: callMs,
        ...(isTls ? { ca_file: "ca.pem" } : {}),
      },
      { clock: { nowMs: () => 0 }, hostname: "agent-7", readText: () => authority.caPem },
    );
    if (!made.ok) throw new Error(made.error);
    return createSyslog(made.value);
  };
  const call: ConnectorCall = {
    commandId: "c1",
    idempotencyKey: "k1",
    decisionId: "d1",
    action: "notify",
    target: { type: "user", value: "alice" },
    ttlSeconds: 60,
    reason: "two countries in an hour",
  };

  test.each([true, false])("gets the message whole (TLS: %s)", async (isTls) => {
    const received: Buffer[] = [];
    const server = isTls
      ? createTlsServer(await authority.issue(["127.0.0.1"]), keeping(received))
      : createTcpServer(keeping(received));
    const connector = connectorTo(await listen(server), isTls);
    expect((await connector.apply(call)).kind).toBe("applied");
    expect((await connector.apply(call)).kind).toBe("applied");
    const messages = readFrames(Buffer.concat(received));
    expect(messages).toHaveLength(2);
    expect(messages[0]).toContain("duser=alice");
  });

  test("that is not there is tried again; nothing was sent", async () => {
    const port = await listen(createTcpServer());
    for (const close of open.splice(0)) close();
    expect((await connectorTo(port, true).apply(call)).kind).toBe("retry");
  });

  test("whose certificate is for another name, or signed by nobody we know, gets nothing", async () => {
    const received: Buffer[] = [];
    const named = await listen(createTlsServer(await authority.issue(["other.example"]), keeping(received)));
    expect((await connectorTo(named, true).apply(call)).kind).toBe("retry");
    const stranger = await createTestAuthority();
    const unknown = await listen(createTlsServer(await stranger.issue(["127.0.0.1"]), keeping(received)));
    expect((await connectorTo(unknown, true).apply(call)).kind).toBe("retry");
    expect(received).toEqual([]);
  });

  test("that breaks the connection, or never ends it, leaves the outcome unknown", async () => {
    const breaking = await listen(createTcpServer((socket) => socket.once("data", () => socket.resetAndDestroy())));
    expect((await connectorTo(breaking, false).apply(call)).kind).toBe("unknown");
    const endless = await listen(createTcpServer({ allowHalfOpen: true }, (socket) => socket.resume()));
    expect((await connectorTo(endless, false, 300).apply(call)).kind).toBe("unknown");
  });

  test("cannot be asked and takes nothing back: the description says so", async () => {
    const connector = connectorTo(1, false);
    expect(connector.describe().actions).toEqual({
      notify: { targets: [...entityTypes], nativeTtl: false, canVerify: false, canUndo: false },
    });
    expect((await connector.verify(call)).kind).toBe("unknown");
    expect((await connector.undo(call)).kind).toBe("undone");
    expect((await connector.apply({ ...call, action: "block_ip" })).kind).toBe("refused");
  });

  test("beyond loopback is spoken to over TLS alone", () => {
    const deps = { clock: { nowMs: () => 0 }, hostname: "a", readText: () => "" };
    const made = syslogOptionsOf({ kind: "syslog", name: "siem", host: "siem.example", tls: false }, deps);
    expect(made).toMatchObject({ ok: false });
  });
});
