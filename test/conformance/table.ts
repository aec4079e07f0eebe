import { type CaseResult, runCase } from "./cases.ts";
import { type CaseName, caseNames, type Subject } from "./subject.ts";

export type Row = {
  readonly subject: Subject;
  readonly results: ReadonlyMap<CaseName, CaseResult>;
  /** Cases that passed only at the second try, with what the first one said. */
  readonly secondTries: ReadonlyMap<CaseName, string>;
  readonly tookMs: number;
};

/** Subjects at once; the cases of one come after each other, as its target may be a single real server. */
const subjectsAtOnceMax = 6;

/** Puts every subject through every case; `onCase` hears of each as it ends. */
export const runAll = async (
  subjects: readonly Subject[],
  onCase: (subject: Subject, name: CaseName, result: CaseResult) => void,
  onRow: (row: Row) => void = () => {},
): Promise<readonly Row[]> => {
  const rows: Row[] = [];
  const waiting = subjects.map((subject, at) => ({ subject, at }));
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const results = new Map<CaseName, CaseResult>();
      const secondTries = new Map<CaseName, string>();
      const startedMs = performance.now();
      for (const name of caseNames) {
        const first = await runCase(next.subject, name);
        // Real servers and a busy machine have hiccups; what is wrong fails twice. Either is said.
        const result = first.kind === "fail" ? await runCase(next.subject, name) : first;
        if (first.kind === "fail" && result.kind === "pass") secondTries.set(name, first.detail);
        results.set(name, result);
        onCase(next.subject, name, result);
        // A target that is not installed is not installed for the other cases either.
        if (result.kind === "missing") break;
      }
      const row = { subject: next.subject, results, secondTries, tookMs: performance.now() - startedMs };
      rows[next.at] = row;
      onRow(row);
    }
  };
  await Promise.all(Array.from({ length: subjectsAtOnceMax }, work));
  return rows;
};

export const nameOf = ({ name, action }: Subject): string => `${name} ${action}`;

/** Connector by case in characters; a number is the reason below for which a case does not apply. */
export const tableOf = (rows: readonly Row[]): string => {
  const reasons: string[] = [];
  const noteOf = (reason: string): string => {
    if (!reasons.includes(reason)) reasons.push(reason);
    return String(reasons.indexOf(reason) + 1);
  };
  const cell = (result: CaseResult | undefined): string => {
    if (result === undefined) return "-";
    switch (result.kind) {
      case "pass":
        return "pass";
      case "fail":
        return "FAIL";
      default:
        return noteOf(result.reason);
    }
  };
  const first = Math.max(9, ...rows.map(({ subject }) => nameOf(subject).length));
  const columns = caseNames.map((name, at) => ({ name, letter: String.fromCharCode(65 + at) }));
  const lines = [
    ...columns.map(({ name, letter }) => `  ${letter}  ${name}`),
    "",
    `${"connector".padEnd(first)}  ${columns.map(({ letter }) => letter.padEnd(4)).join(" ")}`.trimEnd(),
    ...rows.map(({ subject, results }) => {
      const missing = [...results.values()].find(({ kind }) => kind === "missing");
      const name = nameOf(subject).padEnd(first);
      if (missing?.kind === "missing") return `${name}  not run: ${missing.reason}`;
      return `${name}  ${columns.map((column) => cell(results.get(column.name)).padEnd(4)).join(" ")}`.trimEnd();
    }),
  ];
  // Numbers are handed out while the rows are written.
  return [...lines, "", "does not apply because", ...reasons.map((reason, at) => `  ${at + 1}  ${reason}`), ""].join(
    "\n",
  );
};

/** What a person should know although nothing failed. */
export const secondTriesOf = (rows: readonly Row[]): readonly string[] =>
  rows.flatMap(({ subject, secondTries }) =>
    [...secondTries].map(([name, detail]) => `${nameOf(subject)}: ${name}\n    ${detail.replaceAll("\n", "\n    ")}`),
  );

export const failuresOf = (rows: readonly Row[]): readonly string[] =>
  rows.flatMap(({ subject, results }) =>
    [...results].flatMap(([name, result]) =>
      result.kind === "fail" ? [`${nameOf(subject)}: ${name}\n    ${result.detail.replaceAll("\n", "\n    ")}`] : [],
    ),
  );
