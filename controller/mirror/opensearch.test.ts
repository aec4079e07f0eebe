import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Authority, createAuthority } from "../pki/authority.ts";
import { createFakeSiem, type FakeSiem } from "./opensearch.test-fake.ts";
import { createOpenSearch, type OpenSearchOptions } from "./opensearch.ts";
import type { Siem } from "./siem-port.ts";

let folder = "";
let authority: Authority;
const ends: (() => Promise<void>)[] = [];
const fileOf = (name: string, text: string): string => {
  const file = join(folder, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
};
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "reflex-siem-"));
  authority = await createAuthority({ dir: join(folder, "pki"), org: "acme", nowMs: Date.now });
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const started = async (isTls: boolean): Promise<FakeSiem> => {
  const made = createFakeSiem(isTls ? await authority.issueServer([]) : undefined);
  await made.start();
  ends.push(made.stop);
  return made;
};
const opened = (options: OpenSearchOptions): Siem => {
  const siem = createOpenSearch(options);
  ends.push(siem.close);
  return siem;
};
const codeOf = (result: Awaited<ReturnType<Siem["prepare"]>>): string => (result.ok ? "ok" : result.error.code);

describe("whom a SIEM is", () => {
  test("one of a private authority is believed with its certificate, and not without", async () => {
    const fake = await started(true);
    const caFile = fileOf("ca.pem", authority.caPem);
    expect(codeOf(await opened({ url: fake.url(), caFile }).prepare())).toBe("ok");
    const before = fake.requests.length;
    expect(codeOf(await opened({ url: fake.url() }).prepare())).toBe("unreachable");
    expect(fake.requests).toHaveLength(before);
  });

  test("one that answers under another name hears nothing", async () => {
    const fake = await started(true);
    // A name of this machine that its certificate does not hold.
    const url = fake.url().replace("127.0.0.1", "127.0.0.2");
    const siem = opened({ url, caFile: fileOf("ca.pem", authority.caPem) });
    const prepared = await siem.prepare();
    expect(prepared).toMatchObject({ ok: false, error: { detail: expect.stringContaining("altnames") } });
    expect(fake.requests).toEqual([]);
  });
});

describe("who we are to it", () => {
  test("a token that was rotated is read anew after it was refused", async () => {
    const fake = await started(false);
    const tokenFile = fileOf("token", "first\n");
    const siem = opened({ url: fake.url(), tokenFile });
    fake.takes = "Bearer first";
    expect(codeOf(await siem.prepare())).toBe("ok");
    fake.takes = "Bearer second";
    expect(codeOf(await siem.prepare())).toBe("unauthorised");
    writeFileSync(tokenFile, "second\n");
    // The refused connection was let go; whoever comes next reads the file.
    expect(codeOf(await siem.prepare())).toBe("ok");
  });

  test("a whole header value, and a user with a password", async () => {
    const fake = await started(false);
    const apiKey = opened({ url: fake.url(), tokenFile: fileOf("key", "ApiKey abc=") });
    const basic = opened({ url: fake.url(), user: "reflex", passwordFile: fileOf("password", "p:w\n") });
    expect([codeOf(await apiKey.prepare()), codeOf(await basic.prepare())]).toEqual(["ok", "ok"]);
    expect(new Set(fake.credentials)).toEqual(
      new Set(["ApiKey abc=", `Basic ${Buffer.from("reflex:p:w").toString("base64")}`]),
    );
  });

  test("what it says of a failure holds no secret", async () => {
    const fake = await started(false);
    fake.takes = "nobody";
    const siem = opened({ url: fake.url(), tokenFile: fileOf("planted", "planted-secret") });
    const refused = await siem.prepare();
    expect(refused.ok).toBe(false);
    expect(JSON.stringify(refused)).not.toContain("planted-secret");
    expect(codeOf(await opened({ url: fake.url(), tokenFile: join(folder, "none") }).prepare())).toBe("unreachable");
  });
});
