import type { JournalWrite } from "../ports.ts";

/** Rules kept in memory; a rule set is a few ten thousand rules. The journal has them all. */
const rulesMax = 50_000;

type Outcomes = { readonly confirmed: number; readonly failed: number; readonly overridden: number };
const none: Outcomes = { confirmed: 0, failed: 0, overridden: 0 };

/** How acting on a rule turned out here before: did it work, was it taken back by a person. */
export type Prior = {
  readonly of: (ruleKey: string) => Outcomes;
  /** Counts one outcome and says what to write so that it is remembered. */
  readonly note: (ruleKey: string, outcome: keyof Outcomes) => JournalWrite;
};

const markOf = (ruleKey: string): string => `prior:${ruleKey}`;

export const createPrior = (stored: (mark: string) => string | undefined): Prior => {
  const outcomesByRule = new Map<string, Outcomes>();
  const of: Prior["of"] = (ruleKey) => {
    const known = outcomesByRule.get(ruleKey);
    if (known !== undefined) return known;
    const text = stored(markOf(ruleKey));
    const outcomes = text === undefined ? none : (JSON.parse(text) as Outcomes);
    if (outcomesByRule.size >= rulesMax) outcomesByRule.clear();
    outcomesByRule.set(ruleKey, outcomes);
    return outcomes;
  };
  return {
    of,
    note: (ruleKey, outcome) => {
      const before = of(ruleKey);
      const after = { ...before, [outcome]: before[outcome] + 1 };
      outcomesByRule.set(ruleKey, after);
      return { kind: "mark", key: markOf(ruleKey), value: JSON.stringify(after) };
    },
  };
};
