import { type Bundle, defaultSettings } from "@reflex/protocol/bundle";
import { err, ok, type Result } from "@reflex/protocol/result";
import { caseToBundleCase } from "../cases/case-detection.ts";
import { checkSet } from "./check-set.ts";
import { inventoryFile, listFile, neverTouchFile, routingFile, settingsFile } from "./data-shapes.ts";
import { type ParsedPolicy, parsePolicy } from "./parse.ts";
import { createProblems, type PolicyError, type Position, type Problems } from "./policy-error.ts";
import { dataFileLengthMax, type Located, readYaml } from "./read-yaml.ts";
import type { Shape } from "./shape.ts";
import { writeInstead } from "./suggest.ts";
import { listNamePattern } from "./value-shape.ts";

/** One policy with where it came from. */
export type SourcePolicy = ParsedPolicy & { readonly file: string };

/** A policy repository, read and checked, before it is given to anybody. */
export type BundleDraft = Pick<Bundle, "lists" | "inventory" | "never_touch" | "routing" | "settings"> & {
  /** Sorted by id. */
  readonly policies: readonly SourcePolicy[];
};

type Gathered = {
  policies: SourcePolicy[];
  lists: Map<string, { readonly values: string[]; readonly file: string }>;
  inventory: Bundle["inventory"];
  never_touch: Bundle["never_touch"];
  routing: Bundle["routing"];
  settings: Bundle["settings"];
  errors: PolicyError[];
};

const top: Position = { line: 1, column: 1 };
const topLevelNames = ["lists.yaml", "inventory.yaml", "never-touch.yaml", "routing.yaml", "settings.yaml"];

/**
 * The files of a policy repository, by path from its root with `/`: `policies/**`, `lists/*.yaml` or `lists.yaml`,
 * `inventory.yaml` or `inventory/*.yaml`, `never-touch.yaml`, `routing.yaml`, `settings.yaml`. Files that are not YAML are
 * left to people; a YAML file nobody reads is an error, because its author believes that it works.
 */
export const parsePolicySet = (files: ReadonlyMap<string, string>): Result<BundleDraft, readonly PolicyError[]> => {
  const gathered: Gathered = {
    policies: [],
    lists: new Map(),
    inventory: { assets: [], users: [], subnets: [] },
    never_touch: [],
    routing: [],
    settings: defaultSettings,
    errors: [],
  };
  for (const [path, text] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) gather(gathered, path, text);
  gathered.errors.push(...checkSet(gathered, [...files.keys()]));
  if (gathered.errors.length > 0) {
    return err(
      gathered.errors.toSorted((a, b) =>
        a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1,
      ),
    );
  }
  return ok({
    policies: gathered.policies.toSorted((a, b) => (a.policy.id < b.policy.id ? -1 : 1)),
    lists: Object.fromEntries(
      [...gathered.lists].map(([name, { values }]) => [name, values] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
    ),
    inventory: gathered.inventory,
    never_touch: gathered.never_touch,
    routing: gathered.routing,
    settings: gathered.settings,
  });
};

const gather = (into: Gathered, path: string, text: string): void => {
  if (!/\.ya?ml$/.test(path) || /(^|\/)\./.test(path)) return;
  const isOneOfMany = /^(policies\/.+|lists\/[^/]+|inventory\/[^/]+)\.yaml$/.test(path);
  if (path.endsWith(".yml")) report(into, path, top, "the file ends with .yml", "rename it to end with .yaml");
  else if (isOneOfMany) gatherFrom(into, path.slice(0, path.indexOf("/")), path, text);
  else gatherSingle(into, path, text);
};

const gatherFrom = (into: Gathered, folder: string, path: string, text: string): void => {
  if (folder === "policies") {
    const parsed = parsePolicy(path, text);
    if (parsed.ok) into.policies.push({ ...parsed.value, file: path });
    else into.errors.push(...parsed.error);
  } else if (folder === "lists") gatherList(into, path, text);
  else gatherInventory(into, path, text);
};

const gatherSingle = (into: Gathered, path: string, text: string): void => {
  if (path === "lists.yaml") gatherLists(into, path, text);
  else if (path === "inventory.yaml") gatherInventory(into, path, text);
  else if (path === "never-touch.yaml") into.never_touch = readData(into, path, text, neverTouchFile) ?? [];
  else if (path === "routing.yaml") into.routing = (readData(into, path, text, routingFile) ?? []).flat();
  else if (path === "settings.yaml")
    into.settings = { ...defaultSettings, ...readData(into, path, text, settingsFile) };
  else {
    const isPolicy = /^(global|domain|contextual|action)\//.test(path);
    const fix = isPolicy
      ? `move it to policies/${path}`
      : `policies go into policies/; beside it: ${writeInstead(path, topLevelNames).replace(/^write /, "")}`;
    report(into, path, top, "nothing reads this file", fix);
  }
};

const gatherInventory = (into: Gathered, path: string, text: string): void => {
  const { assets = [], users = [], subnets = [] } = readData(into, path, text, inventoryFile) ?? {};
  const { inventory } = into;
  into.inventory = {
    assets: [...inventory.assets, ...assets],
    users: [...inventory.users, ...users],
    subnets: [...inventory.subnets, ...subnets],
  };
};

const report = (into: Gathered, file: string, at: Position, message: string, fix: string): void => {
  into.errors.push({ file, ...at, message, fix });
};

/** An empty file is an empty list or block: people comment entries out. */
const readRoot = (into: Gathered, path: string, text: string): Located | undefined => {
  const yaml = readYaml(path, text, dataFileLengthMax);
  if (!yaml.ok) into.errors.push(...yaml.error);
  return yaml.ok ? yaml.value : undefined;
};

const read = <T>(into: Gathered, path: string, run: (problems: Problems) => T): T => {
  const problems = createProblems(path);
  const value = run(problems);
  into.errors.push(...problems.errors());
  return value;
};

const readData = <T>(into: Gathered, path: string, text: string, shape: Shape<T>): T | undefined => {
  const root = readRoot(into, path, text);
  return root === undefined ? undefined : read(into, path, (problems) => shape.read(root, problems));
};

const gatherList = (into: Gathered, path: string, text: string): void => {
  const name = path.slice("lists/".length, -".yaml".length);
  addList(into, path, top, name, readData(into, path, text, listFile) ?? []);
};

const gatherLists = (into: Gathered, path: string, text: string): void => {
  const root = readRoot(into, path, text);
  if (root === undefined) return;
  if (root.kind !== "map") {
    report(into, path, root.at, "lists.yaml must be a block of lists", "write name: [value, value]");
    return;
  }
  for (const { key, keyAt, value } of root.entries) {
    addList(into, path, keyAt, key, read(into, path, (problems) => listFile.read(value, problems)) ?? []);
  }
};

const addList = (into: Gathered, file: string, at: Position, name: string, values: readonly string[]): void => {
  const other = into.lists.get(name);
  if (!new RegExp(listNamePattern).test(name)) {
    report(
      into,
      file,
      at,
      `"${name}" is not a name for a list`,
      "write lower-case letters, digits and _: internal_ranges",
    );
  } else if (other !== undefined)
    report(into, file, at, `the list ${name} is also in ${other.file}`, "keep one of them");
  else into.lists.set(name, { values: [...new Set(values)].sort(), file });
};

/** What a publisher adds to a draft. `issuedAt` is RFC 3339 UTC with milliseconds; `parent` the hash of the version before. */
export type Edition = {
  readonly org: string;
  /** `["*"]` for all; never empty. */
  readonly sites: readonly string[];
  readonly version: number;
  readonly parent?: string;
  readonly issuedAt: string;
  readonly changelog: string;
  /** Engine the publisher checked it with. */
  readonly engine: string;
};

/** The same files and edition give the same bundle, whatever order the files were read in. */
export const draftToBundle = (draft: BundleDraft, edition: Edition): Bundle => ({
  v: 1,
  kind: "bundle",
  aud: { org: edition.org, sites: [...edition.sites] },
  version: edition.version,
  ...(edition.parent === undefined ? {} : { parent: edition.parent }),
  issued_at: edition.issuedAt,
  engine: edition.engine,
  changelog: edition.changelog,
  policies: draft.policies.map(({ policy }) => policy),
  cases: draft.policies.flatMap(({ policy, cases }) => cases.map((one) => caseToBundleCase(policy.id, one))),
  lists: draft.lists,
  inventory: draft.inventory,
  never_touch: draft.never_touch,
  routing: draft.routing,
  settings: draft.settings,
});
