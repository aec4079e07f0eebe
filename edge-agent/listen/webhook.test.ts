import { createHmac } from "node:crypto";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import type { RawRecord, RecordFate } from "../ports.ts";
import { createWebhookSource, type WebhookSource } from "./webhook.ts";
import {
  type WebhookSettings,
  webhookBodyBytesMax,
  webhookRecordsMax,
  webhookSettingsFault,
} from "./webhook-settings.ts";

const decided: RecordFate = { kind: "decided", decisionId: "d-1", verdict: "ask" };
const started: WebhookSource[] = [];
afterEach(async () => {
  for (const source of started.splice(0)) await source.stop();
});

type Hook = { readonly url: string; readonly port: number; readonly offered: string[]; readonly formats: string[] };
const hook = async (
  extra: Partial<WebhookSettings> = {},
  settle: (record: RawRecord, index: number) => void = (record) => record.settle(decided),
): Promise<Hook> => {
  const source = createWebhookSource({ host: "127.0.0.1", port: 0, format: "auto", ...extra });
  started.push(source);
  const offered: string[] = [];
  const formats: string[] = [];
  await source.start(async (record) => {
    offered.push(Buffer.from(record.bytes).toString());
    formats.push(record.format);
    settle(record, offered.length - 1);
  });
  const port = source.address()?.port ?? 0;
  return { url: `http://127.0.0.1:${port}/v1/detections`, port, offered, formats };
};
const post = (
  url: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Response> => fetch(url, { method: "POST", body, headers });
const one = '{"event_id":"siem-1"}';

describe("what may be sent", () => {
  test.each<readonly [name: string, body: string, records: readonly string[]]>([
    ["one object", one, [one]],
    ["one object in many lines", '{\n  "event_id": "siem-1"\n}\n', ['{\n  "event_id": "siem-1"\n}']],
    ["an array", `[${one}, ${one}]`, [one, one]],
    ["one object a line", `${one}\n${one}\n`, [one, one]],
  ])("%s", async (_name, body, records) => {
    const { url, offered } = await hook();
    for (const type of ["application/json", "application/x-ndjson", "text/plain"]) {
      offered.length = 0;
      const response = await post(url, body, { "content-type": type });
      expect(response.status).toBe(200);
      expect(offered.map((text) => text.trim())).toEqual(records);
      const { results } = (await response.json()) as { results: unknown[] };
      expect(results).toEqual(
        records.map(() => ({ event_id: "siem-1", fate: "decided", decision_id: "d-1", verdict: "ask" })),
      );
    }
  });

  test("a protobuf message, whole: its bytes mean nothing as lines", async () => {
    const { url, offered, formats } = await hook();
    await post(url, "\n\u0006siem-1\n", { "content-type": "application/x-protobuf" });
    await post(url, one);
    expect(offered).toEqual(["\n\u0006siem-1\n", one]);
    expect(formats).toEqual(["protobuf", "auto"]);
  });

  test("gzip", async () => {
    const { url, offered } = await hook();
    const response = await post(url, new Uint8Array(gzipSync(one)), { "content-encoding": "gzip" });
    expect([response.status, offered]).toEqual([200, [one]]);
  });
});

describe("what is answered", () => {
  test("the fate of each record, in the order sent", async () => {
    const fates: readonly RecordFate[] = [
      decided,
      { kind: "duplicate" },
      { kind: "not_detection", reason: "event_type flow" },
      { kind: "dead_letter", refusal: { code: "stale", detail: "901 s old" } },
    ];
    // Settled in reverse, to show that the answer is not in order of settling.
    const waiting: RawRecord[] = [];
    const { url } = await hook({}, (record) => {
      waiting.push(record);
      if (waiting.length === fates.length)
        for (const [at, each] of [...waiting.entries()].reverse()) each.settle(fates[at] ?? decided);
    });
    const response = await post(url, "[1,2,3,4]");
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      results: [
        { fate: "decided", decision_id: "d-1", verdict: "ask" },
        { fate: "duplicate" },
        { fate: "not_detection", detail: "event_type flow" },
        { fate: "dead_letter", code: "stale", detail: "901 s old" },
      ],
    });
  });

  test("503 with Retry-After when one was not taken: it must come again", async () => {
    const { url } = await hook({}, ({ settle }, index) =>
      settle(index === 1 ? { kind: "not_taken", refusal: { code: "disk-full", detail: "" } } : decided),
    );
    const response = await post(url, "[1,2]");
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(((await response.json()) as { results: { fate: string }[] }).results.map(({ fate }) => fate)).toEqual([
      "decided",
      "not_taken",
    ]);
  });

  test("413 for the one record that is too large", async () => {
    const { url } = await hook({}, ({ settle }) =>
      settle({ kind: "dead_letter", refusal: { code: "too-large", detail: "" } }),
    );
    expect((await post(url, `{"a":"${"x".repeat(300_000)}"}`)).status).toBe(413);
  });

  test.each<
    readonly [
      name: string,
      body: string | Uint8Array<ArrayBuffer>,
      headers: Record<string, string>,
      status: number,
      code: string,
    ]
  >([
    ["an empty body", "", {}, 400, "json-malformed"],
    ["too many records", "1\n".repeat(webhookRecordsMax + 1), {}, 413, "too-large"],
    ["a body over the limit", "x".repeat(webhookBodyBytesMax + 1), {}, 413, "too-large"],
    [
      "a gzip bomb",
      new Uint8Array(gzipSync(Buffer.alloc(200 << 20))),
      { "content-encoding": "gzip" },
      413,
      "too-large",
    ],
    ["what is not gzip", "plain", { "content-encoding": "gzip" }, 400, "json-malformed"],
    ["an encoding nobody knows", "x", { "content-encoding": "br" }, 400, "schema-invalid"],
  ])("%s is refused with its code, and nothing is offered", async (_name, body, headers, status, code) => {
    const { url, offered } = await hook();
    const response = await post(url, body, headers);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([status, code]);
    expect(offered).toEqual([]);
  });

  test("elsewhere there is nothing", async () => {
    const { url } = await hook();
    expect((await fetch(url)).status).toBe(404);
    expect((await post(`${url}/x`, one)).status).toBe(404);
  });
});

describe("a hundred megabytes are refused without being held", () => {
  /** Writes as much as the server will read, and reads what it answers. */
  const pour = (port: number, headers: string, megabytes: number): Promise<{ status: string; sentBytes: number }> =>
    new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1");
      const chunk = Buffer.alloc(1 << 16, "x");
      const isChunked = headers.includes("chunked");
      let sentBytes = 0;
      let answer = "";
      const write = (): void => {
        while (sentBytes < megabytes << 20 && answer === "") {
          sentBytes += chunk.length;
          const frame = isChunked ? Buffer.concat([Buffer.from("10000\r\n"), chunk, Buffer.from("\r\n")]) : chunk;
          if (!socket.write(frame)) return;
        }
      };
      socket.on("connect", () => {
        socket.write(`POST /v1/detections HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n`);
        write();
      });
      socket.on("drain", write);
      socket.on("data", (data) => (answer += data.toString()));
      socket.on("error", () => {});
      socket.on("close", () => resolve({ status: answer.split("\r\n")[0] ?? "", sentBytes }));
    });

  test.each([
    ["declared", `Content-Length: ${100 << 20}`],
    ["not declared", "Transfer-Encoding: chunked"],
  ])("%s", async (_name, headers) => {
    const { port, offered } = await hook();
    const { status, sentBytes } = await pour(port, headers, 100);
    expect(status).toBe("HTTP/1.1 413 Payload Too Large");
    // What was sent beyond the limit is in socket buffers, not in ours.
    expect(sentBytes).toBeLessThan(50 << 20);
    expect(offered).toEqual([]);
  });
});

describe("who may send", () => {
  const bearerToken = "a-token-of-the-siem";
  const hmacKey = "a-key-of-the-siem-too";
  const sign = (body: string | Uint8Array): string =>
    `sha256=${createHmac("sha256", hmacKey).update(body).digest("hex")}`;

  test("beyond loopback nobody without a secret", () => {
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "localhost", "127.0.0.1.example"]) {
      expect(webhookSettingsFault({ host, port: 0, format: "auto" })).toContain("token");
      expect(() => createWebhookSource({ host, port: 0, format: "auto" })).toThrow("token");
      expect(webhookSettingsFault({ host, port: 0, format: "auto", bearerToken })).toBeUndefined();
    }
    expect(webhookSettingsFault({ host: "127.0.0.1", port: 0, format: "auto" })).toBeUndefined();
    expect(webhookSettingsFault({ host: "0.0.0.0", port: 0, format: "auto", bearerToken: "short" })).toContain("16");
  });

  test("only with the token", async () => {
    const { url, offered } = await hook({ bearerToken });
    for (const authorization of ["", "Bearer", `Bearer ${bearerToken}x`, `bearer ${bearerToken}`, bearerToken]) {
      expect((await post(url, one, { authorization })).status, authorization).toBe(401);
    }
    expect((await post(url, one)).status).toBe(401);
    expect(offered).toEqual([]);
    expect((await post(url, one, { authorization: `Bearer ${bearerToken}` })).status).toBe(200);
  });

  test("only with a signature over exactly this body, as sent", async () => {
    const { url, offered } = await hook({ hmacKey });
    const packed = new Uint8Array(gzipSync(one));
    for (const signature of [undefined, "", "sha256=", sign(`${one} `), sign(one).slice(7)]) {
      const headers: Record<string, string> = signature === undefined ? {} : { "x-reflex-signature": signature };
      expect((await post(url, one, headers)).status, signature ?? "none").toBe(401);
    }
    expect((await post(url, packed, { "content-encoding": "gzip", "x-reflex-signature": sign(one) })).status).toBe(401);
    expect(offered).toEqual([]);
    expect((await post(url, one, { "x-reflex-signature": sign(one) })).status).toBe(200);
    expect((await post(url, packed, { "content-encoding": "gzip", "x-reflex-signature": sign(packed) })).status).toBe(
      200,
    );
  });

  test("both when both are set", async () => {
    const { url } = await hook({ bearerToken, hmacKey });
    const authorization = `Bearer ${bearerToken}`;
    const signature = { "x-reflex-signature": sign(one) };
    expect((await post(url, one, { authorization })).status).toBe(401);
    expect((await post(url, one, signature)).status).toBe(401);
    expect((await post(url, one, { authorization, ...signature })).status).toBe(200);
  });
});

test("stopping answers what was taken, then closes", async () => {
  const taken = Promise.withResolvers<RawRecord>();
  const { url } = await hook({}, taken.resolve);
  const answer = post(url, one);
  const record = await taken.promise;
  const [source] = started.splice(0);
  const stopped = source?.stop();
  record.settle(decided);
  expect((await answer).status).toBe(200);
  await stopped;
  await expect(post(url, one)).rejects.toThrow();
});
