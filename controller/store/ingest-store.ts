import { eq, type SQL, sql } from "drizzle-orm";
import type { IngestCommitted, IngestStore, IngestUnit } from "../link/ingest.ts";
import type { Database } from "./database.ts";
import { toPostgresJson, toPostgresText } from "./postgres-text.ts";
import { type ReportTable, reportColumns, reportRows } from "./report-rows.ts";
import { agents } from "./schema.ts";

/**
 * Reports into PostgreSQL. A group of units is one statement: it locks the agents, lets through only what continues each of
 * them, writes every table and moves the marks. Whatever dies, it was whole or it was not.
 */
export const createIngestStore = ({ db }: Pick<Database, "db">): IngestStore => ({
  agent: async (name) => {
    const [row] = await db.select().from(agents).where(eq(agents.agent, name)).limit(1);
    if (row === undefined) return undefined;
    const { agent, site, reportKey, incarnation, acknowledged, revokedAt } = row;
    return { agent, site, reportKey, incarnation, acknowledged, revoked: revokedAt !== null };
  },

  commit: async (units) => {
    const rows = await db.execute(commitStatement(units));
    const byAgent = new Map(rows.map((row) => [String(row["agent"]), row]));
    return units.map((unit): IngestCommitted => {
      const row = byAgent.get(unit.agent);
      // No row: the agent enrolled anew since the batch was opened. The new one begins at 1.
      if (row === undefined) return { agent: unit.agent, acknowledged: 0, isStored: false, stored: [] };
      const before = Number(row["before"]);
      const isStored = row["is_stored"] === true;
      return {
        agent: unit.agent,
        acknowledged: isStored ? unit.last : before,
        isStored,
        stored: isStored ? unit.records.filter(({ sequence }) => sequence > before) : [],
      };
    });
  },

  quarantine: async ({ agent, refusal, sha256, content }) => {
    const text = toPostgresText(Buffer.from(content.subarray(0, quarantinedBytesMax)).toString("utf8"));
    // An agent that repeats itself is counted, not stored again; one that varies fills its own share and no more.
    await db.execute(sql`
      with kept as (select count(*) as rows from quarantine where agent = ${agent}),
      stored as (
        insert into quarantine (sha256, agent, code, detail, content)
        select ${sha256}, ${agent}, ${refusal.code}, ${toPostgresText(refusal.detail)}, ${text} from kept
        where kept.rows < ${quarantinedPerAgentMax}
        on conflict (sha256) do update set seen = quarantine.seen + 1, at = now()
        returning seen
      )
      insert into audit (actor, action, subject, detail)
      select ${`agent ${agent}`}, 'quarantine', ${sha256}, jsonb_build_object('code', ${refusal.code}::text)
      from stored where seen = 1`);
  },
});

const quarantinedBytesMax = 64 * 1024;
/** Enough to see what is wrong; the count of the last ones goes on. */
const quarantinedPerAgentMax = 100;

const commitStatement = (units: readonly IngestUnit[]): SQL => {
  const rows = reportRows(units);
  const marks = units.map(({ agent, incarnation, first, last }) => ({ agent, incarnation, first, last }));
  const inserts = (Object.keys(reportColumns) as ReportTable[])
    .filter((table) => rows[table].length > 0)
    .map((table) => insertInto[table](given(table, toPostgresJson(rows[table]))));
  return sql`
    with units as (
      select * from json_to_recordset(${toPostgresJson(marks)}::text::json)
        as unit (agent text, incarnation int, first bigint, last bigint)
    ),
    gate as (
      select agents.agent, agents.acknowledged, units.first, units.last
      from agents join units on units.agent = agents.agent and units.incarnation = agents.incarnation
      order by agents.agent for update of agents
    ),
    passed as (select * from gate where first <= acknowledged + 1 and last > acknowledged),
    advanced as (
      update agents set acknowledged = passed.last, last_heard_at = now()
      from passed where agents.agent = passed.agent
    )
    ${sql.join(inserts.map((insert) => sql`, ${insert}`))}
    select gate.agent, gate.acknowledged as before, passed.agent is not null as is_stored
    from gate left join passed on passed.agent = gate.agent`;
};

/** The rows given for a table that are new: of a unit that passed, and above what was acknowledged. */
const given = (table: ReportTable, json: string): SQL => sql`
  (select given.* from json_to_recordset(${json}::text::json) as given (${sql.raw(givenColumns(table))})
   join passed on passed.agent = given.agent and given.sequence > passed.acknowledged)`;

const givenColumns = (table: ReportTable): string =>
  table === "tokens" ? `${reportColumns.tokens}, chain_sequence bigint` : reportColumns[table];

const insertInto: { readonly [table in ReportTable]: (source: SQL) => SQL } = {
  records: (source) => sql`
    new_records as (insert into records (agent, incarnation, sequence, kind)
      select agent, incarnation, sequence, kind from ${source} source on conflict do nothing)`,
  tokens: (source) => sql`
    new_tokens as (insert into tokens (decision_id, agent, site, incarnation, sequence, hash, previous, decided_at, verdict, event_id, score, token, token_json)
      select decision_id, agent, site, incarnation, chain_sequence, hash, previous, decided_at, verdict, event_id, score, token, token_json
      from ${source} source on conflict do nothing)`,
  // A command belongs to the agent that first reported it; its newest step wins, whatever order batches come in.
  commands: (source) => sql`
    new_commands as (insert into commands (command_id, decision_id, agent, site, incarnation, sequence, action, target_type, target_value, connector, state, at, undo_at, attempts, verified, code, detail, command)
      select command_id, decision_id, agent, site, incarnation, sequence, action, target_type, target_value, connector, state, at, undo_at, attempts, verified, code, detail, command
      from ${source} source
      on conflict (command_id) do update set
        incarnation = excluded.incarnation, sequence = excluded.sequence, state = excluded.state, at = excluded.at,
        undo_at = coalesce(excluded.undo_at, commands.undo_at), attempts = excluded.attempts, verified = excluded.verified,
        code = excluded.code, detail = excluded.detail
      where commands.agent = excluded.agent
        and (excluded.incarnation, excluded.sequence) > (commands.incarnation, commands.sequence))`,
  command_steps: (source) => sql`
    new_command_steps as (insert into command_steps (agent, incarnation, sequence, command_id, state, at, code, detail)
      select agent, incarnation, sequence, command_id, state, at, code, detail from ${source} source on conflict do nothing)`,
  feedback: (source) => sql`
    new_feedback as (insert into feedback (agent, incarnation, sequence, decision_id, outcome, verdict, verdict_source, analyst, decided_at, body)
      select agent, incarnation, sequence, decision_id, outcome, verdict, verdict_source, analyst, decided_at, body
      from ${source} source on conflict do nothing)`,
  dead_letters: (source) => sql`
    new_dead_letters as (insert into dead_letters (agent, site, incarnation, sequence, at, source, code, detail, bytes, sha256)
      select agent, site, incarnation, sequence, at, source, code, detail, bytes, sha256
      from ${source} source on conflict do nothing)`,
  agent_events: (source) => sql`
    new_agent_events as (insert into agent_events (agent, site, incarnation, sequence, at, level, name, code, detail)
      select agent, site, incarnation, sequence, at, level, name, code, detail from ${source} source on conflict do nothing)`,
  siem_outbox: (source) => sql`
    new_siem_outbox as (insert into siem_outbox (kind, agent, site, incarnation, sequence, body)
      select kind, agent, site, incarnation, sequence, body from ${source} source
      where exists (select from siem_mirrors) order by agent, incarnation, sequence)`,
  // An agent answers for itself alone, and once.
  orders: (source) => sql`
    answered_orders as (update orders set state = source.state, answered_at = source.at, code = source.code, detail = source.detail
      from ${source} source where orders.order_id = source.order_id and orders.agent = source.agent and orders.state = 'sent')`,
  quarantine: (source) => sql`
    new_quarantine as (insert into quarantine (sha256, agent, code, detail, content)
      select encode(sha256(convert_to(agent || ' ' || incarnation || ' ' || sequence || ' ' || content, 'UTF8')), 'hex'),
        agent, code, detail, content from ${source} source on conflict do nothing)`,
};
