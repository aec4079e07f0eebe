import type { RawRecord, Source } from "@reflex/edge-agent/ports";
import { poison, untouchableTargets } from "./bundles.ts";
import { startMs } from "./keys.ts";
import type { Sim } from "./sim.ts";
import type { Owner } from "./time.ts";

/** A SIEM that keeps each record until it is told its fate, and offers again what was not taken or never answered. */
export type Siem = {
  readonly sourceFor: (process: Owner) => Source;
  /** The process is gone: what it had not answered is waiting again. */
  readonly gone: () => void;
  readonly emit: () => void;
  readonly records: () => readonly { readonly record: number; readonly eventId: string; readonly isSettled: boolean }[];
};

type Held = {
  readonly record: number;
  readonly eventId: string;
  readonly bytes: Uint8Array;
  state: "waiting" | "offered" | "settled";
  offers: number;
};

export const createSiem = (sim: Sim): Siem => {
  const { dice, time } = sim;
  const held: Held[] = [];
  let listener: { readonly process: Owner; readonly offer: (record: RawRecord) => Promise<void> } | undefined;
  let events = 0;

  const offer = (one: Held): void => {
    const to = listener;
    if (to === undefined || one.state !== "waiting") return;
    one.state = "offered";
    one.offers += 1;
    const attempt = one.offers;
    void to.offer({
      bytes: one.bytes,
      source: "siem",
      format: "native",
      settle: (fate) => {
        if (!to.process.isAlive) return;
        sim.count(`fate: ${fate.kind}`);
        sim.happened({ kind: "settled", record: one.record, offer: attempt, eventId: one.eventId, fate });
        if (fate.kind === "not_taken") {
          one.state = "waiting";
          time.after(sim.world, dice.between(200, 5_000), () => offer(one));
          return;
        }
        if (fate.kind === "decided") sim.tell(`agent: decided ${one.eventId}: ${fate.verdict}`);
        // The answer may be lost on its way: then it is offered once more, and the agent must know it.
        if (dice.chance(sim.weather.lost / 2)) {
          one.state = "waiting";
          time.after(sim.world, dice.between(1_000, 60_000), () => offer(one));
        } else one.state = "settled";
      },
    });
  };

  const take = (eventId: string, bytes: Uint8Array): void => {
    const one: Held = { record: held.length + 1, eventId, bytes, state: "waiting", offers: 0 };
    held.push(one);
    offer(one);
  };

  const detectionOf = (eventId: string): Record<string, unknown> => {
    const about = dice.pick(["block", "block", "block", "domain", "host", "user", "nothing", "poison", "untouchable"]);
    const attacker = (value: string) => [{ type: "address", value, role: "attacker" }];
    const shape: Record<typeof about, () => Record<string, unknown>> = {
      block: () => ({ rule: rule("known_ioc"), entities: attacker(`203.0.113.${dice.between(1, 9)}`) }),
      domain: () => ({ tags: ["c2"], entities: [{ type: "domain", value: `bad${dice.between(1, 4)}.example` }] }),
      host: () => ({ tags: ["lateral"], entities: [victim("host", `ws-${dice.between(1, 20)}`)] }),
      user: () => ({ tags: ["stolen"], entities: [victim("user", `user-${dice.between(1, 5)}`)] }),
      nothing: () => ({ entities: attacker("192.0.2.1") }),
      poison: () => ({ rule: rule(poison), entities: attacker("192.0.2.66") }),
      untouchable: () => {
        const [type = "", value = ""] = dice.pick(untouchableTargets as [string, ...string[]]).split("|");
        return type === "address"
          ? { rule: rule("known_ioc"), entities: attacker(value) }
          : { tags: type === "host" ? ["lateral"] : ["stolen"], entities: [victim(type, value)] };
      },
    };
    return {
      event_id: eventId,
      timestamp: new Date(startMs + time.nowMs() - dice.between(0, 20_000)).toISOString(),
      confidence: dice.pick([0.3, 0.86, 0.95, 0.95, 0.99]),
      severity: dice.pick(["low", "high", "critical"]),
      source: { kind: "native", domain: dice.pick(["network", "host", "identity"]) },
      rule: rule("behaviour"),
      ...shape[about](),
    };
  };
  const rule = (origin: string) => ({ id: `rule-${dice.between(1, 3)}`, name: "simulated", origin });
  const victim = (type: string, value: string) => ({ type, value, role: "victim" });

  const text = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
  const emit = (): void => {
    const before = held[dice.between(0, Math.max(0, held.length - 1))];
    if (before !== undefined && dice.chance(0.1)) take(before.eventId, before.bytes);
    else if (before !== undefined && dice.chance(0.05)) take(before.eventId, text(detectionOf(before.eventId)));
    else if (dice.chance(0.03))
      take("", dice.chance(0.5) ? Buffer.from("not json") : text({ event_id: "x", confidence: 7 }));
    else {
      events += 1;
      const eventId = `event-${events}`;
      take(eventId, text(detectionOf(eventId)));
    }
  };

  return {
    emit,
    sourceFor: (process) => ({
      name: "siem",
      start: async (offerRecord) => {
        listener = { process, offer: offerRecord };
        for (const one of held) offer(one);
      },
      stop: async () => {
        if (listener?.process === process) listener = undefined;
      },
    }),
    gone: () => {
      listener = undefined;
      for (const one of held) if (one.state === "offered") one.state = "waiting";
    },
    records: () => held.map(({ record, eventId, state }) => ({ record, eventId, isSettled: state === "settled" })),
  };
};
