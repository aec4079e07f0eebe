import { describe, expect, test } from "vitest";
import { type Import, importsOf, isMain, isTest, type SourceFile, sourceFiles, withoutComments } from "./tree.ts";

type Rule = {
  /** Which files the rule is for. */
  readonly from: (path: string) => boolean;
  readonly mayNotImport: (to: string, from: string) => boolean;
  readonly reason: string;
};

const isIn =
  (...folders: readonly string[]) =>
  (path: string): boolean =>
    folders.some((folder) => path === folder || path.startsWith(`${folder}/`));

/** The package itself and everything below it: `mqtt` and `mqtt/client`, but not `mqtt-packet`. */
const isPackage = isIn;

/** What ships. Tests may look at anything their package can reach. */
const ships =
  (folder: string, ...except: readonly string[]) =>
  (path: string): boolean =>
    isIn(folder)(path) && !isIn(...except)(path) && !isTest(path);

const isPure = (folder: string) => (path: string) => ships(folder)(path) && !isMain(path);

const onlyIn = (dependency: readonly string[], folders: readonly string[], reason: string): Rule => ({
  from: (path) => !isIn(...folders)(path) && !isTest(path),
  mayNotImport: isPackage(...dependency),
  reason,
});

const adaptersFolder = (path: string): string | undefined => /^(.*?\/)?adapters(?=\/)/.exec(path)?.[0];

const rules: readonly Rule[] = [
  {
    from: isPure("protocol"),
    mayNotImport: (to) => !isIn("protocol")(to) && !isPackage("typebox")(to),
    reason: "protocol is the ground floor: pure words that both sides share, and typebox to write them in",
  },
  {
    from: isPure("policies"),
    mayNotImport: (to) => !isIn("policies", "protocol")(to) && !isPackage("typebox", "yaml")(to),
    reason: "policies decide the same on every node forever, so they can reach nothing that differs between nodes",
  },
  {
    from: (path) => ships("protocol")(path) || ships("policies")(path),
    mayNotImport: isIn("edge-agent", "controller", "installers", "test"),
    reason: "what both sides share cannot lean on one of them, not even in a main.ts",
  },
  {
    from: ships("protocol"),
    mayNotImport: isIn("policies"),
    reason: "the words come before the rules that use them",
  },
  {
    from: ships("edge-agent"),
    mayNotImport: isIn("controller", "installers", "test"),
    reason: "the agent must run and be reviewed without the controller; they meet in protocol",
  },
  {
    from: ships("controller"),
    mayNotImport: isIn("edge-agent", "installers", "test"),
    reason: "the controller knows agents only through messages; they meet in protocol",
  },
  {
    from: ships("controller/reflexctl"),
    mayNotImport: (to) => isIn("controller")(to) && !isIn("controller/reflexctl")(to),
    reason: "reflexctl works from a laptop over the HTTP API; it may share words and rules, never the server's insides",
  },
  {
    from: ships("controller/console"),
    mayNotImport: (to) => isIn("controller", "policies")(to) && !isIn("controller/console")(to),
    reason: "the console is a browser program: it shares words with the server and speaks to it over the HTTP API",
  },
  {
    from: ships("controller", "controller/reflexctl", "controller/console"),
    mayNotImport: isIn("controller/reflexctl", "controller/console"),
    reason: "the server serves its console and command line, it is not built on them",
  },
  {
    from: (path) => !isMain(path) && !isTest(path),
    mayNotImport: (to, from) => {
      const folder = adaptersFolder(to);
      return folder !== undefined && !isIn(folder)(from);
    },
    reason: "only a main.ts decides which disk, network or clock is used; everything else takes it as an argument",
  },
  onlyIn(["node:sqlite", "sqlite"], ["edge-agent/store"], "one place knows how the journal reaches the disk"),
  onlyIn(["postgres", "drizzle-orm"], ["controller/store"], "units of work have a trap that one place guards against"),
  onlyIn(
    ["aedes"],
    ["controller/broker"],
    "the broker is replaceable by any MQTT cluster, and has traps that one place knows",
  ),
  onlyIn(
    ["mqtt"],
    [
      "edge-agent/link",
      "edge-agent/listen",
      "edge-agent/connectors",
      "controller/link",
      "controller/reflexctl",
      "test",
    ],
    "sessions, acknowledgement and reconnecting are done right in few places, not again in each file",
  ),
];

const breachesOf = (rule: Rule, files: readonly SourceFile[]): string[] =>
  files
    .filter(({ path }) => rule.from(path))
    .flatMap(importsOf)
    .filter((found: Import) => rule.mayNotImport(found.to, found.from))
    .map(({ from, line, to }) => `${from}:${line} imports ${to}`);

describe("each import points the way the house is built", () => {
  for (const rule of rules) {
    test(rule.reason, () => {
      expect(breachesOf(rule, sourceFiles)).toEqual([]);
    });
  }
});

describe("topics are spelt in one place", () => {
  const topicRoot = ["reflex", "v1"].join("/");

  test("no file but protocol/topics.ts spells a topic, so both sides always mean the same one", () => {
    const spelling = sourceFiles
      .filter(({ path }) => path !== "protocol/topics.ts" && !isTest(path))
      .filter(({ text }) => withoutComments(text).includes(topicRoot))
      .map(({ path }) => path);
    expect(spelling).toEqual([]);
  });
});

describe("the rules see what they are meant to see", () => {
  const brokenFiles: readonly (readonly [path: string, text: string])[] = [
    ["protocol/detection.ts", 'import { readFileSync } from "node:fs";'],
    ["policies/decide.ts", 'import type { Agent } from "@reflex/edge-agent/agent";'],
    ["policies/decide.ts", 'import "pino";'],
    ["protocol/generate/main.ts", 'import { decide } from "@reflex/policies/decide";'],
    ["edge-agent/agent.ts", 'import {\n  sign,\n  type Key,\n} from "@reflex/controller/sign";'],
    ["controller/fleet.ts", 'export * from "../edge-agent/agent.ts";'],
    ["controller/reflexctl/main.ts", 'const store = await import("../store/feedback.ts");'],
    ["controller/console/app.tsx", 'import { decide } from "@reflex/policies/decide";'],
    ["controller/api/server.ts", 'import { usage } from "../reflexctl/usage.ts";'],
    ["edge-agent/act/act.ts", 'import { nftables } from "./adapters/nftables.ts";'],
    ["edge-agent/act/act.ts", 'import { DatabaseSync } from "node:sqlite";'],
    ["controller/fleet.ts", 'import { drizzle } from "drizzle-orm/postgres-js";'],
    ["controller/link/link.ts", 'import { Aedes } from "aedes";'],
    ["edge-agent/report/report.ts", 'import mqtt from "mqtt";'],
  ];
  test.each(brokenFiles)("%s may not say %s", (path, text) => {
    expect(rules.flatMap((rule) => breachesOf(rule, [{ path, text }])).length).toBeGreaterThan(0);
  });

  const soundFiles: readonly (readonly [path: string, text: string])[] = [
    ["protocol/detection.ts", 'import { Type } from "typebox";\nimport type { Entity } from "./entity.ts";'],
    ["protocol/generate/main.ts", 'import { writeFileSync } from "node:fs";'],
    [
      "policies/decide.ts",
      'import { parse } from "yaml";\n// import "node:fs"\nimport type { Detection } from "@reflex/protocol/detection";',
    ],
    ["policies/decide.test.ts", 'import { test } from "vitest";'],
    ["edge-agent/main.ts", 'import { nftables } from "./connectors/adapters/nftables.ts";'],
    ["edge-agent/connectors/adapters/nftables.ts", 'import { run } from "../adapters/process.ts";'],
    ["edge-agent/report/report.ts", 'import { parser } from "mqtt-packet";'],
    [
      "controller/reflexctl/main.ts",
      'import { decide } from "@reflex/policies/decide";\nimport { usage } from "./usage.ts";',
    ],
  ];
  test.each(soundFiles)("%s may say %s", (path, text) => {
    expect(rules.flatMap((rule) => breachesOf(rule, [{ path, text }]))).toEqual([]);
  });
});
