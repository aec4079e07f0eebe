import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEdl, type EdlConnector, type EdlOptions } from "@reflex/edge-agent/connectors/edl";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newCall } from "../../conformance/stage.ts";

const block = (value: string) => newCall("block_ip", { type: "address", value });
const nowMs = Date.UTC(2026, 0, 1);

let folder = "";
let edl: EdlConnector;
const start = async (server: Partial<EdlOptions["server"]> = {}): Promise<EdlConnector> => {
  edl = createEdl({
    name: "edl",
    folder,
    clock: { nowMs: () => nowMs },
    server: { host: "127.0.0.1", port: 0, ...server },
  });
  const started = await edl.start();
  if (!started.ok) throw new Error(`${started.error.code} ${started.error.detail}`);
  return edl;
};
const poll = (list: "addresses" | "domains" = "addresses", headers: Record<string, string> = {}) =>
  fetch(edl.urls()?.[list] ?? "", { headers });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "reflex-edl-"));
  await start();
});
afterEach(async () => {
  await edl.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("a firewall that polls", () => {
  test("reads one address or network per line, and domains on a list of their own", async () => {
    await edl.apply(block("203.0.113.9"));
    await edl.apply(block("2001:DB8:0:0::9"));
    await edl.apply(newCall("block_range", { type: "network", value: "198.51.100.7/24" }));
    await edl.apply(newCall("block_domain", { type: "domain", value: "Bad.Example." }));
    const answer = await poll();
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(await answer.text()).toBe("198.51.100.0/24\n2001:db8::9\n203.0.113.9\n");
    expect(await (await poll("domains")).text()).toBe("bad.example\n");
  });

  test("downloads an unchanged list once: same ETag, 304; a change shows at once", async () => {
    await edl.apply(block("203.0.113.9"));
    const first = await poll();
    const etag = first.headers.get("etag") ?? "";
    expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
    expect(first.headers.get("last-modified")).toBe(new Date(nowMs).toUTCString());
    const again = await poll("addresses", { "if-none-match": etag });
    expect(again.status).toBe(304);
    expect(await again.text()).toBe("");
    await edl.apply(block("203.0.113.10"));
    const changed = await poll("addresses", { "if-none-match": etag });
    expect(changed.status).toBe(200);
    expect(changed.headers.get("etag")).not.toBe(etag);
    await edl.undo(block("203.0.113.10"));
    expect(
      (await poll("addresses", { "if-none-match": etag })).status,
      "back to the old content, back to the old tag",
    ).toBe(304);
  });

  test("sees the same list with the same ETag after the agent restarts", async () => {
    await edl.apply(block("203.0.113.9"));
    const before = await poll();
    const body = await before.text();
    await edl.stop();
    await start();
    const after = await poll();
    expect(await after.text()).toBe(body);
    expect(after.headers.get("etag")).toBe(before.headers.get("etag"));
  });

  test("gets nothing without the secret, when there is one", async () => {
    await edl.stop();
    await start({ bearerToken: "s3cret", basic: { user: "fw", password: "pa:ss" } });
    await edl.apply(block("203.0.113.9"));
    for (const authorization of ["", "Bearer wrong", "Bearer s3cret ", `Basic ${btoa("fw:wrong")}`]) {
      const answer = await poll("addresses", { authorization });
      expect(answer.status).toBe(authorization === "Bearer s3cret " ? 200 : 401);
    }
    expect((await poll("addresses", { authorization: "Bearer s3cret" })).status).toBe(200);
    expect((await poll("addresses", { authorization: `Basic ${btoa("fw:pa:ss")}` })).status).toBe(200);
    expect((await fetch(edl.urls()?.addresses ?? "")).status).toBe(401);
  });

  test("can only read", async () => {
    const url = edl.urls()?.addresses ?? "";
    for (const method of ["POST", "PUT", "DELETE"]) expect((await fetch(url, { method })).status).toBe(405);
    expect((await fetch(`${url}/../../etc/passwd`)).status).toBe(404);
    expect((await fetch(url, { method: "HEAD" })).status).toBe(200);
  });

  test("is served over TLS when a certificate is given", async (context) => {
    try {
      const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
      const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")];
      execFileSync(
        "openssl",
        [
          "req",
          "-x509",
          "-newkey",
          "ec",
          "-pkeyopt",
          "ec_paramgen_curve:P-256",
          "-nodes",
          "-days",
          "1",
          ...subject,
          ...files,
        ],
        {
          stdio: "ignore",
        },
      );
    } catch {
      return context.skip("openssl is not installed, so there is no certificate to serve with");
    }
    const certificate = readFileSync(join(folder, "cert.pem"), "utf8");
    await edl.stop();
    await start({ tls: { certificate, key: readFileSync(join(folder, "key.pem"), "utf8") } });
    await edl.apply(block("203.0.113.9"));
    const url = edl.urls()?.addresses ?? "";
    expect(url).toMatch(/^https:/);
    const body = await new Promise<string>((resolve, reject) => {
      get(url, { ca: certificate }, (response) => {
        let text = "";
        response.on("data", (part) => (text += part)).on("end", () => resolve(text));
      }).on("error", reject);
    });
    expect(body).toBe("203.0.113.9\n");
  });
});

describe("fail closed", () => {
  test("plain HTTP is spoken on loopback alone", async () => {
    const open = createEdl({
      name: "edl",
      folder,
      clock: { nowMs: () => nowMs },
      server: { host: "0.0.0.0", port: 0 },
    });
    expect(await open.start()).toMatchObject({ ok: false, error: { code: "connector-refused" } });
  });

  test("a list file with a line that is no entry is damage, not a shorter list", async () => {
    await edl.stop();
    writeFileSync(join(folder, "addresses.txt"), "203.0.113.9\n0.0.0.0/0\n");
    const damaged = createEdl({
      name: "edl",
      folder,
      clock: { nowMs: () => nowMs },
      server: { host: "127.0.0.1", port: 0 },
    });
    expect(await damaged.start()).toMatchObject({ ok: false, error: { code: "store-damaged" } });
  });

  test("an entry that cannot be written is not served, and the next one can be", async () => {
    await edl.apply(block("203.0.113.9"));
    const lists = join(folder, "gone");
    const other = createEdl({
      name: "edl",
      folder: lists,
      clock: { nowMs: () => nowMs },
      server: { host: "127.0.0.1", port: 0 },
    });
    expect((await other.start()).ok).toBe(true);
    // A file where the folder should be: no list can be written there.
    writeFileSync(lists, "");
    expect((await other.apply(block("203.0.113.1"))).kind).toBe("retry");
    expect((await other.verify(block("203.0.113.1"))).kind).toBe("absent");
    rmSync(lists);
    expect((await other.apply(block("203.0.113.2"))).kind).toBe("applied");
    expect(await other.listInForce?.()).toMatchObject({ value: [{ id: "203.0.113.2" }] });
    await other.stop();
  });

  test("a thousand at once are all served, in few writes, and counted as effects", async () => {
    const calls = Array.from({ length: 1_000 }, (_, at) => block(`198.51.${at >> 8}.${at & 255}`));
    await Promise.all([...calls, ...calls].map((call) => edl.apply(call)));
    expect((await (await poll()).text()).split("\n")).toHaveLength(1_001);
    expect(edl.counts()).toMatchObject({ added: 1_000, removed: 0 });
    await Promise.all(calls.map((call) => edl.undo(call)));
    expect(await (await poll()).text()).toBe("");
    expect(edl.counts()).toMatchObject({ added: 1_000, removed: 1_000 });
  });
});
