import {
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  timingSafeEqual,
  verify as verifyEd25519,
} from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ActionName } from "@reflex/protocol/action";
import { ok } from "@reflex/protocol/result";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { createHttpCalls } from "../../adapters/outbound-http.ts";
import type { Connector, ConnectorCall } from "../contract.ts";
import { secretOf } from "../secrets-port.ts";
import { outcomeOfStatus } from "./answer.ts";
import { webhookOptionsOf } from "./config.ts";
import { signWebhook } from "./signature.ts";
import { createWebhook } from "./webhook.ts";

const key = Buffer.alloc(32, 7);
const secret = `whsec_${key.toString("base64")}`;

/** As a receiver checks it, written from the specification and not from our signer. */
const isSigned = (headers: IncomingMessage["headers"], body: string): boolean => {
  const [id, timestamp, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) =>
    String(headers[name]),
  );
  const wanted = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest();
  const shown = Buffer.from(signature?.replace(/^v1,/, "") ?? "", "base64");
  return shown.length === wanted.length && timingSafeEqual(shown, wanted);
};

type Answer = (request: IncomingMessage, body: string, response: ServerResponse) => void;
type Receiver = { readonly url: string; readonly received: { id: string; body: string; isSigned: boolean }[] };

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

const startReceiver = async (answer: Answer): Promise<Receiver> => {
  const received: Receiver["received"] = [];
  const server: Server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (part: string) => {
      body += part;
    });
    request.on("end", () => {
      const signed = request.method === "GET" ? (request.url?.split("?")[1] ?? "") : body;
      received.push({ id: String(request.headers["webhook-id"]), body, isSigned: isSigned(request.headers, signed) });
      answer(request, body, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, received };
};

const connectorTo = (url: string, more: Record<string, unknown> = {}): Connector => {
  const options = webhookOptionsOf(
    { kind: "webhook", name: "soar", url, secret: "env:HOOK", call_ms: 20_000, ...more },
    {
      http: createHttpCalls(),
      secrets: { read: () => ok(secretOf(secret)) },
      clock: { nowMs: () => 1_700_000_000_500 },
    },
  );
  if (!options.ok) throw new Error(options.error);
  const connector = createWebhook(options.value);
  open.push(() => void connector.stop());
  return connector;
};

const callFor = (action: ActionName): ConnectorCall => ({
  commandId: "01990000-0000-7000-8000-000000000001",
  idempotencyKey: "ab".repeat(32),
  decisionId: "01990000-0000-7000-8000-000000000002",
  action,
  target: { type: "host", value: 'laptop"7\n{"x":1}' },
  ttlSeconds: 600,
  reason: "known IOC",
});

const answering =
  (status: number, headers: Record<string, string> = {}): Answer =>
  (_request, _body, response) =>
    void response.writeHead(status, headers).end();

describe("signed messages", () => {
  test("the signature of the specification's own example", () => {
    const signed = signWebhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", {
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      atMs: 1_614_265_330_000,
      body: '{"test": 2432232314}',
    });
    expect(signed.ok && signed.value["webhook-signature"]).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });

  test("changing any of id, time or body breaks the signature", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", ".", "0"), maxLength: 6 });
    fc.assert(
      fc.property(word, word, word, word, (id, body, otherId, otherBody) => {
        fc.pre(!id.includes(".") && !otherId.includes(".") && (id !== otherId || body !== otherBody));
        const one = signWebhook(secret, { id, atMs: 5_000, body });
        const other = signWebhook(secret, { id: otherId, atMs: 5_000, body: otherBody });
        const later = signWebhook(secret, { id, atMs: 6_000, body });
        const signatures = [one, other, later].map((signed) => signed.ok && signed.value["webhook-signature"]);
        expect(new Set(signatures).size).toBe(3);
      }),
    );
  });

  test("ed25519: whoever holds the public key alone can check", () => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const seed = privateKey.export({ format: "der", type: "pkcs8" }).subarray(-32);
    const signed = signWebhook(`whsk_${seed.toString("base64")}`, { id: "m1", atMs: 1_000, body: "{}" });
    if (!signed.ok) throw new Error(signed.error.detail);
    const signature = Buffer.from(signed.value["webhook-signature"].replace("v1a,", ""), "base64");
    expect(
      verifyEd25519(
        null,
        Buffer.from("m1.1.{}"),
        createPublicKey(publicKey.export({ format: "pem", type: "spki" })),
        signature,
      ),
    ).toBe(true);
  });

  test.each(["", "secret", "whsec_", "whsec_c2hvcnQ=", `whsec_${"A".repeat(100)}`, "whsk_c2hvcnQ="])(
    "the secret %j is refused and not repeated",
    (bad) => {
      const signed = signWebhook(bad, { id: "m", atMs: 0, body: "" });
      expect(signed.ok).toBe(false);
      if (!signed.ok && bad.length > 6) expect(signed.error.detail).not.toContain(bad);
    },
  );
});

describe("handing on", () => {
  test("a receipt is applied; the same command has the same id and bytes each time", async () => {
    const receiver = await startReceiver(answering(202));
    const connector = connectorTo(receiver.url);
    const call = callFor("notify");
    expect((await connector.apply(call)).kind).toBe("applied");
    expect((await connector.apply(call)).kind).toBe("applied");
    const [one, two] = receiver.received;
    expect(one).toEqual(two);
    expect(one?.isSigned).toBe(true);
    expect(one?.id).toBe(call.idempotencyKey);
    expect(JSON.parse(one?.body ?? "")).toMatchObject({
      type: "reflex.notice",
      data: { action: "notify", target: call.target, command_id: call.commandId, ttl: 600 },
    });
  });

  test.each([
    [400, {}, "refused"],
    [401, {}, "refused"],
    [404, {}, "refused"],
    [301, { location: "/elsewhere" }, "refused"],
    [429, { "retry-after": "7" }, "retry"],
    [503, { "retry-after": "7" }, "retry"],
    [503, {}, "unknown"],
    [500, {}, "unknown"],
    [502, {}, "unknown"],
    [409, {}, "unknown"],
  ] as const)("%i %j is %s", async (status, headers, kind) => {
    const receiver = await startReceiver(answering(status, headers));
    const outcome = await connectorTo(receiver.url).apply(callFor("notify"));
    expect(outcome.kind).toBe(kind);
    if (outcome.kind === "retry") expect(outcome.retryAfterMs).toBe(7_000);
    expect(receiver.received).toHaveLength(1);
  });

  test("no status at all makes an outcome that claims more than is known", () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 599 }), (status) => {
        const { kind } = outcomeOfStatus({ status, headers: {}, bytes: new Uint8Array() }, 0);
        expect(kind === "applied").toBe(status >= 200 && status < 300);
        if (status >= 500 && kind === "refused") expect([501, 505]).toContain(status);
        if (kind === "retry") expect(status).toBe(429);
      }),
    );
  });

  test("an answer that never comes is unknown, a receiver that is not there is tried again", async () => {
    const silent = await startReceiver(() => undefined);
    expect((await connectorTo(silent.url, { call_ms: 300 }).apply(callFor("notify"))).kind).toBe("unknown");
    expect((await connectorTo("http://127.0.0.1:1/hook").apply(callFor("notify"))).kind).toBe("retry");
  });

  test("the end of a lease is told under an id of its own, and only where it was agreed", async () => {
    const receiver = await startReceiver(answering(200));
    const connector = connectorTo(receiver.url, { hand_off: ["isolate_host"], undo_notice: true });
    const { actions } = connector.describe();
    expect(actions.isolate_host).toMatchObject({ canUndo: true, canVerify: false, targets: ["host"] });
    expect(actions.notify).toMatchObject({ canUndo: false, canVerify: false });
    const call = callFor("isolate_host");
    await connector.apply(call);
    expect((await connector.undo(call)).kind).toBe("undone");
    expect((await connector.undo(callFor("notify"))).kind).toBe("undone");
    expect(receiver.received.map(({ id, body }) => [id, JSON.parse(body).type])).toEqual([
      [call.idempotencyKey, "reflex.command.apply"],
      [`${call.idempotencyKey}.undo`, "reflex.command.undo"],
    ]);
    expect((await connector.apply(callFor("disable_user"))).kind).toBe("refused");
  });

  test("an action may not be handed off to somebody who never hears when it ends", () => {
    expect(() => connectorTo("https://soar.example/hook", { hand_off: ["isolate_host"] })).toThrow("undo_notice");
  });

  test("plain http leaves this machine in no case", () => {
    expect(() => connectorTo("http://203.0.113.9/hook")).toThrow("loopback");
    expect(() => connectorTo("https://soar.example/hook", { status_url: "http://soar.example/s" })).toThrow("loopback");
  });

  test.each([
    ['{"in_force":true}', 200, "present"],
    ['{"in_force":false}', 200, "absent"],
    ['{"in_force":"no"}', 200, "unknown"],
    ["[]", 200, "unknown"],
    ["not found", 200, "unknown"],
    ['{"in_force":false}', 404, "unknown"],
    ['{"in_force":true}', 500, "unknown"],
  ])("verify: %s with %i is %s", async (text, status, kind) => {
    const receiver = await startReceiver((_request, _body, response) => void response.writeHead(status).end(text));
    const connector = connectorTo(receiver.url, { status_url: `${receiver.url}/status?team=7` });
    expect(connector.describe().actions.notify?.canVerify).toBe(true);
    expect((await connector.verify(callFor("notify"))).kind).toBe(kind);
    expect(receiver.received[0]?.isSigned).toBe(true);
  });
});
