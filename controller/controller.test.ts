import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Envelope } from "@reflex/protocol/envelope";
import type { Head, SyncRequest, SyncResponse } from "@reflex/protocol/sync";
import { topicOf } from "@reflex/protocol/topics";
import { checkEnvelope, checkHead } from "@reflex/protocol/validate";
import mqtt, { type MqttClient } from "mqtt";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import {
  type Answered,
  callApi,
  ended,
  makeCsr,
  type Running,
  startControllerProcess,
  type Tls,
} from "./controller-fixture.ts";
import { type AgentFixture, agentFixture, commandRecord, eventRecord, tokenRecord } from "./link/report-fixture.ts";
import { createKeys, readKey } from "./reflexctl/keys.ts";
import { signKill } from "./reflexctl/kill.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./store/embedded-postgres.ts";

const org = "acme";
const site = "north";
let folder = "";
let server: EmbeddedPostgres;
let sql: postgres.Sql;
let controller: Running;
const ends: (() => void)[] = [];

const startController = (): Promise<Running> => startControllerProcess(folder, org, server.url);
const call = (
  method: string,
  path: string,
  body?: unknown,
  more: Parameters<typeof callApi>[4] = {},
): Promise<Answered> => callApi(controller, method, path, body, more);

type Enrolled = AgentFixture & { readonly tls: Tls };
const joinToken = async (): Promise<string> =>
  String((await call("POST", "/v1/join-tokens", { site })).body["join_token"]);
const enrol = async (name: string): Promise<Enrolled> => {
  const agent = agentFixture(org, site, name);
  const { csr, key } = await makeCsr(name);
  const answer = await call("POST", "/v1/enrol", {
    join_token: await joinToken(),
    agent: name,
    csr,
    report_key: agent.reportKey,
  });
  expect(answer.status).toBe(201);
  return { ...agent, tls: { cert: String(answer.body["certificate"]), key } };
};

const syncRequest = ({ address }: AgentFixture): SyncRequest => ({
  v: 1,
  ...address,
  boot_id: "boot-fixture",
  engine: "reflex/1",
  bundle: { version: 0, phase: "none" },
  weights: { version: 0, phase: "none" },
  head_sequence: 0,
  kill_epochs: {},
  spool: { first: 0, last: 0 },
});
const headOf = (envelope: Envelope): Head => {
  const head = checkHead(JSON.parse(Buffer.from(envelope.payload, "base64").toString("utf8")));
  if (!head.ok) throw new Error(head.error.detail);
  return head.value;
};

/** Connected as the agent, with everything it hears. */
const connect = async (
  agent: Enrolled,
): Promise<{
  readonly client: MqttClient;
  readonly next: (topic: string, isIt?: (text: string) => boolean) => Promise<string>;
}> => {
  const { address, tls } = agent;
  const client = await mqtt.connectAsync(controller.brokerUrl, {
    ...tls,
    ca: controller.ca,
    clientId: address.agent,
    reconnectPeriod: 0,
    protocolVersion: 4,
  });
  client.on("error", () => undefined);
  ends.push(() => client.end(true));
  const heard: { topic: string; text: string }[] = [];
  const wake: (() => void)[] = [];
  client.on("message", (topic, payload) => {
    heard.push({ topic, text: payload.toString() });
    for (const run of wake.splice(0)) run();
  });
  const downs = ["head", "killOrg", "killSite", "killAgent", "syncResponse", "acknowledgement"] as const;
  await client.subscribeAsync(
    downs.map((name) => topicOf[name](address)),
    { qos: 1 },
  );
  const next = async (topic: string, isIt: (text: string) => boolean = () => true): Promise<string> => {
    for (;;) {
      const at = heard.findIndex((message) => message.topic === topic && isIt(message.text));
      if (at >= 0) return heard.splice(at, 1)[0]?.text ?? "";
      await new Promise<void>((done) => wake.push(done));
    }
  };
  return { client, next };
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "reflex-controller-"));
  chmodSync(folder, 0o711);
  createKeys({
    dir: join(folder, "keys"),
    org,
    releaseKeys: 2,
    releaseThreshold: 2,
    issuedAt: new Date().toISOString(),
  });
  server = await startEmbeddedPostgres({ folder: join(folder, "postgres"), log: () => undefined });
  sql = postgres(server.url, { max: 3, onnotice: () => undefined });
  controller = await startController();
});
afterAll(async () => {
  for (const end of ends) end();
  const gone = ended(controller.child);
  controller.child.kill("SIGTERM");
  expect(await gone).toBe(0);
  await sql.end();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("enrolment", () => {
  test("a join token enrols one agent, once; the same agent may ask again if the answer was lost", async () => {
    const token = await joinToken();
    const { csr } = await makeCsr("one");
    const body = { join_token: token, agent: "one", csr, report_key: agentFixture(org, site, "one").reportKey };
    const first = await call("POST", "/v1/enrol", body);
    expect(first).toMatchObject({ status: 201, body: { org, site, agent: "one" } });
    expect(checkEnvelope(first.body["trust"]).ok).toBe(true);
    expect((await call("POST", "/v1/enrol", body)).status).toBe(201);
    const other = await makeCsr("two");
    expect((await call("POST", "/v1/enrol", { ...body, agent: "two", csr: other.csr })).body).toMatchObject({
      code: "unauthorised",
    });
    expect((await call("POST", "/v1/enrol", { ...body, join_token: "x".repeat(43) })).body).toMatchObject({
      code: "unauthorised",
    });
  });

  test("an agent renews by its certificate, and a revoked one does not and is cut off", async () => {
    const agent = await enrol("renewing");
    const { csr } = await makeCsr("renewing");
    expect((await call("POST", "/v1/agent/renew", { csr }, { tls: agent.tls })).status).toBe(200);
    expect((await call("POST", "/v1/agent/renew", { csr })).body).toMatchObject({ code: "unauthorised" });
    const { client } = await connect(agent);
    const cut = new Promise<void>((done) => client.once("close", () => done()));
    expect((await call("POST", "/v1/agents/renewing/revoke")).status).toBe(200);
    await cut;
    expect((await call("POST", "/v1/agent/renew", { csr }, { tls: agent.tls })).body).toMatchObject({
      code: "unauthorised",
    });
  });

  test("without a token or certificate nothing is answered but what anyone may know", async () => {
    const nobody = { headers: { authorization: "Bearer nonsense" } };
    const openapi = await call("GET", "/v1/openapi.json", undefined, nobody);
    const paths = Object.entries(openapi.body["paths"] as Record<string, Record<string, unknown>>);
    expect(paths.length).toBeGreaterThan(20);
    const open = new Set(["/healthz", "/v1/ca.pem", "/v1/enrol"]);
    for (const [path, methods] of paths) {
      if (open.has(path)) continue;
      const id = "019cb000-0000-7000-8000-000000000000";
      const real = path
        .replace("{id}", id)
        .replace("{agent}", "x")
        .replace("{sha256}", "0".repeat(64))
        .replace("{version}", "1");
      for (const method of Object.keys(methods)) {
        const query = path === "/v1/tokens" ? "?agent=x" : "";
        const sent = method === "post" ? { site, csr: "x", decision_id: id, verdict: "true_positive" } : undefined;
        const answer = await call(method.toUpperCase(), `${real}${query}`, sent, nobody);
        expect([method, path, answer.status === 401 || answer.status === 400]).toEqual([method, path, true]);
      }
    }
  });
});

describe("the link", () => {
  test("sync answers with a signed head that grows, and reports are acknowledged once stored", async () => {
    const agent = await enrol("talking");
    const { client, next } = await connect(agent);
    await client.publishAsync(topicOf.syncRequest(agent.address), JSON.stringify(syncRequest(agent)), { qos: 1 });
    const response: SyncResponse = JSON.parse(await next(topicOf.syncResponse(agent.address)));
    expect(response).toMatchObject({ boot_id: "boot-fixture", acknowledged: 0 });
    const head = headOf(response.head);
    expect(head).toMatchObject({ aud: { org, site }, trust_version: 1 });
    const viaHttps = await call("POST", "/v1/agent/sync", syncRequest(agent), { tls: agent.tls });
    expect(headOf(viaHttps.body["head"] as Envelope).sequence).toBeGreaterThanOrEqual(head.sequence);

    const records = [tokenRecord(agent, 1, 1), commandRecord(agent, 2, "in_force"), eventRecord(3)];
    await client.publishAsync(topicOf.report(agent.address), Buffer.from(agent.batch(records)), { qos: 1 });
    expect(JSON.parse(await next(topicOf.acknowledgement(agent.address)))).toMatchObject({
      agent: "talking",
      acknowledged: 3,
    });

    const { body } = await call("GET", "/v1/decisions?agent=talking");
    const [decision] = body["decisions"] as Record<string, unknown>[];
    expect(decision).toMatchObject({ agent: "talking", verdict: "hold" });
    const token = await call("GET", `/v1/decisions/${String(decision?.["decision_id"])}/token`);
    expect(token.text).toBe(JSON.stringify(tokenRecord(agent, 1, 1).body));
    const leases = await call("GET", "/v1/leases?agent=talking");
    expect(leases.body["commands"]).toHaveLength(1);
    const feedback = await call("POST", "/v1/feedback", {
      decision_id: decision?.["decision_id"],
      verdict: "false_positive",
    });
    expect(feedback).toMatchObject({ status: 201, body: { verdict_source: "explicit" } });
  });

  test("pages follow each other without a gap or a repetition", async () => {
    const agent = await enrol("paging");
    const records = Array.from({ length: 7 }, (_, at) => tokenRecord(agent, at + 1, at + 1));
    expect((await call("POST", "/v1/agent/reports", undefined, { tls: agent.tls })).status).toBe(422);
    const taken = await new Promise<number>((done) => {
      const request = httpsRequest(
        new URL("/v1/agent/reports", controller.url),
        {
          method: "POST",
          ca: controller.ca,
          ...agent.tls,
          agent: false,
          headers: { "content-type": "application/json" },
        },
        (answer) => done(answer.resume().statusCode ?? 0),
      );
      request.end(agent.batch(records));
    });
    expect(taken).toBe(200);
    const seen: unknown[] = [];
    for (let cursor = ""; ; ) {
      const { body } = await call("GET", `/v1/decisions?agent=paging&limit=3${cursor}`);
      seen.push(...(body["decisions"] as Record<string, unknown>[]).map((row) => row["decision_id"]));
      if (body["next"] === null) break;
      cursor = `&cursor=${String(body["next"])}`;
    }
    expect(new Set(seen).size).toBe(7);
    expect(seen).toHaveLength(7);
    const chain = await call("GET", "/v1/tokens?agent=paging&after=2&limit=3");
    expect((chain.body["tokens"] as { sequence: number }[]).map(({ sequence }) => sequence)).toEqual([3, 4, 5]);
  });

  test("a kill needs one key and reaches the agent; a release needs two; an old epoch changes nothing", async () => {
    const agent = await enrol("killable");
    const { next } = await connect(agent);
    const [first, second] = ["kill-1", "kill-2"].map((name) => readKey(join(folder, "keys", `${name}.key`)));
    const release = readKey(join(folder, "keys", "release-1.key"));
    if (first === undefined || second === undefined) throw new Error("keys");
    const kill = (state: "engaged" | "armed", epoch: number, keys: readonly (typeof first)[]) =>
      call(
        "POST",
        "/v1/kill",
        signKill(
          { org, site, agent: "*", state, epoch, reason: "test", by: "test", issuedAt: new Date().toISOString() },
          keys,
        ),
      );
    expect((await kill("engaged", 5, [release])).body).toMatchObject({ code: "signature-invalid" });
    expect((await kill("engaged", 5, [first])).body).toMatchObject({ state: "engaged", epoch: 5, sent: true });
    const sent: Envelope = JSON.parse(await next(topicOf.killSite(agent.address)));
    expect(JSON.parse(Buffer.from(sent.payload, "base64").toString("utf8"))).toMatchObject({
      state: "engaged",
      epoch: 5,
    });
    const headTold = await next(
      topicOf.head(agent.address),
      (text) => headOf(JSON.parse(text)).kill_epochs[`${org}/${site}/*`] === 5,
    );
    expect(headTold).toBeDefined();
    const sync = await call("POST", "/v1/agent/sync", syncRequest(agent), { tls: agent.tls });
    expect(sync.body["kills"]).toHaveLength(1);
    expect((await kill("armed", 6, [first])).body).toMatchObject({ code: "threshold-not-met" });
    expect((await kill("armed", 5, [first, second])).body).toMatchObject({ code: "version-rollback" });
    expect((await kill("armed", 6, [first, second])).body).toMatchObject({ state: "armed", epoch: 6 });
    expect((await kill("engaged", 5, [first])).body).toMatchObject({ code: "version-rollback" });
    const { body } = await call("GET", "/v1/kill");
    expect(body["kills"]).toMatchObject([{ scope: `${org}/${site}/*`, state: "armed", epoch: 6 }]);
  });

  test("who watches sees what is stored, and nobody watches without a token", async () => {
    const agent = await enrol("watched");
    const { client, next } = await connect(agent);
    const url = `${controller.url.replace("https", "wss")}/v1/live`;
    const refused = new WebSocket(url, { ca: controller.ca });
    expect(await new Promise((done) => refused.once("error", (error) => done(error.message)))).toContain("401");
    const socket = new WebSocket(url, [`reflex.bearer.${controller.token}`], { ca: controller.ca });
    ends.push(() => socket.terminate());
    await new Promise((done) => socket.once("open", done));
    const seen = new Promise<string>((done) =>
      socket.on("message", (data) => String(data).includes('"event"') && done(String(data))),
    );
    await client.publishAsync(topicOf.report(agent.address), Buffer.from(agent.batch([eventRecord(1)])), { qos: 1 });
    await next(topicOf.acknowledgement(agent.address));
    expect(JSON.parse(await seen)).toMatchObject({ kind: "event", agent: "watched", name: "fixture" });
  });
});

describe("a controller that dies", () => {
  test("between commit and acknowledgement loses nothing and stores nothing twice, and a kill is still known", async () => {
    const agent = await enrol("surviving");
    const { client } = await connect(agent);
    const batch = Buffer.from(agent.batch([tokenRecord(agent, 1, 1), eventRecord(2), commandRecord(agent, 3, "sent")]));
    // Hold the key one record will take, so that the statement waits; stop the controller; let the statement commit; kill it.
    const holder = await sql.reserve();
    await holder
      .unsafe(
        `begin; insert into agent_events (agent, site, incarnation, sequence, at, level, name, detail) values ('surviving', 'north', 1, 2, now(), 'info', 'held', '')`,
      )
      .simple();
    await client.publishAsync(topicOf.report(agent.address), batch, { qos: 1 });
    for (let isWaiting = false; !isWaiting; ) {
      const rows =
        await sql`select 1 from pg_stat_activity where application_name = 'reflex' and wait_event_type = 'Lock'`;
      isWaiting = rows.length > 0;
    }
    controller.child.kill("SIGSTOP");
    await holder.unsafe("rollback").simple();
    holder.release();
    for (let acknowledged = 0; acknowledged < 3; ) {
      const [row] = await sql`select acknowledged::int from agents where agent = 'surviving'`;
      acknowledged = row?.["acknowledged"];
    }
    const gone = ended(controller.child);
    controller.child.kill("SIGKILL");
    expect(await gone).toBe("SIGKILL");

    controller = await startController();
    const again = await connect(agent);
    await again.client.publishAsync(topicOf.report(agent.address), batch, { qos: 1 });
    expect(JSON.parse(await again.next(topicOf.acknowledgement(agent.address)))).toMatchObject({ acknowledged: 3 });
    for (const [table, rows] of [
      ["records", 3],
      ["tokens", 1],
      ["agent_events", 1],
      ["command_steps", 1],
    ] as const) {
      const [row] = await sql`select count(*)::int as rows from ${sql(table)} where agent = 'surviving'`;
      expect([table, row?.["rows"]]).toEqual([table, rows]);
    }
    const { body } = await call("GET", "/v1/kill");
    expect(body["kills"]).toMatchObject([{ state: "armed", epoch: 6 }]);
  });

  test("a broker that dies is started again on its port, and what it retained is said again", async () => {
    const agent = await enrol("waiting");
    const lost = await connect(agent);
    const closed = new Promise<void>((done) => lost.client.once("close", () => done()));
    const [broker] = execFileSync("pgrep", ["-P", String(controller.child.pid), "-f", "broker"])
      .toString()
      .trim()
      .split("\n");
    process.kill(Number(broker), "SIGKILL");
    await closed;
    for (;;) {
      try {
        const { next } = await connect(agent);
        expect(JSON.parse(await next(topicOf.killSite(agent.address)))).toMatchObject({
          payloadType: expect.stringContaining("kill"),
        });
        return;
      } catch {
        await new Promise((done) => setTimeout(done, 50));
      }
    }
  });
});
