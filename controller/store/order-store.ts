import type { Order } from "@reflex/protocol/order";
import type { Refusal } from "@reflex/protocol/refusal";
import { type SQL, sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { utc } from "./fleet-store.ts";
import { createPager, equal, type Page, type PageRequest, type Row } from "./page.ts";
import { toPostgresText } from "./postgres-text.ts";

/** Orders and what came of them; the answers come in with the agents' reports. Every method is one statement. */
export type OrderStore = ReturnType<typeof createOrderStore>;

export type OrderFilter = {
  readonly agent?: string | undefined;
  readonly command?: string | undefined;
  readonly state?: string | undefined;
};

export const createOrderStore = ({ db }: Pick<Database, "db">) => {
  const page = createPager({ db });
  return {
    /** Before it is sent, or the answer could come first; `refused` for one that is not sent at all. */
    store: async (order: Order, refused?: Refusal): Promise<void> => {
      const what = order.do;
      const commandId = what.kind === "reconcile" ? null : what.command_id;
      const connector = what.kind === "reconcile" ? what.connector : null;
      const ttlSeconds = what.kind === "extend" ? what.ttl_seconds : null;
      const reason = toPostgresText(order.reason);
      const detail = refused === undefined ? null : toPostgresText(refused.detail);
      await db.execute(sql`
        with stored as (
          insert into orders (order_id, agent, site, kind, command_id, connector, ttl_seconds, by, reason, issued_at, expires_at, state, answered_at, code, detail)
          values (${order.order_id}, ${order.aud.agent}, ${order.aud.site}, ${what.kind}, ${commandId}, ${connector}, ${ttlSeconds}, ${order.by}, ${reason},
            ${order.issued_at}::timestamptz, ${order.expires_at}::timestamptz, ${refused === undefined ? "sent" : "refused"},
            ${refused === undefined ? null : order.issued_at}::timestamptz, ${refused?.code ?? null}, ${detail})
        )
        insert into audit (actor, action, subject, detail)
        values (${order.by}, ${`order-${what.kind.replace("_", "-")}`}, ${commandId ?? connector},
          jsonb_build_object('order', ${order.order_id}::text, 'agent', ${order.aud.agent}::text, 'reason', ${reason}::text, 'code', ${refused?.code ?? null}::text))`);
    },
    /** The broker did not take it. */
    unsent: async (orderId: string, { code, detail }: Refusal): Promise<void> => {
      await db.execute(sql`
        update orders set state = 'refused', answered_at = now(), code = ${code}, detail = ${toPostgresText(detail)}
        where order_id = ${orderId} and state = 'sent'`);
    },
    list: ({ agent, command, state }: OrderFilter, request: PageRequest): Promise<Page<Row>> =>
      page(
        orderColumns,
        sql`orders`,
        [...equal({ agent, command_id: command }), ...(state === undefined ? [] : [sql`${shownState} = ${state}`])],
        sql`issued_at`,
        sql`order_id`,
        request,
      ),
    order: async (orderId: string): Promise<Row | undefined> => {
      const [row] = await db.execute(sql`select ${orderColumns} from orders where order_id = ${orderId}`);
      return row === undefined ? undefined : { ...row };
    },
  };
};

/** No answer and past its expiry: the agent did not hear it, or heard it and cannot be heard. */
const shownState: SQL = sql`case when state = 'sent' and expires_at < now() then 'unanswered' else state end`;

const orderColumns = sql`order_id, agent, site, kind, command_id, connector, ttl_seconds, by, reason, ${utc(sql`issued_at`)} as issued_at,
  ${utc(sql`expires_at`)} as expires_at, ${shownState} as state, ${utc(sql`answered_at`)} as answered_at, code, detail`;
