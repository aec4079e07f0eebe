import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ApplyOutcome } from "../contract.ts";
import { callOf, connectorOf, type FarEnd, type Said, startNowMs, textOfBody } from "./rest-fixture.ts";

const manifest = (
  action: string,
  top = "auth: { bearer: $secrets.api_token }\nsecrets: { api_token: { about: token } }",
): string => `
manifest: 1
name: fw
about: a firewall
${top}
message: [/error]
actions:
  block_ip:
    targets: [address]
${action}`;

const verifyAndUndo = `
    verify: { request: { method: GET, path: [bans] }, present: { items: /bans, where: { /ip: { address: $target.value } } } }
    undo: { request: { method: DELETE, path: [bans, $target.value] }, done: { status: 204 }, gone: { status: 404 } }`;

const plain = manifest(`
    apply:
      request: { method: POST, path: [bans], json: { ip: $target.value, ttl: $ttl_seconds } }
      done: { status: 201 }
      already: { status: 409, where: { /error: exists } }
      refused: { status: 200, where: { /error: { starts: invalid } } }
      unknown: { status: 400, where: { /error: busy } }
      retry: { status: 503, where: { /error: maintenance } }${verifyAndUndo}`);

const applied = async (answer: FarEnd, text = plain): Promise<ApplyOutcome> =>
  connectorOf(text, answer).connector.apply(callOf());

describe("applied means applied, and nothing else does", () => {
  const outcomes: readonly (readonly [name: string, said: Said, outcome: Partial<ApplyOutcome>])[] = [
    ["done", { status: 201 }, { kind: "applied" }],
    ["there already", { status: 409, json: { error: "exists" } }, { kind: "applied" }],
    ["another conflict", { status: 409, json: { error: "locked" } }, { kind: "refused", code: "connector-refused" }],
    ["a no in a 200", { status: 200, json: { error: "invalid ip" } }, { kind: "refused" }],
    ["a 200 that says neither", { status: 200, json: { ok: true } }, { kind: "unknown" }],
    ["a 201 that cannot be read", { status: 201, text: "{" }, { kind: "unknown" }],
    ["bad request", { status: 400, json: { error: "no ip" } }, { kind: "refused", detail: "HTTP 400: no ip" }],
    ["a 400 that may have been done", { status: 400, json: { error: "busy" } }, { kind: "unknown" }],
    ["no right", { status: 403, text: "<html>" }, { kind: "refused", code: "unauthorised" }],
    ["request time-out", { status: 408 }, { kind: "unknown" }],
    ["too many", { status: 429, headers: { "retry-after": "7" } }, { kind: "retry", retryAfterMs: 7_000 }],
    [
      "too many, until a date",
      { status: 429, headers: { "retry-after": new Date(startNowMs + 30_000).toUTCString() } },
      { kind: "retry", retryAfterMs: 30_000 },
    ],
    ["server error", { status: 500 }, { kind: "unknown" }],
    ["bad gateway", { status: 502 }, { kind: "unknown" }],
    ["unavailable, unsaid whether it was done", { status: 503 }, { kind: "unknown" }],
    ["unavailable, and documented as not done", { status: 503, json: { error: "maintenance" } }, { kind: "retry" }],
    ["a redirect", { status: 302, headers: { location: "https://elsewhere.example" } }, { kind: "unknown" }],
  ];
  test.each(outcomes)("%s", async (_, said, outcome) => {
    expect(await applied(() => said)).toMatchObject(outcome);
  });

  test("refused and retry only where provably nothing was applied, for whatever is answered", async () => {
    const said = fc.record({ status: fc.integer({ min: 200, max: 599 }), text: fc.oneof(fc.string(), fc.json()) });
    await fc.assert(
      fc.asyncProperty(said, async (one) => {
        const outcome = await applied(() => one);
        if (outcome.kind === "applied") return one.status === 201 || one.status === 409;
        if (outcome.kind === "retry") return one.status === 429 || one.status === 503;
        return outcome.kind === "unknown" || (one.status >= 400 && one.status <= 499) || one.status === 200;
      }),
      { numRuns: 500 },
    );
  });

  test("nobody reached is tried again, silence after sending is unknown", async () => {
    expect(await applied(() => ({ kind: "unsent", detail: "refused" }))).toMatchObject({ kind: "retry" });
    expect(await applied(() => ({ kind: "unknown", detail: "reset" }))).toMatchObject({ kind: "unknown" });
  });

  test("what the target is not is refused before anything is sent", async () => {
    const { connector, asked } = connectorOf(plain, () => ({ status: 201 }));
    for (const target of [
      { type: "address", value: "127.0.0.1" },
      { type: "address", value: "1.2.3.4 or 1=1" },
      { type: "host", value: "pc" },
    ] as const) {
      expect(await connector.apply(callOf({ target }))).toMatchObject({ kind: "refused" });
      expect(await connector.undo(callOf({ target }))).toMatchObject({ kind: "undone" });
      expect(await connector.verify(callOf({ target }))).toMatchObject({ kind: "absent" });
    }
    expect(await connector.apply(callOf({ action: "isolate_host" }))).toMatchObject({
      kind: "refused",
      code: "connector-unknown",
    });
    expect(asked).toHaveLength(0);
  });

  test("an address is sent in its one spelling", async () => {
    const { connector, asked } = connectorOf(plain, () => ({ status: 201 }));
    await connector.apply(callOf({ target: { type: "address", value: "2001:DB8::0:1" } }));
    expect(asked.map(textOfBody)).toEqual(['{"ip":"2001:db8::1","ttl":3600}']);
  });
});

describe("verify says present or absent only where that is clear", () => {
  const verified = async (said: Said, text = plain): Promise<string> =>
    (await connectorOf(text, () => said).connector.verify(callOf())).kind;

  test("a list with the entry, without it, and no list at all", async () => {
    expect(await verified({ json: { bans: [{ ip: "198.51.100.1" }, { ip: "203.0.113.9/32" }] } })).toBe("present");
    expect(await verified({ json: { bans: [{ ip: "198.51.100.1" }] } })).toBe("absent");
    expect(await verified({ json: { bans: [] } })).toBe("absent");
    expect(await verified({ json: { bans: null } })).toBe("absent");
    expect(await verified({ json: { items: [] } })).toBe("unknown");
    expect(await verified({ json: { bans: "none" } })).toBe("unknown");
  });

  test("an error is no absence", async () => {
    for (const status of [301, 400, 401, 403, 404, 429, 500, 502, 503])
      expect(await verified({ status, json: { bans: [] } })).toBe("unknown");
    expect(await verified({ text: "{" })).toBe("unknown");
    expect(await verified({ text: "" })).toBe("unknown");
    expect(await verified({ text: `${"[".repeat(200)}${"]".repeat(200)}` })).toBe("unknown");
  });

  test("what is both is neither", async () => {
    const both = plain.replace("present: {", "absent: { status: 200 }, present: {");
    expect(await verified({ json: { bans: [{ ip: "203.0.113.9" }] } }, both)).toBe("unknown");
  });

  test("all pages are read before anything is said to be absent, and no more than a hundred", async () => {
    const paged = plain.replace(
      "path: [bans] }, present",
      "path: [bans] }, pages: { cursor: /next, query: after }, present",
    );
    const page = (more: boolean, ip: string) => ({ json: { bans: [{ ip }], next: more ? "c&d=1" : null } });
    const { connector, asked } = connectorOf(paged, ({ url }) =>
      url.includes("after=c%26d%3D1") ? page(false, "203.0.113.9") : page(true, "198.51.100.1"),
    );
    expect((await connector.verify(callOf())).kind).toBe("present");
    expect(asked).toHaveLength(2);
    const endless = connectorOf(paged, () => page(true, "198.51.100.1"));
    expect((await endless.connector.verify(callOf())).kind).toBe("unknown");
    expect(endless.asked).toHaveLength(100);
  });

  test("the next page is never asked of another origin", async () => {
    const paged = plain.replace("path: [bans] }, present", "path: [bans] }, pages: { next: /next }, present");
    const { connector, asked } = connectorOf(paged, ({ url }) =>
      url === "" ? { kind: "unsent", detail: "not a URL" } : { json: { bans: [], next: "https://evil.example/bans" } },
    );
    expect((await connector.verify(callOf())).kind).toBe("unknown");
    expect(asked.some(({ url }) => url.includes("evil"))).toBe(false);
  });
});

describe("undo is done, or tried again", () => {
  const undone = async (said: Said) => (await connectorOf(plain, () => said).connector.undo(callOf())).kind;
  test("only a clear answer ends it", async () => {
    expect(await undone({ status: 204 })).toBe("undone");
    expect(await undone({ status: 404 })).toBe("undone");
    for (const status of [200, 202, 302, 400, 401, 403, 409, 429, 500, 503])
      expect(await undone({ status })).toBe("retry");
  });

  const finding = plain.replace(
    "undo: { request: { method: DELETE, path: [bans, $target.value] }",
    "undo: { find: { request: { method: GET, path: [bans] }, items: /bans, where: { /ip: $target.value, /note: { starts: Reflex } }, id: /id }, request: { method: DELETE, path: [bans, $found.id] }",
  );
  test("it removes what carries our mark, and nothing when there is none", async () => {
    const bans = [
      { id: 1, ip: "203.0.113.9", note: "by hand" },
      { id: 2, ip: "203.0.113.9", note: "Reflex 1" },
    ];
    const { connector, asked } = connectorOf(finding, ({ method }) =>
      method === "GET" ? { json: { bans } } : { status: 204 },
    );
    expect((await connector.undo(callOf())).kind).toBe("undone");
    expect(asked.at(-1)?.url).toBe("https://fw.example/bans/2");
    bans.pop();
    expect((await connector.undo(callOf())).kind).toBe("undone");
    expect(asked.filter(({ method }) => method === "DELETE")).toHaveLength(1);
    bans.push({ id: 3, ip: "203.0.113.9", note: "Reflex 1" }, { id: 4, ip: "203.0.113.9", note: "Reflex 2" });
    expect((await connector.undo(callOf())).kind).toBe("retry");
    expect(asked.filter(({ method }) => method === "DELETE")).toHaveLength(1);
  });
});

describe("what is not known is not taken for a no", () => {
  const marked = `
manifest: 1
name: fw
about: a firewall
auth: none
actions:
  block_ip:
    targets: [address]
    capture: { request: { method: GET, path: [mark] }, keep: { mark: /mark, was_there: { when: { where: { /there: true } } } } }
    apply: { unless: { $captured.was_there: true }, request: { method: POST, path: [bans] } }
    verify: { request: { method: GET, path: [bans] }, present: { items: /bans, where: { /mark: $captured.mark } } }
    undo:
      unless: { $captured.was_there: true }
      find: { request: { method: GET, path: [bans] }, items: /bans, where: { /mark: $captured.mark }, id: /id }
      request: { method: DELETE, path: [bans, $found.id] }
`;
  test("without undo data nothing is absent, undone or freed", async () => {
    const { connector, asked } = connectorOf(marked, () => ({ json: { bans: [{ id: 1, mark: "ours" }] } }));
    for (const undoData of ["", "{}", '{"captured":{}}', '{"captured":{"mark":"ours"}}']) {
      const call = callOf({ undoData });
      expect((await connector.undo(call)).kind).toBe("retry");
      expect((await connector.apply(call)).kind).toBe("refused");
      if (!undoData.includes("mark")) expect((await connector.verify(call)).kind).toBe("unknown");
    }
    expect((await connector.undo(callOf({ undoData: '{"captured":{"was_there":false}}' }))).kind).toBe("retry");
    expect(asked.every(({ method }) => method === "GET")).toBe(true);
  });

  test("with it they are", async () => {
    const { connector, asked } = connectorOf(marked, () => ({ json: { bans: [{ id: 1, mark: "ours" }] } }));
    const undoData = '{"captured":{"mark":"ours","was_there":false}}';
    expect((await connector.verify(callOf({ undoData }))).kind).toBe("present");
    expect((await connector.undo(callOf({ undoData }))).kind).toBe("undone");
    expect(asked.at(-1)?.url).toBe("https://fw.example/bans/1");
  });
});

describe("requests that follow one another", () => {
  const followed = plain
    .replace(
      "already: {",
      "after: { request: { method: POST, path: [commit] }, done: { status: 200 } }\n      already: {",
    )
    .replace("gone: { status: 404 }", "gone: { status: 404 }, after: [{ request: { method: POST, path: [commit] } }]");
  test("half done is unknown, half undone is tried again, also where the first half is there already", async () => {
    const open = (first: number, second: number) =>
      connectorOf(followed, ({ url }) => ({
        status: url.endsWith("/commit") ? second : first,
        json: { error: "exists" },
      })).connector;
    for (const first of [201, 409]) {
      expect((await open(first, 200).apply(callOf())).kind).toBe("applied");
      expect((await open(first, 500).apply(callOf())).kind).toBe("unknown");
      expect((await open(first, 400).apply(callOf())).kind).toBe("unknown");
    }
    for (const first of [204, 404]) {
      expect((await open(first, 200).undo(callOf())).kind).toBe("undone");
      expect((await open(first, 500).undo(callOf())).kind).toBe("retry");
    }
  });
});

test("a 429 on a read before a change keeps its Retry-After", async () => {
  const reading = plain.replace(
    "request: { method: DELETE, path: [bans, $target.value] }",
    "find: { request: { method: GET, path: [bans] }, items: /bans, id: /id }, request: { method: DELETE, path: [bans, $found.id] }",
  );
  const { connector } = connectorOf(reading, () => ({ status: 429, headers: { "retry-after": "9" } }));
  expect(await connector.undo(callOf())).toMatchObject({ kind: "retry", retryAfterMs: 9_000 });
});

test("what listing gives is ours, in the ids of the targets", async () => {
  const listing =
    plain +
    `
    list: { request: { method: GET, path: [bans] }, items: /bans, where: { /by: reflex }, id: /ip, id_as: address }`;
  const { connector } = connectorOf(listing, () => ({
    json: {
      bans: [
        { ip: "203.0.113.9/32", by: "reflex" },
        { ip: "2001:DB8::1", by: "reflex" },
        { ip: "198.51.100.1", by: "ada" },
        { ip: "198.51.100.0/24", by: "reflex" },
      ],
    },
  }));
  expect(await connector.listInForce?.()).toEqual({
    ok: true,
    value: [
      { action: "block_ip", id: "203.0.113.9" },
      { action: "block_ip", id: "2001:db8::1" },
    ],
  });
  const broken = connectorOf(listing, () => ({ status: 500 }));
  expect(await broken.connector.listInForce?.()).toMatchObject({ ok: false });
  expect(connectorOf(plain, () => ({})).connector.listInForce).toBeUndefined();
});

test("a description tells what a person must know, and no secret", () => {
  const { connector } = connectorOf(
    plain.replace(
      "message:",
      "needs: [a token that may write bans]\nrate: { per_second: 5, burst: 10, at_once: 2 }\nmessage:",
    ),
    () => ({}),
  );
  expect(connector.describe()).toEqual({
    about: "a firewall",
    needs: ["a token that may write bans"],
    actions: { block_ip: { targets: ["address"], nativeTtl: false, canVerify: true, canUndo: true } },
    rate: { perSecond: 5, burst: 10 },
    callsAtOnceMax: 2,
  });
});
