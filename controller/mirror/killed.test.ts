import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { callApi, ended, type Running, startControllerProcess } from "../controller-fixture.ts";
import { agentFixture, commandRecord } from "../link/report-fixture.ts";
import { createKeys } from "../reflexctl/keys.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../store/embedded-postgres.ts";
import { createFakeSiem } from "./opensearch.test-fake.ts";

const org = "acme";
const stream = "logs-reflex.actions-default";
const siem = createFakeSiem();
let folder = "";
let server: EmbeddedPostgres;
let sql: postgres.Sql;
let controller: Running;

const startController = (): Promise<Running> =>
  startControllerProcess(folder, org, server.url, { REFLEX_SIEM_URL: siem.url() });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "reflex-mirror-"));
  chmodSync(folder, 0o711);
  const issuedAt = new Date().toISOString();
  createKeys({ dir: join(folder, "keys"), org, releaseKeys: 2, releaseThreshold: 2, issuedAt });
  server = await startEmbeddedPostgres({ folder: join(folder, "postgres"), log: () => undefined });
  sql = postgres(server.url, { max: 1, onnotice: () => undefined });
  await siem.start();
  controller = await startController();
});
afterAll(async () => {
  const gone = ended(controller.child);
  controller.child.kill("SIGTERM");
  await gone;
  await siem.stop();
  await sql.end();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("a controller killed in the middle of a batch, again and again: nothing lost, nothing twice", async () => {
  const agent = agentFixture(org, "north", "agent-1");
  const body = JSON.stringify(commandRecord(agent, 1, "in_force").body);
  const perLife = 300;
  const lives = 2;
  for (let life = 0; life < lives; life += 1) {
    const died = ended(controller.child);
    // The SIEM has it and nobody was told; every other time it begins a new index before anybody asks again.
    siem.faults.push("no answer after");
    siem.onStored = () => {
      siem.onStored = () => undefined;
      if (life % 2 === 1) siem.rollOver(stream);
      controller.child.kill("SIGKILL");
    };
    await sql`insert into siem_outbox (kind, agent, site, incarnation, sequence, body)
      select 'command', 'agent-1', 'north', 1, ${life * perLife} + n, ${body} from generate_series(1, ${perLife}) n`;
    expect(await died).toBe("SIGKILL");
    controller = await startController();
  }
  for (let rows = 1; rows > 0; ) {
    const [row] = await sql`select count(*)::int as rows from siem_outbox`;
    rows = row?.["rows"];
    await new Promise((wake) => setTimeout(wake, 20));
  }
  const found = siem.documents(stream).map(({ source }) => (source["event"] as { sequence: number }).sequence);
  expect(found.toSorted((a, b) => a - b)).toEqual(Array.from({ length: lives * perLife }, (_, at) => at + 1));

  const { body: state } = await callApi(controller, "GET", "/v1/siem");
  expect(state).toMatchObject({ is_configured: true, is_leading: true, dead_letters: 0, refused: {} });
  const { text } = await callApi(controller, "GET", "/metrics");
  expect(text).toContain('reflex_siem_waiting{stream="command"} 0');
});
