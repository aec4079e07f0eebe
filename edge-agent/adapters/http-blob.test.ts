import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { createHttpBlobs } from "./http-blob.ts";
import { createHttpsClient } from "./https-client.ts";
import { nodeTimers } from "./node-timers.ts";

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const blob = randomBytes(300_000);
const pointer = { hash: createHash("sha256").update(blob).digest("hex"), bytes: blob.length };
const limits = { deadlineMs: 5_000, bytesPerSecondMin: 2_000, windowMs: 100, tries: 4 };

let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});
const serve = async (answer: (request: IncomingMessage, response: ServerResponse, asked: number) => void) => {
  let asked = 0;
  const ranges: (string | undefined)[] = [];
  server = createServer((request, response) => {
    asked += 1;
    ranges.push(request.headers.range);
    answer(request, response, asked);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const blobs = createHttpBlobs({
    baseUrl,
    identity: () => undefined,
    http: createHttpsClient(),
    timers: nodeTimers,
    log,
    limits,
  });
  return { blobs, ranges, asked: () => asked };
};

describe("a blob is the bytes that were announced, or none", () => {
  test("whole", async () => {
    const { blobs } = await serve((_request, response) => response.end(blob));
    const fetched = await blobs.fetch(pointer);
    expect(fetched.ok && Buffer.from(fetched.value).equals(blob)).toBe(true);
  });

  test("a connection that breaks is resumed where it broke", async () => {
    const { blobs, ranges } = await serve((request, response, asked) => {
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      if (from > 0) response.writeHead(206, { "content-range": `bytes ${from}-${blob.length - 1}/${blob.length}` });
      if (asked === 3) return void response.end(blob.subarray(from));
      response.write(blob.subarray(from, from + 100_000), () => response.destroy());
    });
    const fetched = await blobs.fetch(pointer);
    expect(fetched.ok && Buffer.from(fetched.value).equals(blob)).toBe(true);
    expect(ranges.slice(1).every((range) => range !== undefined)).toBe(true);
  });

  test("a server without ranges is read again from the start", async () => {
    const { blobs } = await serve((_request, response, asked) => {
      if (asked > 1) return void response.end(blob);
      response.write(blob.subarray(0, 100_000), () => response.destroy());
    });
    const fetched = await blobs.fetch(pointer);
    expect(fetched.ok && Buffer.from(fetched.value).equals(blob)).toBe(true);
  });

  test("other bytes of the same length are refused", async () => {
    const { blobs } = await serve((_request, response) => response.end(Buffer.alloc(blob.length)));
    expect(await blobs.fetch(pointer)).toMatchObject({ ok: false, error: { code: "hash-mismatch" } });
  });

  test("endless data ends at the announced size", async () => {
    let sent = 0;
    const { blobs } = await serve((_request, response) => {
      const chunk = Buffer.alloc(64 * 1024);
      const more = (): void => {
        while (!response.destroyed && response.write(chunk)) sent += chunk.length;
      };
      response.on("drain", more);
      more();
    });
    expect(await blobs.fetch(pointer)).toMatchObject({ ok: false, error: { code: "hash-mismatch" } });
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  test("a size announced beyond the limit is not even asked for", async () => {
    const { blobs, asked } = await serve((_request, response) => response.end());
    expect(await blobs.fetch({ ...pointer, bytes: 10 ** 12 })).toMatchObject({
      ok: false,
      error: { code: "too-large" },
    });
    expect(asked()).toBe(0);
  });

  test("a byte now and then is given up after the tries, not waited for", async () => {
    const { blobs, asked } = await serve((_request, response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write("x"), 20);
      response.on("close", () => clearInterval(drip));
    });
    expect(await blobs.fetch(pointer)).toMatchObject({ ok: false, error: { code: "unreachable" } });
    expect(asked()).toBe(limits.tries);
  });

  test.each([
    [404, "not-found"],
    [403, "unauthorised"],
    [500, "unreachable"],
  ])("status %i is %s", async (status, code) => {
    const { blobs } = await serve((_request, response) => response.writeHead(status).end());
    expect(await blobs.fetch(pointer)).toMatchObject({ ok: false, error: { code } });
  });

  test("plain HTTP to another machine is refused before anything is sent", async () => {
    server = createServer();
    const blobs = createHttpBlobs({
      baseUrl: "http://192.0.2.1",
      identity: () => undefined,
      http: createHttpsClient(),
      timers: nodeTimers,
      log,
      limits,
    });
    expect(await blobs.fetch(pointer)).toMatchObject({ ok: false, error: { code: "unauthorised" } });
  });
});
