import { sql } from "drizzle-orm";
import type { Database } from "./database.ts";

/**
 * One controller of several does the scheduled work: a row with a holder, an expiry and a fencing token. Whoever lost it
 * without noticing (a stalled process) is stopped by the token, which every write of a leader carries.
 */
export type Leadership = {
  /** Takes or prolongs; undefined = another holds it. */
  readonly claim: () => Promise<number | undefined>;
  readonly giveUp: () => Promise<void>;
};

export const leadershipSeconds = 60;

export const createLeadership = ({ db }: Pick<Database, "db">, name: string, holder: string): Leadership => ({
  claim: async () => {
    const [row] = await db.execute(sql`
      insert into leaderships (name, holder, token, expires_at) values (${name}, ${holder}, 1, now() + make_interval(secs => ${leadershipSeconds}))
      on conflict (name) do update set
        token = leaderships.token + (leaderships.holder <> excluded.holder)::int, holder = excluded.holder, expires_at = excluded.expires_at
      where leaderships.holder = excluded.holder or leaderships.expires_at < now()
      returning token::float8 as token`);
    return row === undefined ? undefined : Number(row["token"]);
  },
  giveUp: async () => {
    await db.execute(sql`update leaderships set expires_at = now() where name = ${name} and holder = ${holder}`);
  },
});

export type Retention = { readonly decisionDays: number; readonly unusedJoinTokenDays: number };

/** Deletes in bites, so that no statement holds locks for long; the caller repeats while rows come back. */
export const deleteExpired = async (
  { db }: Pick<Database, "db">,
  leader: { readonly name: string; readonly token: number },
  retention: Retention,
): Promise<number> => {
  const cut = sql`now() - make_interval(days => ${retention.decisionDays})`;
  const fence = sql`exists (select from leaderships where name = ${leader.name} and token = ${leader.token} and expires_at > now())`;
  const bite = 5_000;
  const [row] = await db.execute(sql`
    with fence as (select ${fence} as holds),
    old_tokens as (delete from tokens using fence where holds and decision_id in (select decision_id from tokens where decided_at < ${cut} limit ${bite}) returning 1),
    old_commands as (delete from commands using fence where holds and command_id in (select command_id from commands where at < ${cut} and state in ('undone', 'failed', 'handed_over') limit ${bite}) returning 1),
    old_steps as (delete from command_steps using fence where holds and (agent, incarnation, sequence) in (select agent, incarnation, sequence from command_steps where at < ${cut} limit ${bite}) returning 1),
    old_letters as (delete from dead_letters using fence where holds and (agent, incarnation, sequence) in (select agent, incarnation, sequence from dead_letters where at < ${cut} limit ${bite}) returning 1),
    old_events as (delete from agent_events using fence where holds and (agent, incarnation, sequence) in (select agent, incarnation, sequence from agent_events where at < ${cut} limit ${bite}) returning 1),
    old_records as (delete from records using fence where holds and (agent, incarnation, sequence) in (select agent, incarnation, sequence from records where stored_at < ${cut} limit ${bite}) returning 1),
    old_quarantine as (delete from quarantine using fence where holds and at < ${cut} returning 1),
    old_orders as (delete from orders using fence where holds and issued_at < ${cut} returning 1),
    old_joins as (delete from join_tokens using fence where holds and expires_at < now() - make_interval(days => ${retention.unusedJoinTokenDays}) returning 1)
    select (select count(*) from old_tokens) + (select count(*) from old_commands) + (select count(*) from old_steps) + (select count(*) from old_letters)
      + (select count(*) from old_events) + (select count(*) from old_records) + (select count(*) from old_quarantine) + (select count(*) from old_orders) + (select count(*) from old_joins) as rows`);
  return Number(row?.["rows"] ?? 0);
};
