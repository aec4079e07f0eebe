import type { DatabaseSync } from "node:sqlite";

/**
 * Numbers that outlive the rows they count. Changed in memory while a commit is prepared, stored inside it, and taken
 * back with it if it fails.
 */
export type Counters = {
  readonly get: (key: CounterKey) => number;
  readonly set: (key: CounterKey, value: number) => void;
  readonly add: (key: CounterKey, delta: number) => void;
  readonly store: () => void;
  /** After the commit: what was stored becomes what is true. */
  readonly keep: () => void;
  readonly takeBack: () => void;
};
export type CounterKey =
  | "report_sequence"
  | "spool_first"
  | "spool_bytes"
  | "token_bytes"
  | "tokens"
  | "decided"
  | "decided_rows"
  | "dead_letters"
  | "dead_letter_rows"
  | "dead_letter_bytes"
  | "latest_ms";

export const createCounters = (database: DatabaseSync): Counters => {
  const rows = database.prepare("SELECT key, value FROM counters").all() as { key: CounterKey; value: number }[];
  const stored = new Map<CounterKey, number>(rows.map(({ key, value }) => [key, value]));
  const changed = new Map<CounterKey, number>();
  const put = database.prepare(
    "INSERT INTO counters (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
  );
  const get = (key: CounterKey): number => changed.get(key) ?? stored.get(key) ?? 0;
  const set = (key: CounterKey, value: number): void => void changed.set(key, value);
  return {
    get,
    set,
    add: (key, delta) => set(key, get(key) + delta),
    store: () => {
      for (const [key, value] of changed) put.run(key, value);
    },
    keep: () => {
      for (const [key, value] of changed) stored.set(key, value);
      changed.clear();
    },
    takeBack: () => changed.clear(),
  };
};
