import type { Refusal } from "@reflex/protocol/refusal";
import { ok, type Result } from "@reflex/protocol/result";

/**
 * High-water marks: numbers that only grow, kept outside the journal in two files so that a lost journal cannot bring an
 * old version back. Keys are `bundle`, `weights`, `trust`, `head`, `kill/<scope>`, `lease/heard` and `lease/issued`.
 */
export type Marks = {
  /** 0 for what was never raised. */
  readonly get: (key: string) => number;
  /** Durable when ok, all of them. A value that is not higher changes nothing. */
  readonly raise: (values: Readonly<Record<string, number>>) => Result<void, Refusal>;
  /** Both copies are lost, or none was ever written. On an enrolled agent that is amnesia: nothing acts until the controller is heard. */
  readonly isLost: () => boolean;
};

/** What the store keeps; see store/marks.ts. */
export type MarkStore = {
  readonly values: () => Readonly<Record<string, number>> | undefined;
  readonly raise: (values: Readonly<Record<string, number>>) => Result<void, Refusal>;
};

export const createMarks = (store: MarkStore): Marks => {
  const get = (key: string): number => store.values()?.[key] ?? 0;
  return {
    get,
    raise: (values) => {
      // Two synced files a time: what is not higher costs nothing.
      const higher = Object.entries(values).filter(([key, value]) => value > get(key));
      return higher.length === 0 ? ok(undefined) : store.raise(Object.fromEntries(higher));
    },
    isLost: () => store.values() === undefined,
  };
};
