import { type Verdict, verdicts } from "@reflex/protocol/decision";
import type { RecordFate } from "../ports.ts";

/** What became of everything that was offered since start; the parts always add up to `records`. */
export type Tally = {
  readonly records: number;
  readonly detections: number;
  readonly notDetections: number;
  readonly deadLetters: number;
  readonly duplicates: number;
  readonly decisions: Readonly<Record<Verdict, number>>;
};

export const createTally = (): { readonly count: (fate: RecordFate) => void; readonly now: () => Tally } => {
  const decisions: Record<Verdict, number> = { act: 0, ask: 0, hold: 0, refuse: 0, observe: 0 };
  let notDetections = 0;
  let deadLetters = 0;
  let duplicates = 0;
  const count = (fate: RecordFate): void => {
    if (fate.kind === "decided") decisions[fate.verdict] += 1;
    else if (fate.kind === "duplicate") duplicates += 1;
    else if (fate.kind === "not_detection") notDetections += 1;
    else if (fate.kind === "dead_letter") deadLetters += 1;
  };
  const now = (): Tally => {
    const detections = verdicts.reduce((sum, verdict) => sum + decisions[verdict], 0);
    const records = detections + notDetections + deadLetters + duplicates;
    return { records, detections, notDetections, deadLetters, duplicates, decisions: { ...decisions } };
  };
  return { count, now };
};
