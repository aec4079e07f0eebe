import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDatabase } from "./database.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded-postgres.ts";
import { migrate } from "./migrate.ts";

let folder = "";
let server: EmbeddedPostgres;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "reflex-database-"));
  chmodSync(folder, 0o711);
  server = await startEmbeddedPostgres({ folder: join(folder, "postgres"), log: () => undefined });
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("migrations", () => {
  test("two controllers that boot at once migrate once", async () => {
    const both = [openDatabase(server.url, 2), openDatabase(server.url, 2)];
    await Promise.all(both.map((database) => migrate(database)));
    await Promise.all(both.map((database) => migrate(database)));
    const [first] = both;
    const rows = await first?.db.execute(
      sql`select count(*)::int as applied, count(distinct hash)::int as distinct_hashes from drizzle.__drizzle_migrations`,
    );
    expect(rows?.[0]?.["applied"]).toBe(rows?.[0]?.["distinct_hashes"]);
    expect(rows?.[0]?.["applied"]).toBeGreaterThan(0);
    await Promise.all(both.map((database) => database.close()));
  });
});
