import { status } from "@grpc/grpc-js";
import { createGrpcCalls } from "@reflex/edge-agent/adapters/outbound-grpc";
import type { GrpcCall, GrpcCalls, GrpcTarget } from "@reflex/edge-agent/connectors/grpc/grpc-calls";
import { readProtos } from "@reflex/edge-agent/connectors/grpc/proto-set";
import { afterEach, describe, expect, test } from "vitest";
import { createTestAuthority } from "./certificates.ts";
import { type GrpcFarEnd, startGrpcFarEnd } from "./grpc-far-end.ts";
import { type GrpcServerTls, protoIn } from "./grpc-server.ts";

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0).reverse()) close();
});
const farEnd = async (tls?: GrpcServerTls): Promise<GrpcFarEnd> => {
  const started = await startGrpcFarEnd(tls === undefined ? {} : { tls });
  opened.push(started.cut);
  return started;
};
const callsTo = (port: number, target: Partial<GrpcTarget> = { isPlain: true }): GrpcCalls => {
  const calls = createGrpcCalls({ host: "127.0.0.1", port, ...target });
  opened.push(calls.close);
  return calls;
};

const protos = readProtos([protoIn("far-end.yaml")]);
if (!protos.ok) throw new Error(protos.error.detail);
const methodOf = (name: string): GrpcCall["method"] => {
  const method = protos.value.method(`farend.v1.Enforcement/${name}`);
  if (!method.ok) throw new Error(method.error.detail);
  return method.value;
};
const asked = (name: string, message: GrpcCall["message"], more: Partial<GrpcCall> = {}): GrpcCall => ({
  method: methodOf(name),
  message,
  deadlineMs: 5_000,
  messagesMax: 10,
  bytesMax: 10_000,
  ...more,
});
const applied = { target: "203.0.113.9", key: "k" };

describe("a gRPC call says what is known, and no more", () => {
  test("an answer is read with every field, whether one message or a stream", async () => {
    const far = await farEnd();
    const calls = callsTo(far.port());
    const first = await calls.call(asked("Apply", { ...applied, mark: { command: "c" } }));
    expect(first).toEqual({ ok: true, value: { status: 0, detail: "OK", messages: [{ changed: true }] } });
    const again = await calls.call(asked("Apply", applied));
    expect(again.ok && again.value.messages).toEqual([{ changed: false }]);
    const list = await calls.call(asked("List", {}));
    expect(list.ok && list.value.messages).toEqual([{ target: applied.target, key: "k" }]);
    expect(far.counts().effects).toEqual({ k: 1 });
  });

  test("nobody listens: unsent, and the next call finds whoever listens then", async () => {
    const far = await farEnd();
    const port = far.port();
    const calls = callsTo(port);
    far.cut();
    const refused = await calls.call(asked("Apply", applied));
    expect(refused).toMatchObject({ ok: false, error: { kind: "unsent" } });
    await far.restart();
    const tries = [];
    for (let count = 0; count < 20 && !tries.at(-1)?.ok; count += 1)
      tries.push(await calls.call(asked("Apply", applied)));
    expect(tries.at(-1)?.ok).toBe(true);
    expect(far.counts().effects).toEqual({ k: 1 });
  });

  test.each(["silent", "broken"] as const)("done, and then %s: unknown, never unsent", async (kind) => {
    const far = await farEnd();
    far.misbehave("Apply", { kind });
    const answer = await callsTo(far.port()).call(asked("Apply", applied, { deadlineMs: 400 }));
    expect(answer).toMatchObject({ ok: false, error: { kind: "unknown" } });
    expect(far.counts().effects).toEqual({ k: 1 });
  });

  test("the far end's own no comes back as it was said", async () => {
    const far = await farEnd();
    for (const code of [
      status.INVALID_ARGUMENT,
      status.NOT_FOUND,
      status.ALREADY_EXISTS,
      status.PERMISSION_DENIED,
      status.RESOURCE_EXHAUSTED,
      status.FAILED_PRECONDITION,
      status.UNAUTHENTICATED,
      status.UNIMPLEMENTED,
    ]) {
      far.misbehave("Apply", { kind: "status", code });
      const answer = await callsTo(far.port()).call(asked("Apply", applied));
      expect(answer).toMatchObject({ ok: true, value: { status: code } });
    }
  });

  test("what a broken connection says is never taken for the far end's no", async () => {
    const far = await farEnd();
    for (const code of [
      status.UNAVAILABLE,
      status.INTERNAL,
      status.UNKNOWN,
      status.ABORTED,
      status.CANCELLED,
      status.DATA_LOSS,
    ]) {
      far.misbehave("Apply", { kind: "status-after", code });
      const answer = await callsTo(far.port()).call(asked("Apply", applied));
      expect(answer).toMatchObject({ ok: false, error: { kind: "unknown" } });
    }
  });

  test("an answer beyond its bounds is cut off", async () => {
    const far = await farEnd();
    far.misbehave("List", { kind: "flood", messages: 10_000 });
    const tooMany = await callsTo(far.port()).call(asked("List", {}));
    expect(tooMany).toMatchObject({
      ok: false,
      error: { kind: "unknown", detail: "the answer has more than 10 messages" },
    });
    const tooLong = await callsTo(far.port()).call(asked("List", {}, { messagesMax: 1e6, bytesMax: 1_000 }));
    expect(tooLong).toMatchObject({ ok: false, error: { kind: "unknown" } });
  });

  test("plain connections are for loopback alone", () => {
    expect(() => createGrpcCalls({ host: "192.0.2.1", port: 1, isPlain: true })).toThrow("loopback");
  });
});

describe("TLS is verified, whatever is configured", () => {
  const authority = createTestAuthority();

  test("the name in the certificate decides, and nothing is sent to anybody else", async () => {
    const { caPem: ca, issue } = await authority;
    const far = await farEnd({ ca, ...(await issue(["VelociraptorServer"])) });
    const wrongName = await callsTo(far.port(), { ca }).call(asked("Apply", applied));
    expect(wrongName).toMatchObject({ ok: false, error: { kind: "unsent" } });
    const otherName = await callsTo(far.port(), { ca, serverName: "other" }).call(asked("Apply", applied));
    expect(otherName).toMatchObject({ ok: false, error: { kind: "unsent" } });
    expect(far.counts().calls).toEqual([]);
    const rightName = await callsTo(far.port(), { ca, serverName: "VelociraptorServer" }).call(asked("Apply", applied));
    expect(rightName.ok).toBe(true);
  });

  test("an unknown authority is refused, also where the environment asks to look away", async () => {
    const { caPem: ca, issue } = await authority;
    const far = await farEnd({ ca, ...(await issue(["127.0.0.1"])) });
    const stranger = (await createTestAuthority()).caPem;
    const before = process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    try {
      const refused = await callsTo(far.port(), { ca: stranger }).call(asked("Apply", applied));
      expect(refused).toMatchObject({ ok: false, error: { kind: "unsent" } });
    } finally {
      if (before === undefined) delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
      else process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = before;
    }
    expect(await callsTo(far.port(), { ca }).call(asked("Apply", applied))).toMatchObject({ ok: true });
    expect(far.counts().calls).toHaveLength(1);
  });

  test("a far end that asks for a certificate gets ours, and refuses who has none", async () => {
    const { caPem: ca, issue } = await authority;
    const far = await farEnd({ ca, ...(await issue(["127.0.0.1"])), asksCertificate: true });
    const nameless = await callsTo(far.port(), { ca }).call(asked("Apply", applied, { deadlineMs: 1_500 }));
    expect(nameless.ok).toBe(false);
    expect(far.counts().calls).toEqual([]);
    const known = await callsTo(far.port(), { ca, ...(await issue(["reflex"])) }).call(asked("Apply", applied));
    expect(known.ok).toBe(true);
  });
});
