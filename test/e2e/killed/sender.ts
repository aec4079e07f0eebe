import type { RecordResult } from "@reflex/edge-agent/listen/webhook";
import type { Dice } from "../../bench/random.ts";

export type Acknowledged = {
  /** From the answer; a repeat of what an unheard answer acknowledged names no decision. */
  readonly decisionIds: ReadonlySet<string>;
  readonly times: number;
};
export type Sender = {
  readonly start: () => void;
  /** Sends nothing new; resolves when all that was begun has been acknowledged. */
  readonly finish: () => Promise<void>;
  readonly acknowledged: () => ReadonlyMap<string, Acknowledged>;
  readonly figures: () => {
    readonly records: number;
    readonly repeats: number;
    readonly requests: number;
    readonly unanswered: number;
  };
  /** Fates that no record of ours may have. */
  readonly surprises: () => readonly string[];
};

/** Requests under way at once, records of one of them, and the pause before the next: a busy SIEM, not a flood. */
const requestsAtOnce = 3;
const recordsMax = 20;
const pauseMs = 120;
const retryMs = 50;
const answerWithinMs = 5_000;

/**
 * A SIEM that does it right: repeats a request until each record in it has a fate, and sends some records twice, a few of
 * them in the very same request.
 */
export const createSender = (url: string, dice: Dice): Sender => {
  const acknowledged = new Map<string, { readonly decisionIds: Set<string>; times: number }>();
  const known: string[] = [];
  const surprises: string[] = [];
  let records = 0;
  let repeats = 0;
  let requests = 0;
  let unanswered = 0;
  let isFinishing = false;
  let workers: readonly Promise<void>[] = [];

  const batch = (): string[] =>
    Array.from({ length: 1 + dice.below(recordsMax) }, () => {
      const repeated = dice.chance(0.15) ? known[dice.below(known.length)] : undefined;
      if (repeated !== undefined) {
        repeats += 1;
        return repeated;
      }
      records += 1;
      const text = JSON.stringify(detection(records, dice));
      known.push(text);
      return text;
    });

  const deliver = async (lines: readonly string[]): Promise<void> => {
    for (;;) {
      const results = await post(lines);
      if (results !== undefined) return note(results, lines.length);
      await pause(retryMs);
    }
  };

  const post = async (lines: readonly string[]): Promise<readonly RecordResult[] | undefined> => {
    requests += 1;
    try {
      const answer = await fetch(url, {
        method: "POST",
        body: lines.join("\n"),
        signal: AbortSignal.timeout(answerWithinMs),
      });
      const { results } = (await answer.json()) as { results?: readonly RecordResult[] };
      return answer.status === 200 ? results : undefined;
    } catch {
      // Killed while answering, or not yet up again: nobody knows what became of the records.
      unanswered += 1;
      return undefined;
    }
  };

  const note = (results: readonly RecordResult[], sent: number): void => {
    if (results.length !== sent) surprises.push(`${results.length} fates for ${sent} records`);
    for (const { event_id: eventId = "", fate, decision_id: decisionId, code } of results) {
      if (fate !== "decided" && fate !== "duplicate") {
        surprises.push(`${eventId}: ${fate} ${code ?? ""}`);
        continue;
      }
      const entry = acknowledged.get(eventId) ?? { decisionIds: new Set(), times: 0 };
      acknowledged.set(eventId, entry);
      entry.times += 1;
      if (decisionId !== undefined) entry.decisionIds.add(decisionId);
    }
  };

  const work = async (): Promise<void> => {
    while (!isFinishing) {
      await deliver(batch());
      await pause(pauseMs);
    }
  };

  return {
    start: () => {
      workers = Array.from({ length: requestsAtOnce }, work);
    },
    finish: async () => {
      isFinishing = true;
      await Promise.all(workers);
    },
    acknowledged: () => acknowledged,
    figures: () => ({ records, repeats, requests, unanswered }),
    surprises: () => surprises,
  };
};

/** Half of them certain enough to act on; some targets are seen once, others again and again while their lease runs. */
const detection = (number: number, dice: Dice): object => ({
  event_id: `killed:${number}`,
  timestamp: new Date().toISOString(),
  confidence: dice.chance(0.5) ? 0.95 : 0.5,
  severity: dice.chance(0.3) ? "critical" : "high",
  tags: ["killed"],
  rule: { id: `rule-${dice.below(5)}`, name: "sent while the agent dies", origin: "signature" },
  entities: [{ type: "address", value: addressOf(number, dice), role: "attacker" }],
  source: { kind: "native", domain: "network", sensor: "sender" },
});

const addressOf = (number: number, dice: Dice): string =>
  dice.chance(0.3) ? `203.0.113.${1 + dice.below(60)}` : `45.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;

const pause = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));
