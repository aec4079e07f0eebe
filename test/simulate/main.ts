import { parseArgs } from "node:util";
import { describeBreach } from "./describe-breach.ts";
import type { RunReport } from "./simulate.ts";
import { simulate } from "./simulate.ts";

const usage = `npm run simulate -- [--seed N | --seeds FROM..TO | --count N] [--minutes M] [--story]
  --seed N         one seed; prints its end, or all of it with --story
  --seeds A..B     every seed from A to B
  --count N        N seeds from 1
  --minutes M      simulated minutes of chaos in each run (30)`;

const minutesDefault = 30;

type Totals = {
  runs: number;
  broken: number;
  simulatedMs: number;
  steps: number;
  readonly counts: Map<string, number>;
};

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      count: { type: "string" },
      minutes: { type: "string" },
      story: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const minutes = Number(values.minutes ?? minutesDefault);
  const [from, to] = rangeOf(values);
  if (![minutes, from, to].every((number) => Number.isSafeInteger(number) && number >= 0)) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const totals: Totals = { runs: 0, broken: 0, simulatedMs: 0, steps: 0, counts: new Map() };
  const startedMs = performance.now();
  const secondsSoFar = (): number => (performance.now() - startedMs) / 1_000;
  let toldMs = startedMs;
  for (let seed = from; seed <= to; seed += 1) {
    const onLine = values.story === true ? (line: string) => void process.stdout.write(`${line}\n`) : undefined;
    const report = await simulate({ seed, minutes, ...(onLine === undefined ? {} : { onLine }) });
    add(totals, report);
    if (report.breaches.length > 0) tellBroken(report, minutes);
    if (performance.now() - toldMs < 5_000) continue;
    toldMs = performance.now();
    process.stderr.write(
      `${totals.runs} of ${to - from + 1} seeds, ${(totals.runs / secondsSoFar()).toFixed(1)} a second, ${totals.broken} broken\n`,
    );
  }
  tellTotals(totals, secondsSoFar());
  return totals.broken === 0 ? 0 : 1;
};

const rangeOf = (values: {
  readonly seed?: string;
  readonly seeds?: string;
  readonly count?: string;
}): [number, number] => {
  if (values.seed !== undefined) return [Number(values.seed), Number(values.seed)];
  if (values.seeds === undefined) return [1, Number(values.count ?? 100)];
  const [from = "", to = ""] = values.seeds.split("..");
  return [Number(from || Number.NaN), Number(to || Number.NaN)];
};

const add = (totals: Totals, report: RunReport): void => {
  totals.runs += 1;
  totals.broken += report.breaches.length > 0 ? 1 : 0;
  totals.simulatedMs += report.simulatedMs;
  totals.steps += report.steps;
  for (const [what, count] of report.counts) totals.counts.set(what, (totals.counts.get(what) ?? 0) + count);
};

const tellBroken = (report: RunReport, minutes: number): void => {
  process.stdout.write(`${describeBreach(report, minutes)}\n\n`);
};

const tellTotals = (totals: Totals, seconds: number): void => {
  const hours = totals.simulatedMs / 3_600_000;
  process.stdout.write(
    `${totals.runs} seeds in ${seconds.toFixed(1)} s (${(totals.runs / seconds).toFixed(1)} a second), ${hours.toFixed(0)} simulated hours, ${totals.steps} steps, ${totals.broken} broken\n`,
  );
  for (const [what, count] of [...totals.counts].sort(([a], [b]) => (a < b ? -1 : 1)))
    process.stdout.write(`  ${String(count).padStart(9)}  ${what}\n`);
};

process.exitCode = await main();
