import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandState } from "@reflex/protocol/command-life";
import type { Feedback } from "@reflex/protocol/feedback";
import { sql } from "drizzle-orm";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createIngest, type Ingest } from "../link/ingest.ts";
import { nodeCrypto } from "../link/node-crypto.ts";
import { type AgentFixture, agentFixture, commandRecord, tokenRecord } from "../link/report-fixture.ts";
import { type Database, openDatabase } from "../store/database.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../store/embedded-postgres.ts";
import { createIngestStore } from "../store/ingest-store.ts";
import { createLeadership } from "../store/leadership.ts";
import { migrate } from "../store/migrate.ts";
import { createMirrorStore, type MirrorLeader, type MirrorStore } from "../store/mirror-store.ts";
import { createReportStore } from "../store/report-store.ts";
import { type Mirror, startMirror } from "./mirror.ts";
import { createFakeSiem, type FakeSiem, type Fault } from "./opensearch.test-fake.ts";
import { createOpenSearch } from "./opensearch.ts";

const actionsStream = "logs-reflex.actions-default";
const feedbackStream = "logs-reflex.feedback-default";
const times = { idleMs: 5, backoffFromMs: 5, backoffToMs: 20, lookMs: 10, lagSecondsMax: 300 };

let folder = "";
let server: EmbeddedPostgres;
let database: Database;
let store: MirrorStore;
let ingest: Ingest;
let leader: MirrorLeader;
let siem: FakeSiem;
let mirror: Mirror | undefined;
let agents = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "reflex-mirror-"));
  chmodSync(folder, 0o711);
  server = await startEmbeddedPostgres({ folder: join(folder, "postgres"), log: () => undefined });
  database = openDatabase(server.url, 4);
  await migrate(database);
  store = createMirrorStore(database);
  ingest = createIngest({ org: "acme", store: createIngestStore(database), ...nodeCrypto });
});
afterAll(async () => {
  await database.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  await database.runScript("truncate siem_outbox, siem_dead_letters, siem_mirrors, agent_events, leaderships");
  await store.turnOn("test");
  leader = { name: "siem-mirror", token: (await createLeadership(database, "siem-mirror", "test").claim()) ?? 0 };
  siem = createFakeSiem();
  await siem.start();
});
afterEach(async () => {
  await mirror?.stop();
  mirror = undefined;
  await siem.stop();
});

const start = (more: Partial<typeof times> = {}, lead: () => MirrorLeader | undefined = () => leader): void => {
  mirror = startMirror({
    store,
    siem: createOpenSearch({ url: siem.url() }),
    place: { org: "acme", namespace: "default" },
    leader: lead,
    random: Math.random,
    log: () => undefined,
    times: { ...times, ...more },
  });
};
const enrolled = async (): Promise<AgentFixture> => {
  agents += 1;
  const agent = agentFixture("acme", "north", `agent-${agents}`);
  await database.db.execute(
    sql`insert into agents (agent, site, report_key) values (${agent.address.agent}, 'north', ${agent.reportKey})`,
  );
  return agent;
};
/** Steps of one command as reports 1 to n, stored by the very ingest. */
const reported = async (agent: AgentFixture, states: readonly CommandState[], first = 1): Promise<void> => {
  const records = states.map((state, at) => commandRecord(agent, first + at, state));
  const outcome = await ingest(agent.address.agent, agent.batch(records));
  expect(outcome.kind).toBe("stored");
};
const untilEmpty = async (): Promise<void> => {
  for (;;) {
    const { command, feedback } = await store.lags();
    if (command.rows + feedback.rows === 0) return;
    await new Promise((wake) => setTimeout(wake, 10));
  }
};
const eventNames = async (): Promise<unknown[]> =>
  (await database.db.execute(sql`select name from agent_events order by sequence`)).map((row) => row["name"]);
const untilTold = async (name: string): Promise<void> => {
  while (!(await eventNames()).includes(name)) await new Promise((wake) => setTimeout(wake, 10));
};
const sequences = (stream: string): unknown[] =>
  siem.documents(stream).map(({ source }) => (source["event"] as { sequence: number }).sequence);

describe("what a SIEM finds", () => {
  test("every outcome of a command, under the names of ECS, in a stream whose template came first", async () => {
    const agent = await enrolled();
    await reported(agent, ["planned", "sent", "confirmed", "in_force", "undoing", "undone"]);
    start();
    await untilEmpty();
    expect([...siem.templates.keys()]).toEqual(["logs-reflex.actions", "logs-reflex.feedback"]);
    expect(siem.requests.indexOf("POST /_bulk")).toBeGreaterThan(
      siem.requests.lastIndexOf("PUT /_index_template/logs-reflex.feedback"),
    );
    const documents = siem.documents(actionsStream);
    expect(documents.map(({ source }) => source["event"])).toMatchObject([
      { kind: "event", action: "block_ip", outcome: "success", type: ["creation"], code: "in_force", sequence: 4 },
      { kind: "event", action: "block_ip", outcome: "success", type: ["deletion"], code: "undone", sequence: 6 },
    ]);
    expect(documents[0]?.source).toMatchObject({
      "@timestamp": "2026-03-01T12:00:00.000Z",
      data_stream: { type: "logs", dataset: "reflex.actions", namespace: "default" },
      organization: { name: "acme" },
      observer: { name: agent.address.agent },
      related: { ip: ["203.0.113.9"] },
      reflex: { state: "in_force", connector: "edl", site: "north", ttl_seconds: 600 },
    });
  });

  test("failures are failures, and what nobody knows is unknown", async () => {
    await reported(await enrolled(), ["pending_verification", "failed", "stuck", "handed_over"]);
    start();
    await untilEmpty();
    const outcomes = siem
      .documents(actionsStream)
      .map(({ source }) => (source["event"] as { outcome: string }).outcome);
    expect(outcomes).toEqual(["unknown", "failure", "failure", "success"]);
  });

  test("feedback of agents and of analysts, in a stream of its own", async () => {
    const agent = await enrolled();
    await ingest(agent.address.agent, agent.batch([tokenRecord(agent, 1, 1)]));
    const feedback: Feedback = {
      decision_id: tokenRecord(agent, 1, 1).body.decision.decision_id,
      outcome: "overridden",
      execution_latency_ms: 1.5,
      analyst_override: true,
      confidence_adjustment: 0,
      verdict: "false_positive",
      verdict_source: "override",
      analyst: "ann",
      decided_at: "2026-03-01T12:00:00.000Z",
      verdict_at: "2026-03-01T13:00:00.000Z",
      policy_version: 1,
      policy_hash: "0".repeat(64),
      weights_version: 0,
      propensity: 1,
    };
    await createReportStore(database).storeFeedback(feedback);
    await ingest(agent.address.agent, agent.batch([{ sequence: 2, kind: "feedback", body: feedback }]));
    start();
    await untilEmpty();
    expect(siem.documents(actionsStream)).toEqual([]);
    expect(siem.documents(feedbackStream).map(({ source }) => source)).toMatchObject([
      { "@timestamp": "2026-03-01T13:00:00.000Z", user: { name: "ann" }, reflex: { verdict: "false_positive" } },
      {
        event: { action: "feedback", outcome: "unknown", duration: 1_500_000 },
        observer: { name: agent.address.agent },
      },
    ]);
  });

  test("nothing is kept for a SIEM that nobody named", async () => {
    await store.turnOff("test");
    await reported(await enrolled(), ["in_force"]);
    expect((await store.lags()).command.rows).toBe(0);
  });
});

describe("nothing lost, nothing twice", () => {
  const fault = fc.constantFrom<Fault>("503", "401", "reset before", "reset after", "busy items", "413");
  const step = fc.oneof(
    fault.map((what) => ({ kind: "fault" as const, what })),
    fc.constant({ kind: "roll over" as const }),
    fc.constant({ kind: "restart" as const }),
    fc.constant({ kind: "away" as const }),
    fc.integer({ min: 1, max: 30 }).map((count) => ({ kind: "reports" as const, count })),
  );

  test("whatever becomes of requests, connections, indices and the mirror itself", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const agent = await enrolled();
        let last = 0;
        const report = async (count: number): Promise<void> => {
          await reported(agent, Array<CommandState>(count).fill("in_force"), last + 1);
          last += count;
        };
        start();
        await report(3);
        for (const one of steps) {
          if (one.kind === "fault") siem.faults.push(one.what);
          if (one.kind === "roll over") siem.rollOver(actionsStream);
          if (one.kind === "reports") await report(one.count);
          if (one.kind === "restart") {
            await mirror?.stop();
            start();
          }
          if (one.kind === "away") {
            await siem.stop();
            await report(2);
            await siem.start();
          }
        }
        await untilEmpty();
        const mine = siem
          .documents(actionsStream)
          .filter(({ source }) => (source["observer"] as { name: string }).name === agent.address.agent)
          .map(({ source }) => (source["event"] as { sequence: number }).sequence);
        expect(mine.toSorted((a, b) => a - b)).toEqual(Array.from({ length: last }, (_, at) => at + 1));
        expect(await store.deadLetterCount()).toBe(0);
        siem.faults.length = 0;
        await mirror?.stop();
      }),
      { numRuns: 20 },
    );
  });

  test("taken without an answer, then a new index: it is asked after, not sent again", async () => {
    await reported(await enrolled(), ["in_force", "undone"]);
    siem.faults.push("reset after");
    siem.onStored = () => {
      siem.onStored = () => undefined;
      siem.rollOver(actionsStream);
    };
    start();
    await untilEmpty();
    expect(sequences(actionsStream)).toEqual([1, 2]);
  });

  test("who lost the lead takes nothing out of the outbox", async () => {
    await reported(await enrolled(), ["in_force"]);
    const stale = { ...leader, token: leader.token - 1 };
    start({}, () => stale);
    while (siem.documents(actionsStream).length === 0) await new Promise((wake) => setTimeout(wake, 5));
    await mirror?.stop();
    expect((await store.lags()).command.rows).toBe(1);
    start();
    await untilEmpty();
    expect(sequences(actionsStream)).toEqual([1]);
  });
});

describe("what the SIEM will never take", () => {
  test("is put aside with the reason, holds up nobody, is told, and can be tried again", async () => {
    await database.db.execute(sql`insert into siem_outbox (kind, body) values ('command', '{"not":"a report"}')`);
    const agent = await enrolled();
    await reported(agent, ["in_force", "stuck", "undone"]);
    siem.refuses = ({ event }) => (event as { code: string }).code === "stuck";
    start();
    await untilEmpty();
    expect(sequences(actionsStream)).toEqual([1, 3]);
    const reasons = async () =>
      (await store.deadLetters({ limit: 10 })).rows.map(({ reason }) => String(reason)).sort();
    expect(await reasons()).toEqual([
      expect.stringMatching(/^400: mapper_parsing_exception: /),
      expect.stringMatching(/^schema-invalid: /),
    ]);
    expect(await eventNames()).toEqual(["siem-document-refused"]);
    // Somebody mended the mapping.
    siem.refuses = () => false;
    expect(await store.retryDeadLetters("test")).toBe(2);
    await untilEmpty();
    expect(sequences(actionsStream)).toEqual([1, 3, 2]);
    expect(await reasons()).toEqual([expect.stringMatching(/^schema-invalid: /)]);
  });
});

test("a SIEM that is far behind is told of, and when it has caught up", async () => {
  await reported(await enrolled(), ["in_force"]);
  await database.db.execute(sql`update siem_outbox set stored_at = now() - interval '1 hour'`);
  await siem.stop();
  start();
  await untilTold("siem-behind");
  await siem.start();
  await untilTold("siem-caught-up");
  expect(sequences(actionsStream)).toEqual([1]);
});

test("what never reached the SIEM within its retention is dropped, and told", async () => {
  await reported(await enrolled(), ["in_force", "undone"]);
  await database.db.execute(
    sql`update siem_outbox set stored_at = now() - interval '200 days' where body like '%in_force%'`,
  );
  await store.dropExpired({ ...leader, token: leader.token - 1 }, 180);
  expect((await store.lags()).command.rows).toBe(2);
  await store.dropExpired(leader, 180);
  expect((await store.lags()).command.rows).toBe(1);
  const [told] = await database.db.execute(sql`select name, detail from agent_events`);
  expect(told).toMatchObject({ name: "siem-dropped", detail: expect.stringMatching(/^1 /) });
  await store.dropExpired(leader, 180);
  expect(await eventNames()).toHaveLength(1);
});

test("a SIEM is spoken to over TLS, or on this very machine; no credentials in the address", () => {
  for (const url of ["http://siem.example:9200", "ftp://127.0.0.1", "https://user:secret@siem.example"])
    expect(() => createOpenSearch({ url })).toThrow(/--siem-url/);
});
