import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../tidy/tree.ts";

const tsc = join(root, "node_modules/typescript/bin/tsc");
const folder = join(root, "test/purity");
const probes = readdirSync(join(folder, "probes")).map((file) => `probes/${file}`);

const compile = (project: string, ...args: readonly string[]): string => {
  const command = [tsc, "-p", join(folder, project), "--pretty", "false", ...args];
  const { stdout, stderr } = spawnSync(process.execPath, command, { cwd: folder, encoding: "utf8" });
  return stdout + stderr;
};

/** The lines that reach outside. What a probe says afterwards with a name it imported is no error of its own. */
const reachingLinesOf = (probe: string): number[] =>
  readFileSync(join(folder, probe), "utf8")
    .split("\n")
    .flatMap((line, index) => (line === "" || /^(?:\/\/|export const reached\b)/.test(line) ? [] : [index + 1]));

describe.each(["protocol", "policies"])("%s cannot do input or output: it does not compile", (name) => {
  const project = `${name}.tsconfig.json`;
  const errors = [...compile(project).matchAll(/^(.+?)\((\d+),\d+\): error/gm)];

  test.each(probes)("%s", (probe) => {
    const failingLines = new Set(errors.filter(([, file]) => file === probe).map(([, , line]) => Number(line)));
    expect([...failingLines]).toEqual(reachingLinesOf(probe));
  });

  test("none of its files and dependencies brings the types of Node or of a browser with it", () => {
    const files = compile(project, "--listFilesOnly").split("\n");
    expect(files.length).toBeGreaterThan(probes.length);
    expect(
      files.filter((file) => /\/@types\/|\/undici-types\/|\/lib\.(?:dom|webworker)|\/vitest\//.test(file)),
    ).toEqual([]);
  });

  test("every probe is in its project", () => {
    const settings = readFileSync(join(folder, project), "utf8");
    expect(probes.filter((probe) => !settings.includes(`"${probe}"`))).toEqual([]);
  });
});
