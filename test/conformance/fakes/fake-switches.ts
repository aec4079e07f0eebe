import type { FakeChange } from "../fake.ts";

/** Things that are either under enforcement or not, with a note of each real change: hosts cut off, users disabled. */
export type Switches = {
  readonly isOn: (id: string) => boolean;
  /** Says whether anything changed. */
  readonly set: (id: string, on: boolean) => boolean;
  /** Somebody else's doing, or how things were before: no change of ours. */
  readonly setBySomebodyElse: (id: string, on: boolean) => void;
  readonly present: () => readonly string[];
  readonly changes: () => readonly FakeChange[];
};

export const createSwitches = (action: string): Switches => {
  const on = new Set<string>();
  const changes: FakeChange[] = [];
  const put = (id: string, wanted: boolean): void => {
    if (wanted) on.add(id);
    else on.delete(id);
  };
  return {
    isOn: (id) => on.has(id),
    set: (id, wanted) => {
      if (on.has(id) === wanted) return false;
      put(id, wanted);
      changes.push({ verb: wanted ? "apply" : "undo", key: `${action} ${id}` });
      return true;
    },
    setBySomebodyElse: put,
    present: () => [...on].map((id) => `${action} ${id}`).sort(),
    changes: () => [...changes],
  };
};
