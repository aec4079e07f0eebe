// `npm run lint`: formatting and lint rules, unused code, types, and the rules of the house. `npm run typecheck`: types alone.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { packageFolders, root } from "./tree.ts";

type Check = {
  readonly name: string;
  readonly args: readonly string[];
  readonly isEmptyProject?: (output: string) => boolean;
};
type Checked = { readonly check: Check; readonly isClean: boolean; readonly output: string; readonly tookMs: number };

const runningAtOnceMax = 2; // each check uses more than one core by itself

const bin = {
  biome: join(root, "node_modules/@biomejs/biome/bin/biome"),
  knip: join(root, "node_modules/knip/bin/knip.js"),
  tsc: join(root, "node_modules/typescript/bin/tsc"),
  vitest: join(root, "node_modules/vitest/vitest.mjs"),
};

const typeChecks = (): Check[] =>
  [...packageFolders, "controller/console"].flatMap((folder) =>
    listFolder(join(root, folder))
      .filter((file) => /^tsconfig(?:\.\w+)?\.json$/.test(file))
      .map((file) => ({
        name: `types ${folder}/${file}`,
        args: [bin.tsc, "-p", join(folder, file), "--pretty", "false"],
        // A package that has no file of this kind yet has nothing to check.
        isEmptyProject: (output) =>
          output
            .trim()
            .split("\n")
            .every((line) => line.startsWith("error TS18003")),
      })),
  );

const listFolder = (folder: string): string[] => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};

const otherChecks: readonly Check[] = [
  { name: "biome", args: [bin.biome, "check", "--error-on-warnings", "."] },
  { name: "knip", args: [bin.knip, "--no-progress"] },
  { name: "tidy", args: [bin.vitest, "run", "test/tidy", "test/purity"] },
];

const run = (check: Check): Promise<Checked> =>
  new Promise((resolve) => {
    const startedMs = performance.now();
    const child = spawn(process.execPath, check.args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => (output += text));
    child.on("close", (code) => {
      const isClean = code === 0 || (check.isEmptyProject?.(output) ?? false);
      resolve({ check, isClean, output, tookMs: performance.now() - startedMs });
    });
  });

const runAll = async (checks: readonly Check[]): Promise<Checked[]> => {
  const waiting = [...checks];
  const checked: Checked[] = [];
  const worker = async (): Promise<void> => {
    for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
      const result = await run(check);
      checked.push(result);
      process.stdout.write(
        `${result.isClean ? "clean" : "FAILS"}  ${check.name} (${(result.tookMs / 1000).toFixed(1)} s)\n`,
      );
      if (!result.isClean) process.stdout.write(`${result.output.trimEnd()}\n`);
    }
  };
  await Promise.all(Array.from({ length: runningAtOnceMax }, worker));
  return checked;
};

const checks = process.argv[2] === "typecheck" ? typeChecks() : [...otherChecks, ...typeChecks()];
const failing = (await runAll(checks)).filter((checked) => !checked.isClean);
if (failing.length > 0) {
  process.stdout.write(
    `\n${failing.length} of ${checks.length} checks fail: ${failing.map(({ check }) => check.name).join(", ")}\n`,
  );
  process.exitCode = 1;
}
