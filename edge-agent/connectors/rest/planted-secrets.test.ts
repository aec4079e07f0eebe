import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { callOf, connectorOf, type FarEnd, type Said, textOfBody } from "./rest-fixture.ts";

/** A product that repeats all it was sent, in every place from which we take words or data. */
const echo: (said: Partial<Said>) => FarEnd = (said) => (call) => {
  const all = JSON.stringify([call.url, call.headers, call.body === undefined ? "" : textOfBody(call)]);
  if (call.url.endsWith("/login")) return { json: { token: "issued-access-token" } };
  return { ...said, json: { error: all, state: all, bans: [{ ip: all, id: all }] }, headers: { "retry-after": all } };
};

const manifest = (auth: string): string => `
manifest: 1
name: fw
about: a firewall
secrets: { user: { about: name }, word: { about: word } }
auth: ${auth}
message: [/error]
actions:
  block_ip:
    targets: [address]
    capture: { request: { method: GET, path: [state] }, answered: { status: [200, 500] }, keep: { state: /state } }
    apply: { request: { method: POST, path: [bans], json: { was: $captured.state, ip: $target.value } }, done: { status: 201 } }
    verify: { request: { method: GET, path: [bans] }, present: { items: /bans, where: { /ip: $target.value } } }
    undo: { request: { method: DELETE, path: [bans] }, done: { status: 204 } }
    list: { request: { method: GET, path: [bans] }, items: /bans, all_ours: true, id: /id }
`;
const auths = {
  bearer: "{ header: [{ name: Authorization, value: $secrets.word }, { name: x-user, value: $secrets.user }] }",
  basic: "{ basic: { user: $secrets.user, password: $secrets.word } }",
  login:
    "{ login: { request: { method: POST, path: [login], json: { user: $secrets.user, word: $secrets.word } }, token: /token, expires_seconds: 60 } }",
  oauth2: "{ oauth2: { token_url: { path: [login] }, client_id: $secrets.user, client_secret: $secrets.word } }",
} as const;

const secret = fc
  .string({ unit: fc.constantFrom(..."abcXYZ019_-+/=\"'&%;: .\\"), minLength: 12, maxLength: 40 })
  .filter((text) => text.trim() === text);

describe.each(Object.keys(auths) as (keyof typeof auths)[])("secrets planted in %s", (kind) => {
  test("are in no detail, undo data, description or list", async () => {
    await fc.assert(
      fc.asyncProperty(secret, fc.constantFrom(200, 204, 400, 401, 403, 409, 429, 500), async (word, status) => {
        const { connector } = connectorOf(manifest(auths[kind]), echo({ status }), {
          secrets: { "env:user": "user-of-nobody", "env:word": word },
        });
        const call = callOf();
        const seen = JSON.stringify([
          connector.describe(),
          await connector.start(),
          await connector.captureUndo(call),
          await connector.apply({ ...call, undoData: '{"captured":{"state":1}}' }),
          await connector.verify(call),
          await connector.undo(call),
        ]);
        for (const planted of [word, "issued-access-token", Buffer.from(`user-of-nobody:${word}`).toString("base64")]) {
          expect(seen).not.toContain(planted);
          expect(seen).not.toContain(JSON.stringify(planted).slice(1, -1));
        }
      }),
      { numRuns: 60 },
    );
  });
});

test("undo data that holds a secret is not kept", async () => {
  const { connector } = connectorOf(manifest(auths.bearer), echo({}), {
    secrets: { "env:user": "user-of-nobody", "env:word": "planted-word" },
  });
  expect(await connector.captureUndo(callOf())).toMatchObject({ ok: false, error: { code: "connector-refused" } });
});

test("undo data is bounded", async () => {
  const { connector } = connectorOf(manifest(auths.bearer), () => ({ json: { state: "x".repeat(70_000) } }), {
    secrets: { "env:user": "user-of-nobody", "env:word": "planted-word" },
  });
  expect(await connector.captureUndo(callOf())).toMatchObject({ ok: false, error: { code: "too-large" } });
});
