import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ReportRecord } from "@reflex/protocol/report";
import { sql } from "drizzle-orm";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createIngest, type Ingest } from "../link/ingest.ts";
import { nodeCrypto } from "../link/node-crypto.ts";
import { agentFixture, commandRecord, eventRecord, tokenRecord } from "../link/report-fixture.ts";
import { type Database, openDatabase } from "./database.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded-postgres.ts";
import { createIngestStore } from "./ingest-store.ts";
import { migrate } from "./migrate.ts";
import { createOrderStore } from "./order-store.ts";

let folder = "";
let server: EmbeddedPostgres;
let database: Database;
let ingest: Ingest;
let number = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "reflex-ingest-"));
  chmodSync(folder, 0o711);
  server = await startEmbeddedPostgres({ folder: join(folder, "postgres"), log: () => undefined });
  database = openDatabase(server.url, 4);
  await migrate(database);
  ingest = createIngest({ org: "acme", store: createIngestStore(database), ...nodeCrypto });
});
afterAll(async () => {
  await database.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const enrolled = async () => {
  number += 1;
  const agent = agentFixture("acme", "north", `agent-${number}`);
  await database.db.execute(
    sql`insert into agents (agent, site, report_key) values (${agent.address.agent}, ${agent.address.site}, ${agent.reportKey})`,
  );
  return agent;
};
const countOf = async (table: string, agent: string): Promise<number> => {
  const [row] = await database.db.execute(
    sql`select count(*)::int as rows from ${sql.identifier(table)} where agent = ${agent}`,
  );
  return Number(row?.["rows"]);
};
const acknowledgedOf = async (agent: string): Promise<number> => {
  const [row] = await database.db.execute(sql`select acknowledged::int from agents where agent = ${agent}`);
  return Number(row?.["acknowledged"]);
};

test("an order is answered once, and by nobody but the agent it was for", async () => {
  const [agent, other] = [await enrolled(), await enrolled()];
  const store = createOrderStore(database);
  const orderId = "019cb000-0000-7000-8000-00000000000a";
  await store.store({
    v: 1,
    kind: "order",
    aud: agent.address,
    order_id: orderId,
    issued_at: "2026-03-01T12:00:00.000Z",
    expires_at: "2026-03-01T12:05:00.000Z",
    do: { kind: "reconcile", connector: "edl" },
    by: "operator",
    reason: "drill",
  });
  expect(await store.order(orderId)).toMatchObject({ state: "unanswered" });
  const answer = (sequence: number, name: string): ReportRecord => ({
    sequence,
    kind: "event",
    body: { at: "2026-03-01T12:01:00.000Z", level: "info", name, detail: name, order_id: orderId },
  });
  await ingest(other.address.agent, other.batch([answer(1, "order-done")]));
  expect(await store.order(orderId)).toMatchObject({ state: "unanswered" });
  await ingest(agent.address.agent, agent.batch([answer(1, "something else"), answer(2, "order-refused")]));
  await ingest(agent.address.agent, agent.batch([answer(3, "order-done")]));
  expect(await store.order(orderId)).toMatchObject({ state: "refused", detail: "order-refused" });
  expect(await countOf("agent_events", agent.address.agent)).toBe(3);
});

describe("a record acknowledged is a record stored, once", () => {
  test("the same batch three times, and overlapping batches, store every record once", async () => {
    const agent = await enrolled();
    const name = agent.address.agent;
    const records = [
      tokenRecord(agent, 1, 1),
      commandRecord(agent, 2, "planned"),
      commandRecord(agent, 3, "sent"),
      eventRecord(4),
      tokenRecord(agent, 5, 2),
      commandRecord(agent, 6, "in_force"),
    ];
    const first = agent.batch(records.slice(0, 4));
    for (const again of [1, 2, 3]) {
      const outcome = await ingest(name, first);
      expect(outcome.kind).toBe(again === 1 ? "stored" : "ignored");
      expect(outcome).toMatchObject({ acknowledged: 4 });
    }
    const overlapping = await ingest(name, agent.batch(records.slice(2)));
    expect(overlapping).toMatchObject({ kind: "stored", acknowledged: 6 });
    expect(overlapping.kind === "stored" && overlapping.stored.map(({ sequence }) => sequence)).toEqual([5, 6]);
    expect(
      await Promise.all(
        ["records", "tokens", "commands", "command_steps", "agent_events"].map((table) => countOf(table, name)),
      ),
    ).toEqual([6, 2, 1, 3, 1]);
    const [command] = await database.db.execute(sql`select state, sequence::int from commands where agent = ${name}`);
    expect(command).toMatchObject({ state: "in_force", sequence: 6 });
  });

  test("batches sent all at once and twice are stored once and in order", async () => {
    const agents = await Promise.all([enrolled(), enrolled(), enrolled()]);
    const sent = agents.flatMap((agent) =>
      [0, 1, 2, 3].map((batch) => ({
        agent,
        bytes: agent.batch([0, 1, 2].map((at) => eventRecord(batch * 3 + at + 1))),
      })),
    );
    await Promise.all([...sent, ...sent].map(({ agent, bytes }) => ingest(agent.address.agent, bytes)));
    for (const { address } of agents) {
      expect(await acknowledgedOf(address.agent)).toBe(12);
      expect(await countOf("agent_events", address.agent)).toBe(12);
    }
  });

  test("a batch that leaves a hole is not stored, and its sender is told from where to go on", async () => {
    const agent = await enrolled();
    const name = agent.address.agent;
    await ingest(name, agent.batch([eventRecord(1)]));
    expect(await ingest(name, agent.batch([eventRecord(3)]))).toMatchObject({ kind: "ignored", acknowledged: 1 });
    expect(await countOf("records", name)).toBe(1);
  });

  test("a token is kept byte for byte, with what PostgreSQL cannot hold in its columns", async () => {
    const agent = await enrolled();
    const odd = tokenRecord(agent, 1, 1, "nul \u0000 and half a pair \ud800");
    const outcome = await ingest(
      agent.address.agent,
      agent.batchText(1, 1, `[{"sequence":1,"kind":"token","body": ${JSON.stringify(odd.body)} }]`),
    );
    expect(outcome.kind).toBe("stored");
    const [row] = await database.db.execute(sql`select token_json from tokens where agent = ${agent.address.agent}`);
    expect(row?.["token_json"]).toBe(JSON.stringify(odd.body));
  });

  test("an agent that enrols anew begins at 1 again, and nothing of the old one is lost or mixed in", async () => {
    const agent = await enrolled();
    const name = agent.address.agent;
    await ingest(name, agent.batch([eventRecord(1), eventRecord(2)]));
    const anew = agentFixture("acme", "north", name);
    await database.db.execute(
      sql`update agents set report_key = ${anew.reportKey}, incarnation = 2, acknowledged = 0 where agent = ${name}`,
    );
    expect((await ingest(name, agent.batch([eventRecord(3)]))).kind).toBe("quarantined");
    expect(await ingest(name, anew.batch([eventRecord(1)]))).toMatchObject({ kind: "stored", acknowledged: 1 });
    expect(await countOf("agent_events", name)).toBe(3);
  });
});

describe("poison", () => {
  test("an unreadable record is kept aside and the others go on", async () => {
    const agent = await enrolled();
    const name = agent.address.agent;
    const text = `[${JSON.stringify(eventRecord(1))},{"sequence":2,"kind":"event","body":{"level":"no such level"}},${JSON.stringify(eventRecord(3))}]`;
    expect(await ingest(name, agent.batchText(1, 3, text))).toMatchObject({ kind: "stored", acknowledged: 3 });
    expect(await countOf("agent_events", name)).toBe(2);
    const [row] = await database.db.execute(sql`select code, content from quarantine where agent = ${name}`);
    expect(row).toMatchObject({ code: "schema-invalid", content: '{"level":"no such level"}' });
  });

  test("what is not signed by the agent is never stored; repeated, it is counted and audited once", async () => {
    const agent = await enrolled();
    const name = agent.address.agent;
    const forged = agentFixture("acme", "north", name).batch([eventRecord(1)]);
    for (let again = 0; again < 3; again += 1)
      expect(await ingest(name, forged)).toMatchObject({ kind: "quarantined", refusal: { code: "signature-invalid" } });
    expect(await acknowledgedOf(name)).toBe(0);
    const [row] = await database.db.execute(sql`select seen from quarantine where agent = ${name}`);
    expect(row).toMatchObject({ seen: 3 });
    const audited = await database.db.execute(sql`select 1 from audit where actor = ${`agent ${name}`}`);
    expect(audited.length).toBe(1);
  });

  test("an agent cannot speak for another: not in a batch, not in a token, not about a command", async () => {
    const [agent, other] = [await enrolled(), await enrolled()];
    const name = agent.address.agent;
    expect((await ingest(name, other.batch([eventRecord(1)]))).kind).toBe("quarantined");
    expect(await ingest(name, agent.batch([tokenRecord(other, 1, 1)]))).toMatchObject({ kind: "stored" });
    expect(await countOf("tokens", name)).toBe(0);
    await ingest(other.address.agent, other.batch([commandRecord(other, 1, "in_force")]));
    await ingest(name, agent.batch([commandRecord(other, 2, "undone")]));
    const [command] = await database.db.execute(
      sql`select agent, state from commands where command_id = ${commandRecord(other, 1, "sent").body.command.command_id}`,
    );
    expect(command).toMatchObject({ agent: other.address.agent, state: "in_force" });
  });
});

const nothing = (): void => undefined;

describe("when the backend dies inside a unit of work", () => {
  // Its own pool of one connection, so that everything queued waits behind the statement that dies.
  let narrow: Database;
  let breaker: postgres.Sql;
  beforeEach(() => {
    narrow = openDatabase(server.url, 1);
    breaker = postgres(server.url, { max: 2, onnotice: () => undefined });
  });
  afterEach(async () => {
    await Promise.all([narrow.close(), breaker.end()]);
  });

  /** Starts the work while something it needs is held, kills its backend as it waits, then lets go. */
  const dieWhileWaiting = async <T>(holding: string, work: () => Promise<T>): Promise<T> => {
    const holder = await breaker.reserve();
    await holder.unsafe(`begin; ${holding}`).simple();
    const result = work();
    const queued = Array.from({ length: 5 }, () => narrow.db.execute(sql`select 1`).then(nothing, nothing));
    let pid: number | undefined;
    while (pid === undefined) {
      const [row] =
        await breaker`select pid from pg_stat_activity where application_name = 'reflex' and wait_event_type = 'Lock'`;
      pid = row?.["pid"];
    }
    await breaker`select pg_terminate_backend(${pid})`;
    await holder.unsafe("rollback").simple();
    holder.release();
    await Promise.all(queued);
    return result;
  };

  test("an ingest statement is not stored in part, its sender is not acknowledged, and sending again stores it", async () => {
    const agent = await enrolled();
    const name = agent.address.agent;
    const bytes = agent.batch([tokenRecord(agent, 1, 1), eventRecord(2), commandRecord(agent, 3, "sent")]);
    const through = createIngest({ org: "acme", store: createIngestStore(narrow), ...nodeCrypto });
    // The same key, written but not committed: the statement waits in its middle, with other tables already written.
    const sameEvent = `insert into agent_events (agent, site, incarnation, sequence, at, level, name, detail) values ('${name}', 'north', 1, 2, now(), 'info', 'held', '')`;
    const outcome = await dieWhileWaiting(sameEvent, () => through(name, bytes));
    expect(outcome).toMatchObject({ kind: "failed", refusal: { code: "store-failed" } });
    expect(
      await Promise.all(["records", "tokens", "agent_events", "commands"].map((table) => countOf(table, name))),
    ).toEqual([0, 0, 0, 0]);
    expect(await acknowledgedOf(name)).toBe(0);
    // An agent sends until it is acknowledged; the pool's next statement may still meet the dead connection.
    const again = [await through(name, bytes), await through(name, bytes), await through(name, bytes)];
    expect(again.filter(({ kind }) => kind === "stored")).toHaveLength(1);
    expect(again.at(-1)).toMatchObject({ acknowledged: 3 });
  });

  test("a script of several statements is undone whole", async () => {
    await database.runScript("create table if not exists torn (value int); truncate torn");
    const script = "insert into torn values (1); lock table sites in exclusive mode; insert into torn values (2)";
    const outcome = await dieWhileWaiting("lock table sites in exclusive mode", () =>
      narrow.runScript(script).then(
        () => "ran",
        () => "refused",
      ),
    );
    expect(outcome).toBe("refused");
    expect(await database.db.execute(sql`select * from torn`)).toHaveLength(0);
  });
});
