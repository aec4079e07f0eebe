import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import Type from "typebox";
import { Value } from "typebox/value";
import type { Database } from "./database.ts";

/**
 * Applies the migrations drizzle-kit wrote, once each, in the table drizzle uses. Everything is one message, which PostgreSQL
 * runs as one transaction, inside an advisory lock: drizzle's own `migrate` takes no lock, and two controllers may boot at once.
 */
export const migrate = async (database: Database, folder = migrationsFolder): Promise<void> => {
  await database.runScript(migrationScript(readMigrations(folder)));
};

const migrationsFolder = fileURLToPath(new URL("./migrations", import.meta.url));

/** Any number that nobody else uses in this database. */
const lockKey = 7_265_666_001;

type Migration = { readonly tag: string; readonly whenMs: number; readonly script: string; readonly hash: string };

const Journal = Type.Object({ entries: Type.Array(Type.Object({ tag: Type.String(), when: Type.Integer() })) });

const readMigrations = (folder: string): Migration[] => {
  const journal = Value.Parse(Journal, JSON.parse(readFileSync(`${folder}/meta/_journal.json`, "utf8")));
  return journal.entries.map(({ tag, when }) => {
    const script = readFileSync(`${folder}/${tag}.sql`, "utf8");
    return { tag, whenMs: when, script, hash: createHash("sha256").update(script).digest("hex") };
  });
};

const migrationScript = (migrations: readonly Migration[]): string => `
select pg_advisory_xact_lock(${lockKey});
create schema if not exists drizzle;
create table if not exists drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint);
${migrations.map(applyOnce).join("\n")}`;

/** Asked again inside the lock: whoever waited for it finds the work done. */
const applyOnce = ({ tag, whenMs, script, hash }: Migration): string => {
  const quote = `$reflex_${tag.replace(/\W/g, "_")}$`;
  return `
do $apply$ begin
  if not exists (select from drizzle.__drizzle_migrations where created_at = ${whenMs}) then
    execute ${quote}${script.replaceAll("--> statement-breakpoint", "")}${quote};
    insert into drizzle.__drizzle_migrations (hash, created_at) values ('${hash}', ${whenMs});
  end if;
end $apply$;`;
};
