// `npm run bench:decide`: how fast a decision is made, beside other policy engines on the same policies and detections in the
// same run. Exits with 1 when an engine disagrees with the obvious answer or a cell fails. See README.md.
import { spawn } from "node:child_process";
import { availableParallelism, cpus, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Cell, Job } from "./cell.ts";
import { engineNames, ours } from "./engines.ts";
import type { Budget } from "./measure.ts";
import { type Failure, type Report, reportText } from "./report.ts";
import { defaultSeed, detectionsInStream } from "./workload.ts";

const sizes = [10, 100, 1_000, 10_000];
const usualBudget: Budget = { checkMs: 800, checkedMin: 200, warmUpMs: 600, latencyMs: 1_000, throughputMs: 1_200 };
const quickBudget: Budget = { checkMs: 100, checkedMin: 20, warmUpMs: 150, latencyMs: 150, throughputMs: 150 };

/** An engine that hangs or needs minutes for one cell is reported as failing, and the others are still measured. */
const cellMsMax = 60_000;

const usage = `usage: npm run bench:decide -- [--quick] [--n 10,100] [--engines reflex,cedar-wasm] [--seed 1] [--json]
  --quick    shorter passes, under a minute in all
  --n        numbers of policies (default ${sizes.join(",")})
  --engines  of ${engineNames.join(", ")}
  --seed     of the workload (default ${defaultSeed})
  --json     one JSON object on standard output instead of the tables
`;

type Options = {
  readonly sizes: readonly number[];
  readonly engines: readonly string[];
  readonly seed: number;
  readonly budget: Budget;
  readonly isJson: boolean;
};

const readOptions = (): Options => {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      n: { type: "string" },
      engines: { type: "string" },
      seed: { type: "string" },
    },
  });
  const chosenSizes = values.n?.split(",").map(Number) ?? sizes;
  const chosenEngines = values.engines?.split(",") ?? engineNames;
  const seed = Number(values.seed ?? defaultSeed);
  if (!chosenSizes.every((size) => Number.isInteger(size) && size >= 1 && size <= 10_000))
    throw new Error("--n takes whole numbers from 1 to 10000");
  const unknown = chosenEngines.filter((name) => !engineNames.includes(name));
  if (unknown.length > 0) throw new Error(`no engine ${unknown.join(", ")}`);
  if (!Number.isInteger(seed)) throw new Error("--seed takes a whole number");
  return {
    sizes: chosenSizes,
    engines: chosenEngines,
    seed,
    budget: values.quick ? quickBudget : usualBudget,
    isJson: values.json,
  };
};

const run = async ({ sizes, engines, seed, budget, isJson }: Options): Promise<number> => {
  const startedMs = performance.now();
  // All engines at one size before the next size: what the machine does meanwhile then falls on all of them alike.
  const jobs: Job[] = sizes.flatMap((policies) =>
    engines.flatMap((engine): Job[] => {
      const matching: Job = { kind: "match", engine, policies, seed, budget };
      return engine === ours ? [matching, { ...matching, kind: "whole" }] : [matching];
    }),
  );
  const cells: Cell[] = [];
  const failures: Failure[] = [];
  for (const [index, job] of jobs.entries()) {
    process.stderr.write(`${index + 1}/${jobs.length} ${job.engine}, ${job.kind}, ${job.policies} policies\n`);
    const result = await runCell(job);
    if ("reason" in result) failures.push(result);
    else cells.push(result);
  }
  const report: Report = {
    benchmark: "decide",
    node: process.version,
    v8: process.versions.v8,
    machine: {
      platform: `${process.platform}-${process.arch}`,
      cpu: cpus()[0]?.model ?? "unknown",
      cores: availableParallelism(),
      memoryGiB: Math.round(totalmem() / 2 ** 30),
    },
    seed,
    detections: detectionsInStream,
    tookSeconds: Math.round((performance.now() - startedMs) / 1_000),
    cells,
    failures,
  };
  process.stdout.write(isJson ? `${JSON.stringify(report)}\n` : reportText(report));
  const isAgreed = cells.every((cell) => cell.kind === "whole" || cell.agreement.mismatches === 0);
  return isAgreed && failures.length === 0 ? 0 : 1;
};

const runCell = (job: Job): Promise<Cell | Failure> =>
  new Promise((resolve) => {
    const file = fileURLToPath(new URL("./cell.ts", import.meta.url));
    const child = spawn(process.execPath, [file, JSON.stringify(job)], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: cellMsMax,
      killSignal: "SIGKILL",
    });
    let output = "";
    let complaint = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint = (complaint + text).slice(-2_000)));
    const fail = (reason: string): void =>
      resolve({ kind: job.kind, engine: job.engine, policies: job.policies, reason: reason.trim() });
    child.on("error", (error) => fail(error.message));
    child.on("close", (code, signal) => {
      if (code === 0) resolve(JSON.parse(output) as Cell);
      else
        fail(signal === "SIGKILL" ? `stopped after ${cellMsMax / 1_000} s\n${complaint}` : complaint || `exit ${code}`);
    });
  });

const optionsOrComplaint = (): Options | string => {
  try {
    return readOptions();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

const options = optionsOrComplaint();
if (typeof options === "string") {
  process.stderr.write(`${options}\n${usage}`);
  process.exitCode = 2;
} else {
  process.exitCode = await run(options);
}
