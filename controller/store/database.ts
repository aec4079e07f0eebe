import { sql as statement } from "drizzle-orm";
import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import postgres from "postgres";

/**
 * The controller's way to PostgreSQL. A unit of work is one statement (with CTEs) or one message of several statements,
 * never a body that awaits between statements: postgres 3.4.9 may run the rest of such a body outside its transaction when
 * the backend dies. There is therefore no `begin` here, and a test keeps it so.
 */
export type Database = {
  readonly db: PostgresJsDatabase;
  /** Several statements without parameters as one message; PostgreSQL runs them in one transaction. */
  readonly runScript: (script: string) => Promise<void>;
  readonly listen: (channel: string, heard: (payload: string) => void, connected: () => void) => Promise<void>;
  readonly notify: (channel: string, payload: string) => Promise<void>;
  readonly close: () => Promise<void>;
};

/** A query waiting longer than this for a lock or answer is stuck; the caller tries again or says so. */
const statementMsMax = 30_000;

export const openDatabase = (url: string, connectionsMax = 8): Database => {
  const sql = postgres(url, {
    max: connectionsMax,
    connect_timeout: 10,
    idle_timeout: 0,
    max_lifetime: null,
    onnotice: () => undefined,
    // The pool reconnects by itself; a short wait keeps a restart of the server from becoming an outage of ours.
    backoff: (attempt: number) => Math.min(0.05 * 2 ** attempt, 2),
    connection: { application_name: "reflex", TimeZone: "UTC", statement_timeout: statementMsMax },
  });
  const db = drizzle(sql);
  return {
    db,
    runScript: async (script) => {
      await sql.unsafe(script).simple();
    },
    listen: async (channel, heard, connected) => {
      await sql.listen(channel, heard, connected);
    },
    notify: async (channel, payload) => {
      await db.execute(statement`select pg_notify(${channel}, ${payload})`);
    },
    close: () => sql.end({ timeout: 5 }),
  };
};
