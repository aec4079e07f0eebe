import { fieldNames } from "./fields.ts";
import { listed, nearestName } from "./suggest.ts";

/** Names other tools give to our facts. */
export const fieldHints: Readonly<Record<string, string>> = {
  ip: "target.net",
  src: "src.net",
  dst: "dst.net",
  src_ip: "src.net",
  dst_ip: "dst.net",
  "src.ip": "src.net",
  "dst.ip": "dst.net",
  source_ip: "src.net",
  host: "target.value",
  user: "target.value",
  hostname: "target.value",
  username: "target.value",
  target: "target.value",
  rule: "rule.id",
  rule_id: "rule.id",
  rule_origin: "rule.origin",
  origin: "rule.origin",
  rule_name: "rule.name",
  class: "asset.class",
  criticality: "asset.criticality",
  groups: "asset.groups",
  group: "asset.groups",
  owner: "asset.owner",
  subnet: "asset.subnet",
  exposure: "asset.exposure",
  known: "asset.known",
  risk: "score",
  risk_score: "score",
  level: "severity",
  priority: "severity",
  tag: "tags",
  sensor: "source.sensor",
  domain: "source.domain",
  kind: "source.kind",
  format: "source.kind",
};

const structureHints: Readonly<Record<string, string>> = {
  or: "write a list for OR between values, and a second policy for OR between blocks",
  any: "write a list for OR between values, and a second policy for OR between blocks",
  any_of: "write a list for OR between values, and a second policy for OR between blocks",
  and: "all fields of a block must hold anyway: write them one below the other",
  all: "all fields of a block must hold anyway: write them one below the other",
  all_of: "all fields of a block must hold anyway: write them one below the other",
  not: "write `unless:` beside `match:`, or field: { not: value }",
  unless: "write `unless:` beside `match:`, not inside it",
  expr: "expressions are not supported; write fields and operators",
  condition: "expressions are not supported; write fields and operators",
};

/** What to say about a name that is no field. */
export const fieldProblem = (key: string): { readonly message: string; readonly fix: string } => {
  const message = `"${key}" is not a field`;
  const structure = Object.hasOwn(structureHints, key) ? structureHints[key] : undefined;
  if (structure !== undefined) return { message, fix: structure };
  const members = fieldNames.filter((field) => field.startsWith(`${key}.`));
  if (members.length > 0) return { message: `"${key}" is a group of fields`, fix: `write one of: ${listed(members)}` };
  const synonym = Object.hasOwn(fieldHints, key) ? fieldHints[key] : nearestName(key, fieldNames);
  return { message, fix: synonym === undefined ? `the fields are: ${fieldNames.join(", ")}` : `write "${synonym}"` };
};
