import type { FakeChange } from "../fake.ts";

/** What a faked target enforces, by `<action> <id>`, with the target's own clock ending what has a time. */
export type EntryBook<Entry> = {
  /** False when it was there already: then its content and its end are replaced, but nothing starts to be enforced. */
  readonly put: (key: string, entry: Entry, endsAtMs?: number) => boolean;
  readonly remove: (key: string) => boolean;
  readonly get: (key: string) => Kept<Entry> | undefined;
  readonly all: () => readonly Kept<Entry>[];
  /** Somebody else's hand: no change that the connector under test has to answer for. */
  readonly plant: (key: string, entry: Entry, endsAtMs?: number) => void;
  readonly keys: () => readonly string[];
  readonly changes: () => readonly FakeChange[];
};

export type Kept<Entry> = { readonly key: string; readonly entry: Entry; readonly endsAtMs: number };

export const createEntryBook = <Entry>(nowMs: () => number): EntryBook<Entry> => {
  const kept = new Map<string, Kept<Entry>>();
  const changes: FakeChange[] = [];

  const remove = (key: string): boolean => {
    const isRemoved = kept.delete(key);
    if (isRemoved) changes.push({ verb: "undo", key });
    return isRemoved;
  };

  const expire = (): void => {
    for (const { key, endsAtMs } of [...kept.values()]) if (endsAtMs <= nowMs()) remove(key);
  };

  const plant = (key: string, entry: Entry, endsAtMs = Number.POSITIVE_INFINITY): void => {
    kept.set(key, { key, entry, endsAtMs });
  };

  return {
    put: (key, entry, endsAtMs) => {
      expire();
      const isNew = !kept.has(key);
      plant(key, entry, endsAtMs);
      if (isNew) changes.push({ verb: "apply", key });
      return isNew;
    },
    remove: (key) => {
      expire();
      return remove(key);
    },
    get: (key) => {
      expire();
      return kept.get(key);
    },
    all: () => {
      expire();
      return [...kept.values()];
    },
    plant,
    keys: () => {
      expire();
      return [...kept.keys()];
    },
    changes: () => {
      expire();
      return changes;
    },
  };
};
