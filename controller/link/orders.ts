import type { Envelope } from "@reflex/protocol/envelope";
import { uuidV7 } from "@reflex/protocol/ids";
import type { Order, OrderDo } from "@reflex/protocol/order";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { SigningKey } from "../release/signing-key.ts";
import type { FleetStore } from "../store/fleet-store.ts";
import type { OrderStore } from "../store/order-store.ts";

/** Gives people's orders to agents. Nothing is kept for an agent that is away: what a person wants now may be wrong in an hour. */
export type Orders = {
  readonly give: (given: GivenOrder) => Promise<Result<SentOrder, Refusal>>;
};
export type GivenOrder = {
  readonly agent: string;
  readonly do: OrderDo;
  readonly by: string;
  readonly reason: string;
};
/** On its way; the answer comes with the agent's reports. */
export type SentOrder = {
  readonly order_id: string;
  readonly agent: string;
  readonly state: "sent";
  readonly expires_at: string;
};

export type OrderDeps = {
  readonly org: string;
  readonly key: SigningKey;
  readonly fleet: Pick<FleetStore, "agent">;
  readonly store: Pick<OrderStore, "store" | "unsent">;
  /** Resolves when the broker has it. */
  readonly send: (agent: string, envelope: Envelope) => Promise<void>;
  readonly nowMs: () => number;
  readonly random: (count: number) => Uint8Array;
};

/** Long enough for a slow link and clocks that differ, short enough that nobody is surprised by it. */
const orderLivesMs = 5 * 60_000;

export const createOrders = (deps: OrderDeps): Orders => ({
  give: async ({ agent, do: what, by, reason }) => {
    const known = await deps.fleet.agent(agent);
    if (known === undefined) return err(refusal("not-found", `no agent ${agent}`));
    const nowMs = deps.nowMs();
    const order: Order = {
      v: 1,
      kind: "order",
      aud: { org: deps.org, site: known.site, agent },
      order_id: uuidV7(nowMs, deps.random(10)),
      issued_at: new Date(nowMs).toISOString(),
      expires_at: new Date(nowMs + orderLivesMs).toISOString(),
      do: what,
      by,
      reason,
    };
    const absent = whyAbsent(known);
    await deps.store.store(order, absent);
    if (absent !== undefined) return err(absent);
    try {
      await deps.send(agent, deps.key.sign("order", Buffer.from(JSON.stringify(order))));
    } catch (error) {
      const why = refusal("unreachable", `not sent: ${error instanceof Error ? error.message.slice(0, 200) : ""}`);
      await deps.store.unsent(order.order_id, why);
      return err(why);
    }
    return ok({ order_id: order.order_id, agent, state: "sent", expires_at: order.expires_at });
  },
});

const whyAbsent = ({
  agent,
  online,
  revoked_at,
  last_heartbeat_at,
}: {
  readonly agent: string;
  readonly online: boolean;
  readonly revoked_at: string | null;
  readonly last_heartbeat_at: string | null;
}): Refusal | undefined => {
  if (revoked_at !== null) return refusal("conflict", `agent ${agent} is revoked and hears nothing`);
  if (online) return undefined;
  const heard = last_heartbeat_at === null ? "never heard" : `last heard ${last_heartbeat_at}`;
  return refusal(
    "unreachable",
    `agent ${agent} is offline (${heard}); the order was not sent and is not kept for later`,
  );
};
