import { type SQL, sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { utc } from "./fleet-store.ts";
import { createPager, type Page, type PageRequest, type Row } from "./page.ts";
import { toPostgresJson } from "./postgres-text.ts";

/** The outbox of the SIEM mirror: the database is the spool while the SIEM is away. Every method is one statement. */
export type MirrorStore = ReturnType<typeof createMirrorStore>;

export type MirrorKind = "command" | "feedback";
export type OutboxRow = {
  readonly id: number;
  readonly kind: MirrorKind;
  readonly agent: string | null;
  readonly site: string | null;
  readonly incarnation: number | null;
  readonly sequence: number | null;
  /** The report's JSON. */
  readonly body: string;
};
export type Settled = {
  /** The SIEM has them. */
  readonly stored: readonly number[];
  /** It never will. */
  readonly refused: readonly { readonly id: number; readonly reason: string }[];
  /** Told in the same statement. */
  readonly event?: ControllerEvent;
};
export type ControllerEvent = {
  readonly level: "info" | "warning" | "alarm";
  readonly name: string;
  readonly detail: string;
};
export type Waiting = { readonly rows: number; readonly oldestSeconds: number };
/** Who mirrors; checked in every write, so that one who lost the lead without noticing takes nothing away. */
export type MirrorLeader = { readonly name: string; readonly token: number };

/** Counting further costs more than it tells. */
const countedMax = 100_000;
/** No agent can be called this. */
const controllerEvents = "(controller)";

export const createMirrorStore = ({ db }: Pick<Database, "db">) => {
  const page = createPager({ db });
  const lag = async (kind: MirrorKind): Promise<Waiting> => {
    const [row] = await db.execute(sql`
        select (select count(*)::int from (select from siem_outbox where kind = ${kind} limit ${countedMax}) counted) as rows,
          coalesce((select extract(epoch from now() - stored_at)::float8 from siem_outbox where kind = ${kind} order by id limit 1), 0) as oldest`);
    return { rows: Number(row?.["rows"] ?? 0), oldestSeconds: Math.max(0, Number(row?.["oldest"] ?? 0)) };
  };

  return {
    /** From now on every controller leaves reports in the outbox. */
    turnOn: async (by: string): Promise<void> => {
      await db.execute(sql`
        with begun as (insert into siem_mirrors (name) values ('siem') on conflict do nothing returning name)
        insert into audit (actor, action, subject, detail) select ${by}, 'siem-begin', name, '{}' from begun`);
    },
    /** No more, and what waits is given up: a person said so. */
    turnOff: async (by: string): Promise<void> => {
      await db.execute(sql`
        with ended as (delete from siem_mirrors returning name),
        dropped as (delete from siem_outbox where exists (select from ended) returning 1)
        insert into audit (actor, action, subject, detail)
        select ${by}, 'siem-end', name, jsonb_build_object('dropped', (select count(*) from dropped)) from ended`);
    },
    isOn: async (): Promise<boolean> => (await db.execute(sql`select 1 from siem_mirrors limit 1`)).length > 0,

    /** Oldest first. */
    waiting: async (kind: MirrorKind, rowsMax: number): Promise<OutboxRow[]> => {
      const rows = await db.execute(sql`
        select id::float8 as id, kind, agent, site, incarnation, sequence::float8 as sequence, body
        from siem_outbox where kind = ${kind} order by id limit ${rowsMax}`);
      return rows.map((row) => ({ ...row }) as unknown as OutboxRow);
    },
    /** False: another mirrors now, and nothing was changed. */
    settle: async (leader: MirrorLeader, { stored, refused, event }: Settled): Promise<boolean> => {
      const fates = [...stored.map((id) => ({ id, reason: null })), ...refused];
      const [row] = await db.execute(sql`
        with fence as (select ${holds(leader)} as holds),
        fates as (select * from json_to_recordset(${toPostgresJson(fates)}::text::json) as fate (id bigint, reason text)),
        gone as (delete from siem_outbox using fates, fence where holds and siem_outbox.id = fates.id returning siem_outbox.*, fates.reason),
        dead as (
          insert into siem_dead_letters (id, kind, agent, site, incarnation, sequence, stored_at, body, reason)
          select id, kind, agent, site, incarnation, sequence, stored_at, body, reason from gone where reason is not null
          on conflict (id) do update set reason = excluded.reason, refused_at = now()
        )
        ${event === undefined ? sql`` : sql`, told as (${insertEvent(event, sql`where (select holds from fence)`)})`}
        select holds from fence`);
      return row?.["holds"] === true;
    },
    lag,
    lags: async (): Promise<Readonly<Record<MirrorKind, Waiting>>> => ({
      command: await lag("command"),
      feedback: await lag("feedback"),
    }),

    deadLetters: (request: PageRequest): Promise<Page<Row>> =>
      page(
        sql`id::float8 as id, kind, agent, site, sequence::float8 as sequence, ${utc(sql`refused_at`)} as refused_at, reason, body`,
        sql`siem_dead_letters`,
        [],
        sql`refused_at`,
        sql`lpad(id::text, 16, '0')`,
        request,
      ),
    deadLetterCount: async (): Promise<number> => {
      const [row] = await db.execute(
        sql`select count(*)::int as rows from (select from siem_dead_letters limit ${countedMax}) counted`,
      );
      return Number(row?.["rows"] ?? 0);
    },
    /** Back into the outbox under new numbers; the document they become keeps its id. */
    retryDeadLetters: async (by: string): Promise<number> => {
      const [row] = await db.execute(sql`
        with back as (delete from siem_dead_letters returning *),
        again as (
          insert into siem_outbox (kind, agent, site, incarnation, sequence, stored_at, body)
          select kind, agent, site, incarnation, sequence, stored_at, body from back order by id returning 1
        ),
        audited as (insert into audit (actor, action, subject, detail)
          select ${by}, 'siem-retry', 'siem', jsonb_build_object('rows', count(*)) from back)
        select count(*)::int as rows from again`);
      return Number(row?.["rows"] ?? 0);
    },
    /** Past the retention: what the SIEM never took is not kept for ever, and how much that was is told. */
    dropExpired: async (leader: MirrorLeader, days: number): Promise<void> => {
      const cut = sql`now() - make_interval(days => ${days})`;
      await db.execute(sql`
        with fence as (select ${holds(leader)} as holds),
        old as (delete from siem_outbox using fence where holds and stored_at < ${cut} returning 1),
        dead as (delete from siem_dead_letters using fence where holds and stored_at < ${cut} returning 1),
        dropped as (select (select count(*) from old) + (select count(*) from dead) as rows)
        insert into agent_events (agent, site, incarnation, sequence, at, level, name, detail)
        select ${controllerEvents}, '', 0, ${nextEvent}, now(), 'alarm', 'siem-dropped', rows || ' reports past their retention never reached the SIEM'
        from dropped where rows > 0
        on conflict do nothing`);
    },
    /** The controller's own word among the agents' events. */
    tell: async (event: ControllerEvent): Promise<void> => {
      await db.execute(insertEvent(event, sql``));
    },
  };
};

const holds = ({ name, token }: MirrorLeader): SQL =>
  sql`exists (select from leaderships where name = ${name} and token = ${token} and expires_at > now())`;

const nextEvent = sql`1 + coalesce((select max(sequence) from agent_events where agent = ${controllerEvents} and incarnation = 0), 0)`;
/** Numbered on from the last one. */
const insertEvent = ({ level, name, detail }: ControllerEvent, where: SQL): SQL => sql`
  insert into agent_events (agent, site, incarnation, sequence, at, level, name, detail)
  select ${controllerEvents}, '', 0, ${nextEvent}, now(), ${level}, ${name}, ${detail.slice(0, 1_024)} ${where}
  on conflict do nothing`;
