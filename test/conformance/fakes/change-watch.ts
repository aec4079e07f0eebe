import type { FakeChange } from "../fake.ts";

/** For targets where one thing is enforced by several records: what counts is whether it is enforced, not how often. */
export type ChangeWatch = {
  /** Compares with the last look. */
  readonly look: () => void;
  /** Takes what is there as given: somebody else's hand. */
  readonly accept: () => void;
  readonly changes: () => readonly FakeChange[];
};

export const createChangeWatch = (present: () => readonly string[]): ChangeWatch => {
  const changes: FakeChange[] = [];
  let seen = new Set(present());

  const look = (): void => {
    const now = new Set(present());
    for (const key of seen) if (!now.has(key)) changes.push({ verb: "undo", key });
    for (const key of now) if (!seen.has(key)) changes.push({ verb: "apply", key });
    seen = now;
  };

  return {
    look,
    accept: () => {
      seen = new Set(present());
    },
    changes: () => {
      look();
      return changes;
    },
  };
};
