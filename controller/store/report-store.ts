import type { Feedback } from "@reflex/protocol/feedback";
import { sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { utc } from "./fleet-store.ts";
import { createPager, equal, type Page, type PageRequest, type Row } from "./page.ts";
import { toPostgresJson, toPostgresText } from "./postgres-text.ts";

/** Reads what agents reported, newest first, a page at a time. A cursor is the position of the last row, opaque to callers. */
export type ReportStore = ReturnType<typeof createReportStore>;

export type DecisionFilter = {
  readonly agent?: string | undefined;
  readonly site?: string | undefined;
  readonly verdict?: string | undefined;
  readonly event?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
};
export type CommandFilter = {
  readonly agent?: string | undefined;
  readonly state?: string | undefined;
  readonly decision?: string | undefined;
  readonly isOpen?: boolean;
};

export const createReportStore = ({ db }: Pick<Database, "db">) => {
  const page = createPager({ db });
  /** Rows that are numbered per agent have no single id; their place is one. */
  const place = sql`(agent || ' ' || incarnation || ' ' || lpad(sequence::text, 16, '0'))`;

  const commands = (filter: CommandFilter, request: PageRequest): Promise<Page<Row>> =>
    page(
      commandColumns,
      sql`commands`,
      [
        ...equal({ agent: filter.agent, state: filter.state, decision_id: filter.decision }),
        ...(filter.isOpen === true ? [sql`state not in ('undone', 'failed', 'handed_over')`] : []),
      ],
      sql`at`,
      sql`command_id`,
      request,
    );

  const feedbackOf = (filter: { readonly decision?: string | undefined }, request: PageRequest): Promise<Page<Row>> =>
    page(
      sql`agent, body`,
      sql`feedback`,
      equal({ decision_id: filter.decision }),
      sql`stored_at`,
      sql`lpad(id::text, 16, '0')`,
      request,
    );

  return {
    decisions: (filter: DecisionFilter, request: PageRequest): Promise<Page<Row>> =>
      page(
        decisionColumns,
        sql`tokens`,
        [
          ...equal({ agent: filter.agent, site: filter.site, verdict: filter.verdict, event_id: filter.event }),
          ...(filter.since === undefined ? [] : [sql`decided_at >= ${filter.since}::timestamptz`]),
          ...(filter.until === undefined ? [] : [sql`decided_at < ${filter.until}::timestamptz`]),
        ],
        sql`decided_at`,
        sql`decision_id`,
        request,
      ),

    /** Exact text, as the agent hashed it. */
    tokenText: async (decisionId: string): Promise<string | undefined> => {
      const [row] = await db.execute(sql`select token_json from tokens where decision_id = ${decisionId}`);
      return row === undefined ? undefined : String(row["token_json"]);
    },
    chain: async (
      agent: string,
      after: number,
      limit: number,
    ): Promise<{ readonly sequence: number; readonly token: string }[]> => {
      const rows = await db.execute(sql`
        select sequence::float8 as sequence, token_json from tokens
        where agent = ${agent} and incarnation = (select incarnation from agents where agent = ${agent}) and sequence > ${after}
        order by sequence limit ${limit}`);
      return rows.map((row) => ({ sequence: Number(row["sequence"]), token: String(row["token_json"]) }));
    },

    commands,
    command: async (commandId: string): Promise<Row | undefined> => {
      const [row] = await db.execute(sql`select ${commandColumns} from commands where command_id = ${commandId}`);
      if (row === undefined) return undefined;
      const steps = await db.execute(sql`
        select state, ${utc(sql`at`)} as at, code, detail from command_steps where command_id = ${commandId} and agent = ${row["agent"]}
        order by incarnation, sequence limit 500`);
      return { ...row, steps };
    },
    feedback: feedbackOf,
    storeFeedback: async (body: Feedback): Promise<void> => {
      await db.execute(sql`
        with stored as (
          insert into feedback (decision_id, outcome, verdict, verdict_source, analyst, decided_at, body)
          values (${body.decision_id}, ${body.outcome}, ${body.verdict}, ${body.verdict_source}, ${toPostgresText(body.analyst ?? "")}, ${body.decided_at}::timestamptz, ${toPostgresJson(body)}::text::jsonb)
        ),
        mirrored as (insert into siem_outbox (kind, body) select 'feedback', ${toPostgresJson(body)}::text where exists (select from siem_mirrors))
        insert into audit (actor, action, subject, detail) values (${toPostgresText(body.analyst ?? "")}, 'feedback', ${body.decision_id}, jsonb_build_object('verdict', ${body.verdict}::text))`);
    },

    deadLetters: (filter: { readonly agent?: string | undefined }, request: PageRequest): Promise<Page<Row>> =>
      page(
        sql`${utc(sql`at`)} as at, agent, site, source, code, detail, bytes::float8 as bytes, sha256`,
        sql`dead_letters`,
        equal(filter),
        sql`at`,
        place,
        request,
      ),
    events: (
      filter: { readonly agent?: string | undefined; readonly level?: string | undefined },
      request: PageRequest,
    ): Promise<Page<Row>> =>
      page(
        sql`${utc(sql`at`)} as at, agent, site, level, name, code, detail`,
        sql`agent_events`,
        equal(filter),
        sql`at`,
        place,
        request,
      ),
    audit: (request: PageRequest): Promise<Page<Row>> =>
      page(
        sql`${utc(sql`at`)} as at, actor, action, subject, detail`,
        sql`audit`,
        [],
        sql`at`,
        sql`lpad(id::text, 16, '0')`,
        request,
      ),
    quarantine: (filter: { readonly agent?: string | undefined }, request: PageRequest): Promise<Page<Row>> =>
      page(
        sql`${utc(sql`at`)} as at, agent, code, detail, seen, sha256, content`,
        sql`quarantine`,
        equal(filter),
        sql`at`,
        sql`sha256`,
        request,
      ),

    summary: async (): Promise<Row> => {
      const [row] = await db.execute(sql`
        select
          (select json_build_object('total', count(*), 'online', count(*) filter (where online), 'killed', count(*) filter (where killed))
            from agents where revoked_at is null) as agents,
          (select coalesce(json_object_agg(verdict, n), '{}') from (select verdict, count(*) as n from tokens where decided_at > now() - interval '1 day' group by verdict) counted) as decisions,
          (select coalesce(json_object_agg(state, n), '{}') from (select state, count(*) as n from commands group by state) counted) as commands,
          (select count(*)::int from dead_letters where at > now() - interval '1 day') as dead_letters,
          (select count(*)::int from agent_events where level = 'alarm' and at > now() - interval '1 day') as alarms,
          (select count(*)::int from kill_states where state = 'engaged') as kills_engaged,
          (select coalesce(max(version), 0) from releases where kind = 'bundle') as bundle_version,
          (select coalesce(max(version), 0) from releases where kind = 'weights') as weights_version`);
      return row ?? {};
    },
  };
};

const decisionColumns = sql`decision_id, ${utc(sql`decided_at`)} as decided_at, agent, site, sequence::float8 as sequence, verdict, event_id, score,
  token #>> '{decision,justification}' as justification, token #>> '{decision,code}' as code, token #>> '{detection,rule,name}' as rule,
  token #>> '{detection,severity}' as severity,
  (select coalesce(json_agg(json_build_object('action', candidate ->> 'action', 'target', candidate -> 'target', 'verdict', candidate ->> 'verdict')), '[]')
    from jsonb_array_elements(token #> '{decision,candidates}') candidate) as actions`;

const commandColumns = sql`command_id, decision_id, agent, site, action, command -> 'target' as target, connector, state, ${utc(sql`at`)} as at,
  ${utc(sql`undo_at`)} as undo_at, attempts, verified, code, detail, command ->> 'reason' as reason, (command ->> 'ttl')::int as ttl, command ->> 'issued_at' as issued_at`;
