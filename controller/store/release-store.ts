import type { KillState } from "@reflex/protocol/kill";
import { killScopeKey } from "@reflex/protocol/kill";
import type { BlobPointer } from "@reflex/protocol/sync";
import { sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { utc } from "./fleet-store.ts";
import { toPostgresText } from "./postgres-text.ts";

/** Trust, bundles, weights, kill states and heads: what was signed, kept as it was signed. */
export type ReleaseStore = ReturnType<typeof createReleaseStore>;

export type Release = {
  readonly kind: "bundle" | "weights";
  /** SHA-256 of `envelope`. */
  readonly hash: string;
  readonly version: number;
  readonly sites: readonly string[];
  readonly changelog: string;
  readonly envelope: Uint8Array;
  readonly by: string;
};
export type StoredKill = { readonly state: KillState; readonly envelope: string };
/** What is released to a site, for its head. */
export type Desired = { readonly bundle?: BlobPointer; readonly weights?: BlobPointer };

export const createReleaseStore = ({ db }: Pick<Database, "db">) => ({
  trusts: async (): Promise<{ readonly version: number; readonly envelope: string }[]> =>
    (await db.execute(sql`select version, envelope from trusts order by version`)).map((row) => ({
      version: Number(row["version"]),
      envelope: String(row["envelope"]),
    })),
  storeTrust: async (version: number, envelope: string): Promise<void> => {
    await db.execute(
      sql`insert into trusts (version, envelope) values (${version}, ${envelope}) on conflict do nothing`,
    );
  },

  /** False: a release of this kind with this or a higher version is there already. */
  release: async ({ kind, hash, version, sites, changelog, envelope, by }: Release): Promise<boolean> => {
    const column = kind === "bundle" ? sql`bundle_hash` : sql`weights_hash`;
    const named = sites.filter((site) => site !== "*");
    const everywhere = sites.includes("*");
    const rows = await db.execute(sql`
      with made as (
        insert into releases (hash, kind, version, sites, status, changelog, envelope, stored_by)
        select ${hash}, ${kind}, ${version}, array(select json_array_elements_text(${JSON.stringify(sites)}::text::json)), 'released',
          ${toPostgresText(changelog)}, decode(${Buffer.from(envelope).toString("base64")}, 'base64'), ${by}
        where not exists (select from releases where kind = ${kind} and version >= ${version})
        on conflict do nothing returning hash
      ),
      existing as (
        update sites set ${column} = ${hash}
        where exists (select from made) and (${everywhere} or site in (select json_array_elements_text(${JSON.stringify(named)}::text::json)))
          and coalesce((select version from releases former where former.hash = sites.${column}), -1) < ${version}
      ),
      fresh as (
        insert into sites (site, ${column})
        select site, ${hash} from json_array_elements_text(${JSON.stringify(named)}::text::json) as named (site) where exists (select from made)
        on conflict do nothing
      ),
      audited as (
        insert into audit (actor, action, subject, detail)
        select ${by}, ${`release-${kind}`}, hash, jsonb_build_object('version', ${version}::int) from made
      )
      select hash from made`);
    return rows.length > 0;
  },

  newestVersion: async (kind: Release["kind"]): Promise<number> => {
    const [row] = await db.execute(sql`select coalesce(max(version), 0) as version from releases where kind = ${kind}`);
    return Number(row?.["version"] ?? 0);
  },

  blob: async (hash: string): Promise<Uint8Array | undefined> => {
    const [row] = await db.execute(sql`select envelope from releases where hash = ${hash}`);
    const envelope = row?.["envelope"];
    return envelope instanceof Uint8Array ? envelope : undefined;
  },

  list: async (kind: Release["kind"]) =>
    db.execute(sql`
      select hash, version, sites, status, changelog, ${utc(sql`stored_at`)} as stored_at, stored_by, length(envelope) as bytes
      from releases where kind = ${kind} order by version desc limit 500`),

  kills: async (): Promise<(StoredKill & { readonly scope: string })[]> => {
    const rows = await db.execute(sql`
      select scope, site, agent, epoch::float8 as epoch, state, reason, by, ${utc(sql`issued_at`)} as issued_at, envelope from kill_states order by scope`);
    return rows.map((row) => {
      const scope = String(row["scope"]);
      const aud = { org: scope.split("/")[0] ?? "", site: String(row["site"]), agent: String(row["agent"]) };
      const state: KillState = {
        v: 1,
        kind: "kill",
        aud,
        state: row["state"] === "armed" ? "armed" : "engaged",
        epoch: Number(row["epoch"]),
        reason: String(row["reason"]),
        by: String(row["by"]),
        issued_at: String(row["issued_at"]),
      };
      return { scope, state, envelope: String(row["envelope"]) };
    });
  },

  /** The stronger of what is there and this one stays: higher epoch, and engaged at a tie. */
  storeKill: async ({ state, envelope }: StoredKill, by: string): Promise<void> => {
    const scope = killScopeKey(state.aud);
    await db.execute(sql`
      with kept as (
        insert into kill_states (scope, site, agent, epoch, state, reason, by, issued_at, envelope)
        values (${scope}, ${state.aud.site}, ${state.aud.agent}, ${state.epoch}, ${state.state}, ${toPostgresText(state.reason)}, ${toPostgresText(state.by)}, ${state.issued_at}::timestamptz, ${envelope})
        on conflict (scope) do update set epoch = excluded.epoch, state = excluded.state, reason = excluded.reason, by = excluded.by,
          issued_at = excluded.issued_at, stored_at = now(), envelope = excluded.envelope
        where excluded.epoch > kill_states.epoch or (excluded.epoch = kill_states.epoch and excluded.state = 'engaged' and kill_states.state = 'armed')
        returning scope
      )
      insert into audit (actor, action, subject, detail)
      select ${by}, ${`kill-${state.state}`}, scope, jsonb_build_object('epoch', ${state.epoch}::bigint) from kept`);
  },

  siteNames: async (): Promise<string[]> =>
    (await db.execute(sql`select site from sites order by site`)).map((row) => String(row["site"])),

  desired: async (site: string): Promise<Desired> => {
    const rows = await db.execute(sql`
      select releases.kind, releases.version, releases.hash, length(releases.envelope) as bytes
      from sites join releases on releases.hash in (sites.bundle_hash, sites.weights_hash) where sites.site = ${site}`);
    const pointer = (kind: string): BlobPointer | undefined => {
      const row = rows.find((found) => found["kind"] === kind);
      return row === undefined
        ? undefined
        : { version: Number(row["version"]), hash: String(row["hash"]), bytes: Number(row["bytes"]) };
    };
    const [bundle, weights] = [pointer("bundle"), pointer("weights")];
    return { ...(bundle === undefined ? {} : { bundle }), ...(weights === undefined ? {} : { weights }) };
  },

  /** Taken before signing, never given twice: an agent takes a head only above the last one it heard. */
  nextHeadSequence: async (site: string): Promise<number> => {
    const [row] = await db.execute(sql`
      insert into heads (site, sequence, issued_at) values (${site}, 1, now())
      on conflict (site) do update set sequence = heads.sequence + 1, issued_at = now() returning sequence::float8 as sequence`);
    return Number(row?.["sequence"]);
  },
  storeHead: async (site: string, sequence: number, envelope: string): Promise<void> => {
    await db.execute(sql`
      update heads set envelope = ${envelope}, signed_sequence = ${sequence} where site = ${site} and signed_sequence < ${sequence}`);
  },
});
