import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDatabase } from "./database.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded-postgres.ts";
import { createLeadership, deleteExpired } from "./leadership.ts";
import { migrate } from "./migrate.ts";

const controllerFolder = dirname(dirname(fileURLToPath(import.meta.url)));
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
    const rows = await both[0]?.db.execute(
      sql`select count(*)::int as applied, count(distinct hash)::int as hashes from drizzle.__drizzle_migrations`,
    );
    expect(rows?.[0]?.["applied"]).toBe(rows?.[0]?.["hashes"]);
    expect(rows?.[0]?.["applied"]).toBeGreaterThan(0);
    await Promise.all(both.map((database) => database.close()));
  });

  test("the migrations are the schema: generating from it again changes nothing", async () => {
    const config = join(controllerFolder, "store", "drizzle.config.ts");
    const before = readdirSync(join(controllerFolder, "store", "migrations"));
    const output = execFileSync(
      process.execPath,
      ["node_modules/drizzle-kit/bin.cjs", "generate", "--config", config],
      {
        cwd: controllerFolder,
        encoding: "utf8",
      },
    );
    const after = readdirSync(join(controllerFolder, "store", "migrations"));
    for (const name of after) if (!before.includes(name)) rmSync(join(controllerFolder, "store", "migrations", name));
    expect(output).toContain("No schema changes");
    expect(after).toEqual(before);
  });
});

describe("units of work", () => {
  test("nothing in the controller opens a transaction whose body awaits", () => {
    // postgres 3.4.9 runs the rest of such a body outside the transaction when the backend dies in between.
    const code = (path: string): string => readFileSync(path, "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    const files = readdirSync(controllerFolder, { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts") && !path.includes("node_modules"))
      .filter((path) => /\.begin\(|\.transaction\(|\.reserve\(/.test(code(join(controllerFolder, path))));
    expect(files).toEqual([]);
  });
});

describe("leadership", () => {
  test("one leads; the next gets a higher token; who lost it deletes nothing", async () => {
    const database = openDatabase(server.url, 2);
    await migrate(database);
    const [first, second] = [createLeadership(database, "test", "one"), createLeadership(database, "test", "two")];
    const token = await first.claim();
    expect(await second.claim()).toBeUndefined();
    expect(await first.claim()).toBe(token);
    await database.db.execute(sql`insert into dead_letters (agent, site, incarnation, sequence, at, source, code, detail, bytes, sha256)
      select 'old', 'north', 1, n, now() - interval '400 days', 's', 'stale', '', 1, 'x' from generate_series(1, 3) n`);
    await database.db.execute(sql`update leaderships set expires_at = now() - interval '1 second' where name = 'test'`);
    const next = await second.claim();
    expect(next).toBeGreaterThan(token ?? 0);
    const retention = { decisionDays: 180, unusedJoinTokenDays: 30 };
    expect(await deleteExpired(database, { name: "test", token: token ?? 0 }, retention)).toBe(0);
    expect(await deleteExpired(database, { name: "test", token: next ?? 0 }, retention)).toBe(3);
    await database.close();
  });
});
