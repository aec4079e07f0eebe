import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sql } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openDatabase } from "./database.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded-postgres.ts";

let folder = "";
const running: EmbeddedPostgres[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "reflex-postgres-"));
  chmodSync(folder, 0o711);
});
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const start = async (): Promise<EmbeddedPostgres> => {
  const server = await startEmbeddedPostgres({ folder: join(folder, "postgres"), log: () => undefined });
  running.push(server);
  return server;
};
const valuesIn = async (server: EmbeddedPostgres, statement?: string): Promise<number> => {
  const database = openDatabase(server.url, 1);
  if (statement !== undefined) await database.runScript(statement);
  const [row] = await database.db.execute(sql`select count(*)::int as rows from kept`);
  await database.close();
  return Number(row?.["rows"]);
};

/** A process that starts the database and is then killed with no chance to say goodbye. */
const startElsewhere = async (): Promise<{ readonly child: ChildProcess; readonly url: string }> => {
  const script = `
    import { startEmbeddedPostgres } from ${JSON.stringify(fileURLToPath(new URL("./embedded-postgres.ts", import.meta.url)))};
    const server = await startEmbeddedPostgres({ folder: ${JSON.stringify(join(folder, "postgres"))}, log: () => undefined });
    process.stdout.write(server.url);
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = await new Promise<string>((done) => child.stdout?.setEncoding("utf8").once("data", done));
  return { child, url };
};

describe("the embedded PostgreSQL", () => {
  test("keeps its password to itself, listens on loopback alone, and a second start continues", async () => {
    const first = await start();
    expect(await valuesIn(first, "create table kept (value int); insert into kept values (1), (2)")).toBe(2);
    expect(statSync(join(folder, "postgres", "password")).mode & 0o077).toBe(0);
    const wrong = openDatabase(first.url.replace(/:[0-9a-f]{48}@/, ":wrong@"), 1);
    await expect(wrong.db.execute(sql`select 1`)).rejects.toThrow();
    await wrong.close();
    const database = openDatabase(first.url, 1);
    const [row] = await database.db.execute(
      sql`select current_setting('listen_addresses') as listens, current_setting('unix_socket_directories') as sockets`,
    );
    expect(row).toMatchObject({ listens: "127.0.0.1", sockets: "" });
    await database.close();
    await running.pop()?.stop();
    expect(await valuesIn(await start())).toBe(2);
  });

  test("ends with the process that started it, even by kill -9, and the next start continues", async () => {
    const { child, url } = await startElsewhere();
    const database = openDatabase(url, 1);
    await database.runScript("create table kept (value int); insert into kept values (1)");
    await database.close();
    const pid = Number(readFileSync(join(folder, "postgres", "cluster", "postmaster.pid"), "utf8").split("\n")[0]);
    child.kill("SIGKILL");
    expect(await valuesIn(await start())).toBe(1);
    expect(() => process.kill(pid, 0)).toThrow();
  });

  test("recovers when the server itself was killed and its lock names a process that is somebody else's now", async () => {
    const server = await start();
    await valuesIn(server, "create table kept (value int); insert into kept values (1)");
    const lock = join(folder, "postgres", "cluster", "postmaster.pid");
    const [pid, ...rest] = readFileSync(lock, "utf8").split("\n");
    process.kill(Number(pid), "SIGKILL");
    await running.pop()?.stop();
    // As in a container, where numbers repeat: ours now has the number of the old server.
    writeFileSync(lock, [String(process.pid), ...rest].join("\n"));
    expect(await valuesIn(await start())).toBe(1);
  });

  test("a cluster that was half made is made again", async () => {
    mkdirSync(join(folder, "postgres", "cluster-half-made-dead", "base"), { recursive: true });
    await start();
    expect(existsSync(join(folder, "postgres", "cluster-half-made-dead"))).toBe(false);
  });

  test("a second controller on the same folder is told so", async () => {
    await start();
    await expect(
      startEmbeddedPostgres({ folder: join(folder, "postgres"), formerStopMs: 200, log: () => undefined }),
    ).rejects.toThrow(/another controller/);
  });

  test.skipIf(process.getuid?.() !== 0)("runs in a folder that only root can pass, and continues there", async () => {
    chmodSync(folder, 0o700);
    const first = await start();
    expect(await valuesIn(first, "create table kept (value int); insert into kept values (1)")).toBe(1);
    await expect(
      startEmbeddedPostgres({ folder: join(folder, "postgres"), formerStopMs: 200, log: () => undefined }),
    ).rejects.toThrow(/another controller/);
    await running.pop()?.stop();
    expect(await valuesIn(await start())).toBe(1);
  });
});
