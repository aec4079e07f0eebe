import type { Condition, Layer, Policy } from "@reflex/protocol/policy";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { CaseSource } from "../cases/case-detection.ts";
import { approvalDefaults } from "./effect-shape.ts";
import { createProblems, type PolicyError, type Position, type Problems } from "./policy-error.ts";
import { policyBlock, type policyKeys } from "./policy-shape.ts";
import { type Located, type LocatedMap, readYaml } from "./read-yaml.ts";
import type { ReadKeys } from "./shape.ts";

/** One policy file, read and checked; `positions` finds a JSON pointer such as `/match/confidence/gt` in its text. */
export type ParsedPolicy = {
  readonly policy: Policy;
  readonly cases: readonly CaseSource[];
  readonly positions: ReadonlyMap<string, Position>;
};

/** YAML text of one policy file to its canonical form. Never throws; all errors of the file at once. */
export const parsePolicy = (file: string, text: string): Result<ParsedPolicy, readonly PolicyError[]> => {
  const yaml = readYaml(file, text);
  if (!yaml.ok) return yaml;
  const problems = createProblems(file);
  const root = yaml.value;
  if (root?.kind !== "map") {
    problems.report(
      root?.at ?? { line: 1, column: 1 },
      "the file holds no policy",
      "write policy:, match:, then: or do:, and why:",
    );
    return err(problems.errors());
  }
  const read = policyBlock.read(root, problems) ?? {};
  const policy = assemble(read, root, problems);
  const errors = problems.errors();
  if (errors.length > 0 || policy === undefined) return err(errors);
  return ok({ policy, cases: read.cases ?? [], positions: positionsOf(root) });
};

type ReadPolicy = ReadKeys<typeof policyKeys>;

const has = (root: LocatedMap, key: string): boolean => root.entries.some((entry) => entry.key === key);
const at = (root: LocatedMap, key: string): Position =>
  root.entries.find((entry) => entry.key === key)?.keyAt ?? root.at;

/** Which keys go together. Undefined when a needed part was reported before. */
const assemble = (read: ReadPolicy, root: LocatedMap, problems: Problems): Policy | undefined => {
  const layer = read.policy?.split("/")[0] as Layer | undefined;
  if (read.layer !== undefined && layer !== undefined && read.layer !== layer) {
    problems.report(
      at(root, "layer"),
      `layer is ${read.layer}, but the id says ${layer}`,
      `write layer: ${layer}, or leave it out`,
    );
  }
  const kind = kindOf(root, layer, problems);
  if (kind === "permit") checkPermit(read, root, problems);
  if (kind === "guard") checkGuard(read, root, problems);
  if (read.policy === undefined || layer === undefined || read.match === undefined || read.why === undefined)
    return undefined;
  const common = {
    id: read.policy,
    layer,
    why: read.why,
    match: read.match,
    unless: canonicalBlocks(read.unless ?? []),
    shadow: read.shadow ?? false,
  };
  if (kind === "permit" && read.do !== undefined) return { ...common, kind, do: read.do };
  if (kind === "guard" && read.then !== undefined) return { ...common, kind, then: read.then, ...restrictionsOf(read) };
  return undefined;
};

const kindOf = (root: LocatedMap, layer: Layer | undefined, problems: Problems): "permit" | "guard" | undefined => {
  const grants = has(root, "do");
  const restricts = has(root, "then");
  if (grants && restricts) {
    return problems.report(
      at(root, "then"),
      "a policy either grants (do) or restricts (then)",
      "keep one of them, and write a second policy for the other",
    );
  }
  if (!grants && !restricts) {
    const fix =
      layer === "action"
        ? "write do: { action: …, target: …, ttl: … } to grant, or then: deny to restrict"
        : "write then: deny, require_approval or restrict";
    return problems.report(root.at, "the policy says neither do nor then", fix);
  }
  if (grants && layer !== undefined && layer !== "action") {
    return problems.report(
      at(root, "do"),
      `only the action layer can grant, and this policy is in the ${layer} layer`,
      `move it to action/, or write then: deny, require_approval or restrict`,
    );
  }
  return grants ? "permit" : "guard";
};

const checkPermit = (read: ReadPolicy, root: LocatedMap, problems: Problems): void => {
  for (const key of ["limit", "approval", "ttl_max"]) {
    if (has(root, key))
      problems.report(
        at(root, key),
        `a permit has no ${key}`,
        `write a guard with match: { action: ${read.do?.action ?? "…"} } and this ${key}`,
      );
  }
  if (read.match?.length === 0) {
    problems.report(
      at(root, "match"),
      "a permit without conditions would act on every detection",
      "write at least confidence: { gt: 0.85 }",
    );
  }
  const action = read.match?.find((condition) => condition.field === "action");
  if (action !== undefined) {
    problems.report(
      at(root, "match"),
      "a permit grants the action in `do`, so matching on it says nothing",
      "remove action from match",
    );
  }
};

const checkGuard = (read: ReadPolicy, root: LocatedMap, problems: Problems): void => {
  const { then } = read;
  if (then === undefined) return;
  if (has(root, "approval") && then !== "require_approval") {
    problems.report(
      at(root, "approval"),
      `approval has no meaning with then: ${then}`,
      "write then: require_approval, or remove approval",
    );
  }
  if (then === "restrict" && !has(root, "ttl_max")) {
    problems.report(
      at(root, "then"),
      "then: restrict restricts nothing by itself",
      "write ttl_max: 1h beside it, or then: deny",
    );
  }
  if (then === "restrict" && has(root, "limit")) {
    problems.report(
      at(root, "limit"),
      "a limit needs an effect for what exceeds it",
      "write then: deny or then: require_approval",
    );
  }
  if (then === "deny" && has(root, "ttl_max")) {
    problems.report(at(root, "ttl_max"), "what is denied has no ttl", "remove ttl_max, or write then: restrict");
  }
};

const restrictionsOf = (read: ReadPolicy) => {
  const { from, quorum, expires, on_timeout } = { ...approvalDefaults, ...read.approval };
  return {
    ...(read.limit === undefined ? {} : { limit: read.limit }),
    ...(read.then === "require_approval" ? { approval: { from, quorum, expires_seconds: expires, on_timeout } } : {}),
    ...(read.ttl_max === undefined ? {} : { ttl_max_seconds: read.ttl_max }),
  };
};

/** The order of exceptions has no meaning, so it must not change the bytes. */
const canonicalBlocks = (blocks: readonly Condition[][]): Condition[][] => {
  const byText = new Map(blocks.map((block) => [JSON.stringify(block), block]));
  return [...byText.keys()].sort().flatMap((text) => [byText.get(text) ?? []]);
};

/** JSON pointers of everything in the file, keys as written. */
const positionsOf = (root: Located): Map<string, Position> => {
  const positions = new Map<string, Position>();
  const walk = (node: Located, pointer: string, position: Position): void => {
    positions.set(pointer, position);
    if (node.kind === "map") {
      for (const { key, keyAt, value } of node.entries) {
        walk(value, `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`, keyAt);
      }
    }
    if (node.kind === "list")
      for (const [index, item] of node.items.entries()) walk(item, `${pointer}/${index}`, item.at);
  };
  walk(root, "", root.at);
  return positions;
};
