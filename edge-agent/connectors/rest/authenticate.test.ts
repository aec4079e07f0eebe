import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import type { HttpCall } from "../http-call.ts";
import { callOf, connectorOf, type FarEnd, startNowMs, textOfBody } from "./rest-fixture.ts";

const manifest = (auth: string, secrets: readonly string[], more = ""): string => `
manifest: 1
name: fw
about: a firewall
${secrets.length === 0 ? "" : `secrets: { ${secrets.map((name) => `${name}: { about: it${name === "session" ? ", optional: true" : ""} }`).join(", ")} }`}
auth: ${auth}
message: [/error]
actions:
  block_ip:
    targets: [address]
    apply: { request: { method: POST, path: [bans], json: { ip: $target.value } } }
    verify: { request: { method: GET, path: [bans]${more} }, present: { status: 200 }, absent: { status: 404 } }
    undo: { request: { method: DELETE, path: [bans] } }
`;

const headersSent = async (
  auth: string,
  secrets: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> => {
  const { connector, asked } = connectorOf(manifest(auth, Object.keys(secrets)), () => ({}), {
    secrets: Object.fromEntries(Object.entries(secrets).map(([name, text]) => [`env:${name}`, text])),
  });
  expect((await connector.apply(callOf())).kind).toBe("applied");
  return asked.at(-1)?.headers ?? {};
};

describe("each way to show who is asking", () => {
  test("bearer, header with prefix, several headers, basic", async () => {
    expect(await headersSent("{ bearer: $secrets.a }", { a: "tok" })).toMatchObject({ authorization: "Bearer tok" });
    expect(
      await headersSent('{ header: { name: Authorization, prefix: "SSWS ", value: $secrets.a } }', { a: "tok" }),
    ).toMatchObject({ authorization: "SSWS tok" });
    expect(
      await headersSent("{ header: [{ name: X-Email, value: $secrets.a }, { name: X-Key, value: $secrets.b }] }", {
        a: "me",
        b: "key",
      }),
    ).toMatchObject({ "x-email": "me", "x-key": "key" });
    expect(
      await headersSent("{ basic: { user: $secrets.a, password: $secrets.b } }", { a: "üser", b: "p:w" }),
    ).toMatchObject({
      authorization: `Basic ${Buffer.from("üser:p:w").toString("base64")}`,
    });
  });

  test("a rotated secret is used at the next call", async () => {
    const secrets: Record<string, string> = { "env:a": "old" };
    const { connector, asked } = connectorOf(manifest("{ bearer: $secrets.a }", ["a"]), () => ({}), { secrets });
    await connector.apply(callOf());
    secrets["env:a"] = "new";
    await connector.apply(callOf());
    expect(asked.map(({ headers }) => headers["authorization"])).toEqual(["Bearer old", "Bearer new"]);
  });

  test("a secret that is not there, or has a line break, sends nothing", async () => {
    const secrets: Record<string, string> = { "env:a": "one\r\nx-evil: 1" };
    const { connector, asked } = connectorOf(manifest("{ bearer: $secrets.a }", ["a"]), () => ({}), { secrets });
    expect((await connector.apply(callOf())).kind).toBe("refused");
    delete secrets["env:a"];
    expect((await connector.apply(callOf())).kind).toBe("retry");
    expect(await connector.start()).toMatchObject({ ok: false });
    expect(asked).toHaveLength(0);
  });

  test("AWS Signature Version 4: the published example of its test suite", async () => {
    // get-vanilla of the AWS SigV4 test suite: AKIDEXAMPLE, 20150830T123600Z, us-east-1, service.
    const text = manifest(
      "{ sigv4: { service: service, region: us-east-1, access_key: $secrets.a, secret_key: $secrets.b, session_token: $secrets.session } }",
      ["a", "b", "session"],
    ).replace("path: [bans] }, present", 'path: [""] }, present');
    const { connector, asked, clock } = connectorOf(text, () => ({}), {
      site: { baseUrl: "https://example.amazonaws.com", secrets: { a: "env:a", b: "env:b" } },
      secrets: { "env:a": "AKIDEXAMPLE", "env:b": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" },
    });
    clock.atMs = Date.parse("2015-08-30T12:36:00Z");
    await connector.verify(callOf());
    const { headers = {} } = asked[0] ?? {};
    expect(headers["authorization"]).toBe(
      "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, " +
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    );
    expect(headers["x-amz-date"]).toBe("20150830T123600Z");
    expect(headers).not.toHaveProperty("host");
    expect(headers).not.toHaveProperty("x-amz-security-token");
  });
});

const login =
  "{ login: { request: { method: POST, path: [login], json: { user: reflex, password: $secrets.a } }, token: /data/token, expires_seconds: 600 } }";
const oauth =
  "{ oauth2: { token_url: { path: [oauth, token] }, client_id: reflex, client_secret: $secrets.a, scope: act, style: basic } }";

/** Gives tokens t1, t2, … of which only the newest is good. */
const tokenDesk = (more: (call: HttpCall) => ReturnType<FarEnd> | undefined = () => undefined) => {
  let issued = 0;
  const state = { newest: "" };
  const farEnd: FarEnd = (call) => {
    const other = more(call);
    if (other !== undefined) return other;
    if (/login|oauth/.test(call.url)) {
      issued += 1;
      state.newest = `t${issued}`;
      return {
        json: call.url.includes("oauth")
          ? { access_token: state.newest, expires_in: 600 }
          : { data: { token: state.newest } },
      };
    }
    return call.headers["authorization"] === `Bearer ${state.newest}` ? { status: 200 } : { status: 401 };
  };
  return { farEnd, state, issued: () => issued };
};

describe.each([
  ["login", login],
  ["oauth2", oauth],
])("short-lived tokens (%s)", (_, auth) => {
  const open = (farEnd: FarEnd) => connectorOf(manifest(auth, ["a"]), farEnd);

  test("one is fetched for many calls at once, and kept until shortly before its end", async () => {
    const desk = tokenDesk();
    const { connector, clock } = open(desk.farEnd);
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => connector.apply(callOf())));
    expect(outcomes.every(({ kind }) => kind === "applied")).toBe(true);
    clock.atMs = startNowMs + 530_000;
    await connector.apply(callOf());
    expect(desk.issued()).toBe(1);
    clock.atMs = startNowMs + 541_000;
    expect((await connector.apply(callOf())).kind).toBe("applied");
    expect(desk.issued()).toBe(2);
  });

  test("one that expired early is fetched anew, once, and the call is made with it", async () => {
    const desk = tokenDesk();
    const { connector, asked } = open(desk.farEnd);
    await connector.apply(callOf());
    desk.state.newest = "revoked";
    expect((await connector.apply(callOf())).kind).toBe("applied");
    expect(desk.issued()).toBe(2);
    const before = asked.length;
    const never = open((call) => (/login|oauth/.test(call.url) ? tokenDesk().farEnd(call) : { status: 401 }));
    expect(await never.connector.apply(callOf())).toMatchObject({ kind: "refused", code: "unauthorised" });
    expect(never.asked.filter(({ url }) => url.endsWith("/bans"))).toHaveLength(2);
    expect(asked).toHaveLength(before);
  });

  test("without a token nothing was done: wrong credentials are refused, anything else is tried again", async () => {
    const said = async (answer: Exclude<Awaited<ReturnType<FarEnd>>, never>) => {
      const { connector, asked } = open(() => answer);
      const outcome = await connector.apply(callOf());
      expect(asked.every(({ url }) => !url.endsWith("/bans"))).toBe(true);
      return outcome;
    };
    expect(await said({ status: 401, json: { error: "bad" } })).toMatchObject({
      kind: "refused",
      code: "unauthorised",
    });
    expect(await said({ status: 429, headers: { "retry-after": "3" } })).toMatchObject({
      kind: "retry",
      retryAfterMs: 3_000,
    });
    expect(await said({ status: 500 })).toMatchObject({ kind: "retry" });
    expect(await said({ kind: "unknown", detail: "reset" })).toMatchObject({ kind: "retry" });
    expect(await said({ status: 200, json: {} })).toMatchObject({ kind: "refused" });
    expect(await said({ status: 200, text: "<html>" })).toMatchObject({ kind: "retry" });
  });

  test("the secret is sent to the desk alone", async () => {
    const desk = tokenDesk();
    const { connector, asked } = connectorOf(manifest(auth, ["a"]), desk.farEnd, {
      secrets: { "env:a": "pl4nted&secret=1" },
    });
    await connector.apply(callOf());
    const texts = asked.map((call) =>
      JSON.stringify([call.url, call.headers, call.body === undefined ? "" : textOfBody(call)]),
    );
    const isSaid = (text: string): boolean => {
      const basic = /Basic ([A-Za-z0-9+/=]+)/.exec(text)?.[1];
      return `${text}${decodeURIComponent(Buffer.from(basic ?? "", "base64").toString())}`.includes("pl4nted&secret=1");
    };
    expect(texts.map(isSaid)).toEqual([true, false]);
  });
});
