import type { Cell, MatchCell, WholeCell } from "./cell.ts";
import { ours } from "./engines.ts";

export type Failure = {
  readonly kind: "match" | "whole";
  readonly engine: string;
  readonly policies: number;
  readonly reason: string;
};

/** What `--json` writes. */
export type Report = {
  readonly benchmark: "decide";
  readonly node: string;
  readonly v8: string;
  readonly machine: {
    readonly platform: string;
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGiB: number;
  };
  readonly seed: number;
  readonly detections: number;
  readonly tookSeconds: number;
  readonly cells: readonly Cell[];
  readonly failures: readonly Failure[];
};

export const reportText = (report: Report): string =>
  [
    heading(report),
    matchingText(report.cells.filter((cell) => cell.kind === "match")),
    wholeText(report.cells.filter((cell) => cell.kind === "whole")),
    troubleText(report),
  ]
    .filter((text) => text !== "")
    .join("\n\n")
    .concat("\n");

const heading = ({ node, v8, machine, seed, detections, tookSeconds }: Report): string =>
  [
    `Node ${node} (V8 ${v8}), ${machine.platform}, ${machine.cores} cores of ${machine.cpu}, ${machine.memoryGiB} GiB; seed ${seed}; ${tookSeconds} s in all`,
    `Every engine got the same policies and the same ${detections} detections; the answer is the set of matching policy ids.`,
  ].join("\n");

// ---- matching

const matchingText = (cells: readonly MatchCell[]): string => {
  if (cells.length === 0) return "";
  const sizes = [...new Set(cells.map(({ policies }) => policies))];
  const tables = sizes.map((size) => {
    const ofSize = cells.filter(({ policies }) => policies === size);
    return `${title(size, ofSize)}\n${table(
      matchHeader,
      ofSize.map((cell) => matchRow(cell, ofSize)),
    )}`;
  });
  const notes = [...new Map(cells.map(({ engine, given }) => [engine, given]))].map(
    ([engine, given]) => `  ${engine}: ${given}`,
  );
  return [...tables, ratiosText(cells, sizes), `What each engine was given\n${notes.join("\n")}`].join("\n\n");
};

const title = (size: number, cells: readonly MatchCell[]): string => {
  const { matches, checked } = cells.reduce(
    (most, cell) => (cell.agreement.checked > most.checked ? cell.agreement : most),
    {
      matches: 0,
      checked: 0,
    },
  );
  return `Matching, ${size} policies (mean ${(matches / Math.max(1, checked)).toPrecision(2)} matches per detection)`;
};

const matchHeader = ["engine", "detections/s", "p50 µs", "p99 µs", "build ms", "agree", `${ours} is`];

const matchRow = (cell: MatchCell, ofSize: readonly MatchCell[]): string[] => {
  const base = ofSize.find(({ engine }) => engine === ours);
  const { checked, mismatches } = cell.agreement;
  return [
    cell.engine,
    rate(cell.perSecond),
    duration(cell.p50Us),
    duration(cell.p99Us),
    duration(cell.buildMs),
    `${checked - mismatches}/${checked}`,
    base === undefined || base === cell ? "" : ratio(base.perSecond / cell.perSecond),
  ];
};

/** Ours against the fastest peer of each size, from the same run: the figure to quote. */
const ratiosText = (cells: readonly MatchCell[], sizes: readonly number[]): string => {
  const rows = sizes.flatMap((size) => {
    const ofSize = cells.filter(({ policies }) => policies === size);
    const base = ofSize.find(({ engine }) => engine === ours);
    const whole = fastest(ofSize.filter(({ engine }) => engine !== ours && !engine.endsWith("/split")));
    const split = fastest(ofSize.filter(({ engine }) => engine.endsWith("/split")));
    return base === undefined ? [] : [[String(size), ...against(base, whole), ...against(base, split)]];
  });
  if (rows.length === 0) return "";
  const header = ["policies", "best whole peer", "rate", "p99", "best split peer", "rate", "p99"];
  return `Reflex against the best peer (rate: how many times as many per second; p99: how many times lower)\n${table(header, rows)}`;
};

const fastest = (cells: readonly MatchCell[]): MatchCell | undefined =>
  cells.toSorted((left, right) => right.perSecond - left.perSecond)[0];

const against = (base: MatchCell, peer: MatchCell | undefined): string[] =>
  peer === undefined
    ? ["", "", ""]
    : [peer.engine, ratio(base.perSecond / peer.perSecond), ratio(peer.p99Us / base.p99Us)];

// ---- whole decisions

const wholeText = (cells: readonly WholeCell[]): string => {
  const [first] = cells;
  if (first === undefined) return "";
  const header = [
    "policies",
    "decisions/s",
    "p50 µs",
    "p99 µs",
    "unsealed/s",
    "compile ms",
    "change one ms",
    "token bytes",
  ];
  const rows = cells.map((cell) => [
    String(cell.policies),
    rate(cell.sealed.perSecond),
    duration(cell.sealed.p50Us),
    duration(cell.sealed.p99Us),
    rate(cell.unsealed.perSecond),
    duration(cell.compileMs),
    cell.changeOneMs === undefined ? "not offered" : duration(cell.changeOneMs),
    String(Math.round(cell.tokenBytesMean)),
  ]);
  const stages = Object.keys(first.stagesUs);
  const stageRows = cells.map((cell) => [
    String(cell.policies),
    ...stages.map((stage) => duration(cell.stagesUs[stage] ?? Number.NaN)),
  ]);
  const verdictRows = cells.map((cell) => `  ${cell.policies}: ${counts(cell.verdicts)}`);
  return [
    `Whole decision, Reflex alone: JSON bytes in (${Math.round(first.detectionBytesMean)} on average), token bytes out\n${table(header, rows)}`,
    `Of which, µs per detection, each stage on its own\n${table(["policies", ...stages], stageRows)}`,
    `Verdicts in the stream, by policies\n${verdictRows.join("\n")}`,
  ].join("\n\n");
};

const counts = (byName: Readonly<Record<string, number>>): string =>
  Object.entries(byName)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");

// ---- trouble

const troubleText = ({ cells, failures }: Report): string =>
  [
    ...cells
      .filter((cell) => cell.kind === "match")
      .filter(({ agreement }) => agreement.mismatches > 0)
      .map(
        ({ engine, policies, agreement: { mismatches, checked, first } }) =>
          `MISMATCH ${engine}, ${policies} policies: ${mismatches} of ${checked} detections; first: ${JSON.stringify(first)}`,
      ),
    ...failures.map(
      ({ engine, kind, policies, reason }) => `FAILED ${engine}, ${kind}, ${policies} policies: ${reason}`,
    ),
  ].join("\n");

// ---- figures

const table = (header: readonly string[], rows: readonly (readonly string[])[]): string => {
  const widths = header.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
      .trimEnd();
  return [header, widths.map((width) => "-".repeat(width)), ...rows].map((cells) => `  ${line(cells)}`).join("\n");
};

const rate = (perSecond: number): string => {
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toFixed(2)} M`;
  if (perSecond >= 1e4) return `${(perSecond / 1e3).toFixed(0)} k`;
  if (perSecond >= 1e3) return `${(perSecond / 1e3).toFixed(1)} k`;
  return perSecond.toPrecision(3);
};
const duration = (value: number): string => (value >= 99.5 ? value.toFixed(0) : value.toPrecision(2));
const ratio = (times: number): string => `${times >= 99.5 ? Math.round(times) : times.toPrecision(2)}×`;
