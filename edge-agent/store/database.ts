import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { migrations } from "./schema.ts";
import { errorCodeOf, messageOf } from "./state-lock.ts";

/** How long a commit waits for a command line that is reading. */
const busyTimeoutMs = 2_000;

/** The journal's file, brought to the newest schema. Opening reads; only a migration writes. */
export const openDatabase = (folder: string): Result<DatabaseSync, Refusal> => {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(join(folder, "journal.db"), { timeout: busyTimeoutMs });
    // FULL: a commit is on the disk when it returns, also through a power cut.
    database.exec(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 67108864",
    );
    const migrated = migrate(database);
    if (!migrated.ok) database.close();
    return migrated.ok ? ok(database) : migrated;
  } catch (cause) {
    database?.close();
    return err(refusal(isDamage(cause) ? "store-damaged" : "disk-full", `${folder}: ${messageOf(cause)}`));
  }
};

const migrate = (database: DatabaseSync): Result<void, Refusal> => {
  const version = Number((database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version);
  if (version > migrations.length) {
    return err(
      refusal(
        "conflict",
        `the journal has schema ${version}, this agent knows ${migrations.length}: install the newer agent again`,
      ),
    );
  }
  for (const [index, step] of migrations.entries()) {
    if (index < version) continue;
    database.exec(`BEGIN IMMEDIATE; ${step}; PRAGMA user_version = ${index + 1}; COMMIT`);
  }
  return ok(undefined);
};

const sqliteCorrupt = 11;
const sqliteNotDatabase = 26;
const isDamage = (cause: unknown): boolean => [sqliteCorrupt, sqliteNotDatabase].includes(errorCodeOf(cause) & 0xff);
