import { type SQL, sql } from "drizzle-orm";
import type { Database } from "./database.ts";

/** Lists newest first, a page at a time. A cursor is the position of the last row, opaque to callers. */
export type Row = Readonly<Record<string, unknown>>;
export type Page<T> = { readonly rows: readonly T[]; readonly next: string | null };
export type PageRequest = { readonly limit: number; readonly cursor?: string | undefined };

/** `columns` name `page_at` and `page_id`, which also order; one row more than asked for tells whether there is a next page. */
export const createPager =
  ({ db }: Pick<Database, "db">) =>
  async (
    columns: SQL,
    from: SQL,
    where: readonly SQL[],
    at: SQL,
    id: SQL,
    request: PageRequest,
  ): Promise<Page<Row>> => {
    const after = cursorOf(request.cursor);
    const conditions =
      after === undefined ? where : [...where, sql`(${at}, ${id}) < (${after.at}::timestamptz, ${after.id})`];
    const rows = await db.execute(sql`
      select ${columns}, ${at}::text as page_at, ${id} as page_id from ${from}
      ${conditions.length === 0 ? sql`` : sql`where ${sql.join([...conditions], sql` and `)}`}
      order by ${at} desc, ${id} desc limit ${request.limit + 1}`);
    const shown = rows.slice(0, request.limit);
    const last = shown.at(-1);
    const next = rows.length > request.limit && last !== undefined ? cursorText(last) : null;
    return { rows: shown.map(({ page_at, page_id, ...row }) => row), next };
  };

export const equal = (filter: Readonly<Record<string, string | undefined>>): SQL[] =>
  Object.entries(filter).flatMap(([column, value]) =>
    value === undefined ? [] : [sql`${sql.identifier(column)} = ${value}`],
  );

const cursorText = (row: Row): string =>
  Buffer.from(JSON.stringify([row["page_at"], row["page_id"]])).toString("base64url");

/** Anything that is not a cursor of ours begins at the first page. */
const cursorOf = (text: string | undefined): { readonly at: string; readonly id: string } | undefined => {
  if (text === undefined) return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    if (!Array.isArray(parsed)) return undefined;
    const [at, id] = parsed;
    return typeof at === "string" && typeof id === "string" && !Number.isNaN(Date.parse(at)) ? { at, id } : undefined;
  } catch {
    return undefined;
  }
};
