import type { ObservedPart } from "@reflex/protocol/sync";
import { type SQL, sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { toPostgresJson } from "./postgres-text.ts";

/** Sites, join tokens and agents. Every method is one statement. */
export type FleetStore = ReturnType<typeof createFleetStore>;

export type AgentRow = {
  readonly agent: string;
  readonly site: string;
  readonly online: boolean;
  readonly last_heartbeat_at: string | null;
  readonly mode: string | null;
  readonly killed: boolean | null;
  readonly engine: string | null;
  readonly bundle_version: number | null;
  readonly bundle_hash: string | null;
  readonly weights_version: number | null;
  readonly refused: { readonly version: number; readonly code: string; readonly detail: string } | null;
  readonly acknowledged: number;
  readonly enrolled_at: string;
  readonly revoked_at: string | null;
  readonly certificate_not_after: string | null;
  readonly heartbeat: unknown;
};

/** What an agent says about itself, by heartbeat or sync. */
export type Observed = {
  readonly agent: string;
  readonly bootId: string;
  readonly engine: string;
  readonly bundle: ObservedPart;
  readonly weights: ObservedPart;
  readonly mode?: string;
  readonly killed?: boolean;
  readonly heartbeat?: unknown;
};

export const createFleetStore = ({ db }: Pick<Database, "db">) => {
  const agentRows = async (where: SQL): Promise<AgentRow[]> => {
    const rows = await db.execute(sql`select ${agentColumns} from agents where ${where} order by agent`);
    return rows.map((row) => ({ ...row }) as unknown as AgentRow);
  };

  return {
    createJoinToken: async (token: {
      readonly hash: string;
      readonly site: string;
      readonly by: string;
      readonly expiresAt: string;
    }) => {
      await db.execute(sql`
        with made as (insert into join_tokens (hash, site, created_by, expires_at) values (${token.hash}, ${token.site}, ${token.by}, ${token.expiresAt}::timestamptz)),
        site as (${insertSite(token.site)})
        insert into audit (actor, action, subject, detail) values (${token.by}, 'join-token', ${token.site}, '{}')`);
    },

    /** The site a usable token is for. One that was used is still good for the very agent and key it was used for. */
    siteOfJoinToken: async (hash: string, agent: string, reportKey: string): Promise<string | undefined> => {
      const [row] = await db.execute(
        sql`select site from join_tokens where hash = ${hash} and ${usable(agent, reportKey)}`,
      );
      return row === undefined ? undefined : String(row["site"]);
    },

    /** Uses the token and enrols; undefined = token not usable, or the name is taken at another site. */
    enrol: async (enrolment: {
      readonly tokenHash: string;
      readonly agent: string;
      readonly reportKey: string;
      readonly certificateNotAfter: string;
    }): Promise<{ readonly site: string; readonly incarnation: number } | undefined> => {
      const { tokenHash, agent, reportKey, certificateNotAfter } = enrolment;
      const rows = await db.execute(sql`
        with token as (select site from join_tokens where hash = ${tokenHash} and ${usable(agent, reportKey)} for update),
        enrolled as (
          insert into agents (agent, site, report_key, certificate_not_after)
          select ${agent}, site, ${reportKey}, ${certificateNotAfter}::timestamptz from token
          on conflict (agent) do update set
            certificate_not_after = excluded.certificate_not_after, revoked_at = null, enrolled_at = now(),
            incarnation = agents.incarnation + (agents.report_key <> excluded.report_key)::int,
            acknowledged = case when agents.report_key = excluded.report_key then agents.acknowledged else 0 end,
            report_key = excluded.report_key
          where agents.site = excluded.site
          returning agent, site, incarnation
        ),
        used as (update join_tokens set used_at = coalesce(used_at, now()), used_by = ${agent} where hash = ${tokenHash} and exists (select from enrolled)),
        audited as (
          insert into audit (actor, action, subject, detail)
          select ${`agent ${agent}`}, 'enrol', agent, jsonb_build_object('site', site, 'incarnation', incarnation) from enrolled
        )
        select site, incarnation from enrolled`);
      const [row] = rows;
      return row === undefined ? undefined : { site: String(row["site"]), incarnation: Number(row["incarnation"]) };
    },

    renewed: async (agent: string, certificateNotAfter: string): Promise<void> => {
      await db.execute(
        sql`update agents set certificate_not_after = ${certificateNotAfter}::timestamptz where agent = ${agent}`,
      );
    },

    revoke: async (agent: string, by: string): Promise<boolean> => {
      const rows = await db.execute(sql`
        with gone as (update agents set revoked_at = coalesce(revoked_at, now()), online = false where agent = ${agent} returning agent),
        audited as (insert into audit (actor, action, subject, detail) select ${by}, 'revoke', agent, '{}' from gone)
        select agent from gone`);
      return rows.length > 0;
    },
    revoked: async (): Promise<string[]> =>
      (await db.execute(sql`select agent from agents where revoked_at is not null`)).map((row) => String(row["agent"])),

    heard: async (observed: Observed): Promise<void> => {
      const { agent, bootId, engine, bundle, weights } = observed;
      const heartbeat =
        observed.heartbeat === undefined
          ? sql``
          : sql`, heartbeat = ${toPostgresJson(observed.heartbeat)}::text::jsonb, mode = ${observed.mode ?? null}, killed = ${observed.killed ?? null}`;
      await db.execute(sql`
        update agents set online = true, last_heard_at = now(), boot_id = ${bootId}, engine = ${engine},
          bundle_version = ${bundle.version}, bundle_hash = ${bundle.hash ?? null},
          weights_version = ${weights.version}, weights_hash = ${weights.hash ?? null},
          refused = ${refusedJson(bundle, weights)}::text::jsonb ${heartbeat}
        where agent = ${agent} and revoked_at is null`);
    },
    gone: async (agent: string): Promise<void> => {
      await db.execute(sql`update agents set online = false where agent = ${agent}`);
    },
    /** Nobody is known to be connected: this controller has just met its broker. Silence for this long is absence too. */
    quiet: async (silentSeconds: number): Promise<void> => {
      await db.execute(
        sql`update agents set online = false where online and last_heard_at < now() - make_interval(secs => ${silentSeconds})`,
      );
    },

    /** The agent says that reports before `first` exist no more: they are lost, said so, and not waited for. */
    skipLost: async (agent: string, incarnation: number, first: number): Promise<void> => {
      await db.execute(sql`
        with moved as (
          update agents set acknowledged = ${first - 1}
          where agent = ${agent} and incarnation = ${incarnation} and acknowledged < ${first - 1}
          returning agent, site, incarnation
        ),
        told as (
          insert into agent_events (agent, site, incarnation, sequence, at, level, name, detail)
          select agent, site, incarnation, ${first - 1}, now(), 'alarm', 'reports-lost', ${`the agent's reports begin at ${first}; those between are on neither side`} from moved
          on conflict do nothing
        )
        insert into audit (actor, action, subject, detail)
        select 'controller', 'reports-lost', agent, jsonb_build_object('first', ${first}::bigint) from moved`);
    },

    agents: () => agentRows(sql`true`),
    agent: async (agent: string): Promise<AgentRow | undefined> => (await agentRows(sql`agent = ${agent}`))[0],

    sites: async () => {
      const rows = await db.execute(sql`
        select sites.site, bundle.version as bundle_version, bundle.hash as bundle_hash, weights.version as weights_version, weights.hash as weights_hash,
          (select count(*)::int from agents where agents.site = sites.site) as agents
        from sites left join releases bundle on bundle.hash = sites.bundle_hash left join releases weights on weights.hash = sites.weights_hash
        order by sites.site`);
      const part = (version: unknown, hash: unknown) =>
        hash === null ? null : { version: Number(version), hash: String(hash) };
      return rows.map((row) => ({
        site: String(row["site"]),
        bundle: part(row["bundle_version"], row["bundle_hash"]),
        weights: part(row["weights_version"], row["weights_hash"]),
        agents: Number(row["agents"]),
      }));
    },
  };
};

/** A site made now gets what is released for all, or was released for it before it had agents. */
export const insertSite = (site: string): SQL => sql`
  insert into sites (site, bundle_hash, weights_hash)
  select ${site}, ${newestRelease(site, "bundle")}, ${newestRelease(site, "weights")}
  on conflict (site) do nothing`;

const newestRelease = (site: string, kind: "bundle" | "weights"): SQL => sql`
  (select hash from releases where kind = ${kind} and status = 'released' and sites && array['*', ${site}]::text[] order by version desc limit 1)`;

const usable = (agent: string, reportKey: string): SQL => sql`
  expires_at > now() and (used_at is null or (used_by = ${agent} and exists
    (select from agents where agents.agent = ${agent} and agents.report_key = ${reportKey} and agents.acknowledged = 0)))`;

const refusedJson = (bundle: ObservedPart, weights: ObservedPart): string =>
  toPostgresJson(bundle.refused ?? weights.refused ?? null);

/** RFC 3339 in UTC, as everywhere else on the wire. */
export const utc = (column: SQL): SQL => sql`to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

const agentColumns = sql`agent, site, online, ${utc(sql`last_heard_at`)} as last_heartbeat_at, mode, killed, engine, bundle_version, bundle_hash,
  weights_version, nullif(refused, 'null') as refused, acknowledged::float8 as acknowledged, ${utc(sql`enrolled_at`)} as enrolled_at,
  ${utc(sql`revoked_at`)} as revoked_at, ${utc(sql`certificate_not_after`)} as certificate_not_after, heartbeat`;
