import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agentFixture, commandRecord } from "@reflex/controller/link/report-fixture";
import { type Mirror, startMirror } from "@reflex/controller/mirror/mirror";
import { createOpenSearch } from "@reflex/controller/mirror/opensearch";
import { type Database, openDatabase } from "@reflex/controller/store/database";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "@reflex/controller/store/embedded-postgres";
import { createLeadership } from "@reflex/controller/store/leadership";
import { migrate } from "@reflex/controller/store/migrate";
import { createMirrorStore, type MirrorStore } from "@reflex/controller/store/mirror-store";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OpenSearch, openSearchMissing, startOpenSearch } from "./servers/opensearch.ts";

const missing = openSearchMissing();
if (missing !== undefined) process.stderr.write(`the SIEM mirror is not tested against OpenSearch: ${missing}\n`);

const stream = "logs-reflex.actions-lab";

describe.skipIf(missing !== undefined)("a mirror to OpenSearch itself", () => {
  let folder = "";
  let server: EmbeddedPostgres;
  let database: Database;
  let store: MirrorStore;
  let openSearch: OpenSearch;
  let mirror: Mirror;
  let renewal: NodeJS.Timeout | undefined;
  let last = 0;

  const body = JSON.stringify(commandRecord(agentFixture("acme", "north", "agent-1"), 1, "in_force").body);
  /** As ingest leaves them in the outbox; each is another report. */
  const report = async (rows: number): Promise<void> => {
    await database.runScript(`insert into siem_outbox (kind, agent, site, incarnation, sequence, body)
      select 'command', 'agent-1', 'north', 1, ${last} + n, '${body.replaceAll("'", "''")}' from generate_series(1, ${rows}) n`);
    last += rows;
  };
  const untilEmpty = async (): Promise<void> => {
    while ((await store.lags()).command.rows > 0) await new Promise((wake) => setTimeout(wake, 20));
  };
  type Hits = { readonly hits: { readonly hits: readonly { readonly _source: { event: { sequence: number } } }[] } };
  const found = async (query: object): Promise<number[]> => {
    await openSearch.ask("POST", `/${stream}/_refresh`);
    const answer = await openSearch.ask("POST", `/${stream}/_search`, { size: 10_000, query });
    return (answer as unknown as Hits).hits.hits.map(({ _source }) => _source.event.sequence).sort((a, b) => a - b);
  };
  const all = (): number[] => Array.from({ length: last }, (_, at) => at + 1);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "reflex-siem-"));
    chmodSync(folder, 0o711);
    server = await startEmbeddedPostgres({ folder: join(folder, "postgres"), log: () => undefined });
    database = openDatabase(server.url, 4);
    await migrate(database);
    store = createMirrorStore(database);
    await store.turnOn("lab");
    const leadership = createLeadership(database, "siem-mirror", "lab");
    const token = (await leadership.claim()) ?? 0;
    renewal = setInterval(() => void leadership.claim().catch(() => undefined), 10_000);
    openSearch = await startOpenSearch();
    mirror = startMirror({
      store,
      siem: createOpenSearch({ url: openSearch.url }),
      place: { org: "acme", namespace: "lab" },
      leader: () => ({ name: "siem-mirror", token }),
      random: Math.random,
      log: () => undefined,
      times: { idleMs: 20, backoffFromMs: 20, backoffToMs: 500 },
    });
  });
  afterAll(async () => {
    clearInterval(renewal);
    await mirror?.stop();
    await openSearch?.stop();
    await database?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("the shipped templates make a data stream in which addresses are addresses", async () => {
    await report(5);
    await untilEmpty();
    expect(await openSearch.ask("GET", `/_data_stream/${stream}`)).toMatchObject({
      data_streams: [{ name: stream, template: "logs-reflex.actions" }],
    });
    expect(await found({ term: { "related.ip": "203.0.113.0/24" } })).toEqual(all());
    expect(await found({ term: { "related.ip": "198.51.100.0/24" } })).toEqual([]);
    expect(await found({ term: { "event.outcome": "success" } })).toEqual(all());
  });

  test("its template is installed anew on request, and a plugin that is not there is said so", async () => {
    const siem = createOpenSearch({ url: openSearch.url });
    const installed = await siem.install();
    await siem.close();
    expect(installed).toMatchObject({ ok: true, value: [{}, {}, expect.stringContaining("400")] });
  });

  test("killed, rolled over and started again while documents come: nothing lost, nothing twice", async () => {
    await report(4_000);
    await openSearch.kill();
    await report(100);
    await openSearch.restart();
    await openSearch.ask("POST", `/${stream}/_rollover`);
    await untilEmpty();
    expect(await store.deadLetterCount()).toBe(0);
    expect(await found({ match_all: {} })).toEqual(all());
  });
});
