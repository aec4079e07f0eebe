import { isTerminal } from "@reflex/protocol/command-life";
import { extensionSecondsMax, futureSkewSecondsMax, orderSecondsMax, ttlSecondsMin } from "@reflex/protocol/limits";
import type { Order, OrderDo } from "@reflex/protocol/order";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { timestampOf } from "@reflex/protocol/timestamp";
import { checkOrder } from "@reflex/protocol/validate";
import type { Marks } from "./policy/marks-port.ts";
import { openSigned } from "./policy/open-signed.ts";
import type { TrustStore } from "./policy/trust.ts";
import type { Clock, CommandRow, Crypto, Journal, Log, Timers } from "./ports.ts";
import { eventWrite } from "./report/records.ts";

/** What of the executor a person may ask for. */
export type OrderExecutor = {
  /** Answers with the commands that keep the same target enforced; the undo itself comes later. */
  readonly undoNow: (commandId: string, reason: string) => Result<readonly string[], Refusal>;
  readonly markUndone: (commandId: string, by: string) => Result<void, Refusal>;
  /** From now on the lease has this many seconds. */
  readonly extend: (commandId: string, ttlSeconds: number, by: string) => Result<void, Refusal>;
  /** Answers with the other leases on the same target that went with it. */
  readonly handOver: (commandId: string, by: string) => Result<readonly string[], Refusal>;
  readonly reconcile: (
    connectorName: string,
  ) => Promise<Result<{ readonly missing: number; readonly unowned: number }, Refusal>>;
  readonly inForce: () => readonly CommandRow[];
  readonly pending: () => readonly CommandRow[];
};

export type OrderDeps = {
  readonly self: { readonly org: string; readonly site: string; readonly agent: string };
  readonly executor: OrderExecutor;
  readonly crypto: Crypto;
  readonly trust: Pick<TrustStore, "current">;
  readonly marks: Pick<Marks, "get">;
  /** The agent's time, in which leases run. */
  readonly clock: Clock;
  /** Wall time, in which orders run out. */
  readonly wall: Clock;
  readonly timers: Timers;
  readonly journal: Pick<Journal, "write">;
  readonly log: Log;
};

/**
 * A person's orders: verified, bounded, handed to the executor, answered. The head key signs them, which is online and may be
 * stolen, so an order can only end or keep what policy put in force: nothing new is applied, no lease outlives its policy's own
 * ttl counted anew nor a day beyond its first end, and every order, done or refused, is reported.
 */
export type Orders = {
  /** Err: it is not believed, and nobody is told but the log. Ok: it is answered by `order-done` or `order-refused`. */
  readonly take: (envelope: Uint8Array) => Promise<Result<void, Refusal>>;
  /** Every step of a command: an early undo is answered when it is over. */
  readonly noteCommand: (row: CommandRow) => void;
};

const orderBytesMax = 8 * 1024;
/** In the time that an order may live. A person undoing a bad night gives hundreds; whoever stole the head key wants more. */
const ordersMax = 1_000;
const answerAgainMs = 5_000;

type Answer = Result<string, Refusal>;
type Waiting = { readonly order: Order; keptBy: readonly string[]; readonly cancel: () => void };

export const createOrders = (deps: OrderDeps): Orders => {
  const { self, executor, crypto, timers, log } = deps;
  /** When each order was heard; repeating one later than it lives is harmless, because it is expired then. */
  const heard = new Map<string, number>();
  const waiting = new Map<string, Waiting[]>();

  /** A wall clock that was set back must not make an old order young: the last head says how late it is at least. */
  const nowMs = (): number => Math.max(deps.wall.nowMs(), deps.marks.get("lease/issued"));

  const open = (envelope: Uint8Array): Result<Order, Refusal> => {
    const trust = deps.trust.current();
    if (trust === undefined) return err(refusal("trust-missing"));
    const gate = { kind: "order", payloadBytesMax: orderBytesMax, check: checkOrder } as const;
    const opened = openSigned(crypto, gate, envelope, [trust.roles.head]);
    if (!opened.ok) return opened;
    const { aud, order_id } = opened.value.value;
    if (aud.org !== self.org || aud.site !== self.site || aud.agent !== self.agent)
      return err(refusal("audience-wrong", `${aud.org}/${aud.site}/${aud.agent}`));
    if (heard.has(order_id)) return err(refusal("replayed", order_id));
    return heard.size >= ordersMax
      ? err(refusal("queue-full", `${ordersMax} orders in ${orderSecondsMax} s`))
      : ok(opened.value.value);
  };

  const forgetOld = (): void => {
    const oldestMs = nowMs() - orderSecondsMax * 1_000;
    for (const [orderId, heardMs] of heard) if (heardMs < oldestMs) heard.delete(orderId);
  };

  const take = async (envelope: Uint8Array): Promise<Result<void, Refusal>> => {
    forgetOld();
    const opened = open(envelope);
    if (!opened.ok) return opened;
    const order = opened.value;
    heard.set(order.order_id, nowMs());
    const timely = isTimely(order);
    const answer = timely.ok ? await carryOut(order) : timely;
    if (answer !== undefined) tell(order, answer);
    return ok(undefined);
  };

  const isTimely = ({ issued_at, expires_at }: Order): Result<void, Refusal> => {
    const now = nowMs();
    if (now > Date.parse(expires_at))
      return err(refusal("expired", `good until ${expires_at}; it is ${timestampOf(now)} here`));
    if (Date.parse(issued_at) - now > futureSkewSecondsMax * 1_000)
      return err(refusal("timestamp-absurd", `issued at ${issued_at}; it is ${timestampOf(now)} here`));
    return ok(undefined);
  };

  /** Undefined: answered later. */
  const carryOut = async (order: Order): Promise<Answer | undefined> => {
    const what: OrderDo = order.do;
    const asked = `${order.by}: ${order.reason}`;
    switch (what.kind) {
      case "undo":
        return undo(order, what.command_id, asked);
      case "extend":
        return extend(order, what.command_id, what.ttl_seconds, asked);
      case "hand_over": {
        const row = rowOf(what.command_id);
        if (row === undefined) return err(refusal("not-found", "no such command is open here"));
        if (row.state !== "in_force")
          return err(refusal("illegal-transition", `the command is ${row.state}, not in force`));
        const done = executor.handOver(what.command_id, asked);
        return done.ok
          ? ok(`handed over as it stands; nobody undoes it but a person${listed("; with it went", done.value)}`)
          : done;
      }
      case "mark_undone": {
        const done = executor.markUndone(what.command_id, asked);
        return done.ok ? ok("marked as undone by hand") : done;
      }
      case "reconcile": {
        const compared = await executor.reconcile(what.connector);
        if (!compared.ok) return compared;
        const { missing, unowned } = compared.value;
        return ok(`compared ${what.connector}: ${missing} of ours missing, ${unowned} not ours`);
      }
    }
  };

  const undo = (order: Order, commandId: string, asked: string): Answer | undefined => {
    // Waited for from before it is asked: it may be over within the call.
    const leftMs = Math.max(0, Date.parse(order.expires_at) - nowMs());
    const cancel = timers.after(leftMs, () => {
      settle(commandId, order.order_id, err(refusal("undo-failed", "not over yet; it is tried again by itself")));
    });
    const mine: Waiting = { order, keptBy: [], cancel };
    waiting.set(commandId, [...(waiting.get(commandId) ?? []), mine]);
    const begun = executor.undoNow(commandId, asked);
    if (begun.ok) {
      mine.keptBy = begun.value;
      return undefined;
    }
    forget(commandId, order.order_id);
    return begun;
  };

  const extend = (order: Order, commandId: string, ttlSeconds: number, asked: string): Answer => {
    const row = rowOf(commandId);
    if (row === undefined) return err(refusal("not-found", "no such command is open here"));
    const { ttl, issued_at } = row.command;
    if (ttlSeconds > ttl)
      return err(refusal("limit-exceeded", `${ttlSeconds} s asked; its policy allows ${ttl} s at a time`));
    const sinceIssuedMs = Math.max(0, nowMs() - Date.parse(order.issued_at));
    const seconds = Math.floor(ttlSeconds - sinceIssuedMs / 1_000);
    if (seconds < ttlSecondsMin) return err(refusal("expired", "the time asked for is over already"));
    const endsMs = deps.clock.nowMs() + seconds * 1_000;
    const lastMs = Date.parse(issued_at) + (ttl + extensionSecondsMax) * 1_000;
    if (endsMs > lastMs) return err(refusal("limit-exceeded", `no extension goes beyond ${timestampOf(lastMs)}`));
    if (row.undoAtMs !== undefined && endsMs <= row.undoAtMs)
      return ok(`it ends later already, at ${timestampOf(row.undoAtMs)}`);
    const done = executor.extend(commandId, seconds, asked);
    return done.ok ? ok(`it ends at ${timestampOf(endsMs)}`) : done;
  };

  const rowOf = (commandId: string): CommandRow | undefined =>
    [...executor.inForce(), ...executor.pending()].find(({ command }) => command.command_id === commandId);

  const forget = (commandId: string, orderId: string): Waiting | undefined => {
    const all = waiting.get(commandId) ?? [];
    const found = all.find(({ order }) => order.order_id === orderId);
    const rest = all.filter((one) => one !== found);
    if (rest.length === 0) waiting.delete(commandId);
    else waiting.set(commandId, rest);
    found?.cancel();
    return found;
  };

  const settle = (commandId: string, orderId: string, answer: Answer): void => {
    const found = forget(commandId, orderId);
    if (found !== undefined) tell(found.order, answer);
  };

  const tell = (order: Order, answer: Answer): void => {
    const about = order.do.kind === "reconcile" ? order.do.connector : order.do.command_id;
    const text = `${order.do.kind} of ${about} by ${order.by}: ${answer.ok ? answer.value : answer.error.detail}`;
    const name = answer.ok ? "order-done" : "order-refused";
    const code = answer.ok ? undefined : answer.error.code;
    log[answer.ok ? "info" : "warn"]({ order: order.order_id, code }, text);
    const write = eventWrite(deps.wall, answer.ok ? "info" : "warning", name, text, code, order.order_id);
    const untilMs = Date.parse(order.expires_at);
    const keep = async (): Promise<void> => {
      const written = await deps.journal.write([write]);
      // A full disk may pass; after its expiry nobody waits for the answer any more, and the command's own report stands.
      if (!written.ok && nowMs() < untilMs) timers.after(answerAgainMs, () => void keep());
    };
    void keep();
  };

  return {
    take,
    noteCommand: ({ command, state }) => {
      const all = waiting.get(command.command_id);
      if (all === undefined || !(isTerminal(state) || state === "stuck")) return;
      // After this turn: it may be over within the very call that says who else keeps the target enforced.
      timers.soon(() => {
        for (const { order, keptBy } of all) {
          const answer: Answer =
            state === "stuck"
              ? err(refusal("undo-failed", "it could not be taken back; undo it by hand, then mark it"))
              : ok(
                  state === "failed"
                    ? "nothing was in force"
                    : `it is ${state}${listed("; the target stays enforced by", keptBy)}`,
                );
          settle(command.command_id, order.order_id, answer);
        }
      });
    },
  };
};

const listed = (before: string, ids: readonly string[]): string =>
  ids.length === 0 ? "" : `${before} ${ids.slice(0, 8).join(", ")}${ids.length > 8 ? " and more" : ""}`;
