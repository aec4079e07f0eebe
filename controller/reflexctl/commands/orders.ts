import { type Arguments, required, UsageError } from "../arguments.ts";
import type { Client } from "../client.ts";
import { plain, tableText } from "../table.ts";

export type OrderRow = {
  readonly order_id: string;
  readonly agent: string;
  readonly kind: string;
  readonly command_id: string | null;
  readonly connector: string | null;
  readonly by: string;
  readonly reason: string;
  readonly issued_at: string;
  readonly expires_at: string;
  readonly state: "sent" | "done" | "refused" | "unanswered";
  readonly code: string | null;
  readonly detail: string | null;
};
type Outcome = { readonly text: string; readonly exitCode: number };

/** An early undo takes two calls to the target system; one that takes longer goes on without us. */
const answerMsMax = 20_000;
const askEveryMs = 250;

/** Ends a lease early, leaves it to a person, or says that a stuck one was undone by hand. */
export const leaseOrder = async (
  args: Arguments,
  client: Client,
  route: "undo" | "hand-over" | "mark-undone",
): Promise<Outcome> =>
  give(args, client, `/v1/commands/${commandOf(args, route)}/${route}`, { reason: reasonOf(args) });

export const leaseExtend = async (args: Arguments, client: Client): Promise<Outcome> =>
  give(args, client, `/v1/commands/${commandOf(args, "extend")}/extend`, {
    reason: reasonOf(args),
    ttl_seconds: secondsOf(required(args, "ttl", "2h")),
  });

export const connectorReconcile = async (args: Arguments, client: Client): Promise<Outcome> => {
  const connector = args.words[2];
  if (connector === undefined)
    throw new UsageError("which connector? reflexctl connectors reconcile --agent A NAME --reason TEXT");
  const agent = encodeURIComponent(required(args, "agent", "agent-1"));
  return give(args, client, `/v1/agents/${agent}/reconcile`, { reason: reasonOf(args), connector });
};

export const ordersList = async (args: Arguments, client: Client): Promise<string> => {
  const query = new URLSearchParams({ limit: args.text("limit") ?? "50" });
  const agent = args.text("agent");
  if (agent !== undefined) query.set("agent", agent);
  const { orders } = await client.get<{ orders: OrderRow[] }>(`/v1/orders?${query}`);
  if (args.flag("json")) return JSON.stringify(orders);
  return tableText(
    ["order", "issued at", "agent", "what", "about", "by", "state", "answer"],
    orders.map((row) => [
      row.order_id,
      row.issued_at,
      row.agent,
      row.kind,
      row.command_id ?? row.connector ?? "",
      plain(row.by),
      row.state,
      plain([row.code, row.detail].filter((part) => part !== null).join("; ")),
    ]),
  );
};

const give = async (args: Arguments, client: Client, path: string, body: object): Promise<Outcome> => {
  const { order_id } = await client.post<{ order_id: string }>(path, body);
  const order = await answered(client, order_id);
  const exitCode = order.state === "refused" ? 1 : 0;
  if (args.flag("json")) return { text: JSON.stringify(order), exitCode };
  return { text: answerText(order), exitCode };
};

const answered = async (client: Client, orderId: string): Promise<OrderRow> => {
  const deadline = performance.now() + answerMsMax;
  for (;;) {
    const order = await client.get<OrderRow>(`/v1/orders/${orderId}`);
    if (order.state !== "sent" || performance.now() > deadline) return order;
    await new Promise((wake) => setTimeout(wake, askEveryMs));
  }
};

const answerText = ({ order_id, agent, state, code, detail, expires_at }: OrderRow): string => {
  if (state === "done") return `done: ${plain(detail ?? "")}`;
  if (state === "refused") return `refused by ${agent}: ${code ?? ""}; ${plain(detail ?? "")}`;
  return `sent to ${agent}, no answer yet; it is good until ${expires_at}. See: reflexctl orders (${order_id})`;
};

const commandOf = (args: Arguments, verb: string): string => {
  const id = args.words[2];
  if (id === undefined) throw new UsageError(`which lease? reflexctl leases ${verb} ID (ids: reflexctl leases)`);
  return encodeURIComponent(id);
};

const reasonOf = (args: Arguments): string => required(args, "reason", '"the host was cleaned"');

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** `90s`, `30m`, `2h`, `1d`; a bare number is seconds. */
const secondsOf = (text: string): number => {
  const [, digits = "", unit = "s"] = /^(\d{1,9})([smhd])?$/.exec(text) ?? [];
  if (digits === "") throw new UsageError(`--ttl ${text} is no time; for example --ttl 2h (s, m, h or d)`);
  return Number(digits) * (unitSeconds[unit] ?? 1);
};
