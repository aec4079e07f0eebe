import type { RunReport } from "./simulate.ts";

const linesShown = 40;

/** What a person needs to look into it: which promise, what led to it, and how to see it again. */
export const describeBreach = (report: RunReport, minutes: number): string =>
  [
    `seed ${report.seed} broke a guarantee:`,
    ...report.breaches.slice(0, 5).map(({ guarantee, what }) => `  ${guarantee}: ${what}`),
    "what happened last:",
    ...report.lastLines.slice(-linesShown).map((line) => `  ${line}`),
    `again: npm run simulate -- --seed ${report.seed} --minutes ${minutes}`,
  ].join("\n");
