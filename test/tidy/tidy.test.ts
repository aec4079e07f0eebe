import { posix } from "node:path";
import { describe, expect, test } from "vitest";
import {
  isCode,
  isMain,
  isTest,
  lineOf,
  listFiles,
  packageFolders,
  readSource,
  type SourceFile,
  sourceFiles,
  withoutComments,
} from "./tree.ts";

type Ban = {
  readonly name: string;
  readonly pattern: RegExp;
  readonly in: (path: string) => boolean;
  readonly reason: string;
};

const isPure = (path: string): boolean => /^(?:protocol|policies)\//.test(path) && !isTest(path) && !isMain(path);
const everywhere = (): boolean => true;

// Spelt in two halves, or this file would break its own rules.
const focused = [".on", "ly("].join("");
const machinePaths = [["/wo", "rk/"].join(""), ["/tmp/bash", "_jobs"].join("")];

const literally = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

const bans: readonly Ban[] = [
  {
    name: "Date.now",
    pattern: /\bDate\s*\.\s*now\b/,
    in: isPure,
    reason: "time comes in as an argument, or a replayed decision differs from its token",
  },
  {
    name: "new Date()",
    pattern: /\bnew\s+Date\s*(?:\(\s*\)|(?![\s(\w]))|\bDate\s*\(\s*\)/,
    in: isPure,
    reason: "time comes in as an argument, or a replayed decision differs from its token",
  },
  {
    name: "Math.random",
    pattern: /\bMath\s*\.\s*random\b/,
    in: isPure,
    reason: "the same bytes in must give the same bytes out on any node",
  },
  { name: "eval", pattern: /\beval\s*\(/, in: isPure, reason: "policy is data; nothing that arrives may become code" },
  {
    name: "new Function",
    pattern: /\bnew\s+Function\b/,
    in: isPure,
    reason: "policy is data; nothing that arrives may become code",
  },
  {
    name: "a focused test",
    pattern: new RegExp(`\\b(?:test|it|describe|suite)(?:\\.\\w+)*${literally(focused)}`),
    in: everywhere,
    reason: "one focused test silently leaves all the others out",
  },
  {
    name: "a machine path",
    pattern: new RegExp(machinePaths.map(literally).join("|")),
    in: everywhere,
    reason: "a path of one machine works on that machine alone",
  },
];

const breachesOf = (ban: Ban, files: readonly SourceFile[]): string[] =>
  files
    .filter(({ path }) => ban.in(path))
    .flatMap(({ path, text }) => {
      const code = withoutComments(text);
      return [...code.matchAll(new RegExp(ban.pattern, "g"))].map((match) => `${path}:${lineOf(code, match.index)}`);
    });

describe("what no file says", () => {
  for (const ban of bans) {
    test(`${ban.name}: ${ban.reason}`, () => {
      expect(breachesOf(ban, sourceFiles)).toEqual([]);
    });
  }

  test.each([
    ["policies/decide.ts", "const now = Date.now();"],
    ["policies/decide.ts", "const now = new Date();"],
    ["policies/decide.ts", "const now = new Date;"],
    ["protocol/ids.ts", "const id = Math.random();"],
    ["policies/decide.ts", 'eval("1")'],
    ["policies/decide.ts", 'new Function("return 1")'],
    ["edge-agent/agent.test.ts", `test${focused}"one", () => {});`],
    ["edge-agent/store/journal.ts", `const folder = "${machinePaths[0]}journal";`],
  ])("%s may not say %s", (path, text) => {
    expect(bans.flatMap((ban) => breachesOf(ban, [{ path, text }]))).toHaveLength(1);
  });

  test.each([
    ["policies/decide.ts", "const at = new Date(nowMs).toISOString();"],
    ["policies/decide.ts", "// Date.now() would differ between nodes"],
    ["policies/library/cases.test.ts", "const now = Date.now();"],
    ["edge-agent/main.ts", "const now = Date.now();"],
  ])("%s may say %s", (path, text) => {
    expect(bans.flatMap((ban) => breachesOf(ban, [{ path, text }]))).toEqual([]);
  });

  test("no document or setting names a path of one machine either", () => {
    const texts = packageFolders
      .flatMap((folder) => listFiles(folder))
      .filter((path) => !isCode(path) && /\.(?:md|json|ya?ml|toml|sh|html|css|service|proto)$/.test(path))
      .map(readSource)
      .filter(({ text }) => machinePaths.some((machinePath) => text.includes(machinePath)))
      .map(({ path }) => path);
    expect(texts).toEqual([]);
  });
});

describe("names say what a file is for", () => {
  const sayingNothing = /^(?:.*[-.])?(?:utils?|helpers?|common|managers?|services?)$/;

  test("no file or folder of code is named utils, helpers, common, manager or service", () => {
    const named = sourceFiles
      .map(({ path }) => path)
      .filter((path) => namesOf(path).some((name) => sayingNothing.test(name)));
    expect(named).toEqual([]);
  });

  const namesOf = (path: string): string[] => {
    const parts = path.split("/");
    return [...parts.slice(0, -1), posix.basename(path).replace(/(?:\.test)?\.\w+$/, "")];
  };
});

describe("a file holds one idea", () => {
  const linesMax = 400; // more than this is never read in one go

  /** Files that are longer for a good reason, with the length they may not outgrow. Numbers here only go down. */
  const longerByReason: Readonly<Record<string, { readonly linesMax: number; readonly reason: string }>> = {};

  const lengthOf = (text: string): number => text.split("\n").length - (text.endsWith("\n") ? 1 : 0);

  test(`no file is longer than ${linesMax} lines, or than its own bound`, () => {
    const tooLong = sourceFiles
      .map(({ path, text }) => ({ path, lines: lengthOf(text), bound: longerByReason[path]?.linesMax ?? linesMax }))
      .filter(({ lines, bound }) => lines > bound)
      .map(({ path, lines, bound }) => `${path} has ${lines} lines; ${bound} are allowed`);
    expect(tooLong).toEqual([]);
  });

  test("an exception that is no longer needed is taken off the list", () => {
    const needless = Object.keys(longerByReason).filter((path) => {
      const file = sourceFiles.find((source) => source.path === path);
      return file === undefined || lengthOf(file.text) <= linesMax;
    });
    expect(needless).toEqual([]);
  });
});
