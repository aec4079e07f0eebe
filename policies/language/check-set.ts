import type { Bundle } from "@reflex/protocol/bundle";
import { inventoryEntriesMax, policiesMax } from "@reflex/protocol/limits";
import type { Condition, Policy } from "@reflex/protocol/policy";
import { readAddressText } from "./address-text.ts";
import { type Field, fields, isFieldName } from "./fields.ts";
import type { ParsedPolicy } from "./parse.ts";
import type { PolicyError, Position } from "./policy-error.ts";
import { writeInstead } from "./suggest.ts";

/** What the files of a repository said, before it is known that they fit together. */
export type GatheredSet = {
  readonly policies: readonly (ParsedPolicy & { readonly file: string })[];
  readonly lists: ReadonlyMap<string, { readonly values: readonly string[]; readonly file: string }>;
  readonly inventory: Bundle["inventory"];
};

type Report = (file: string, at: Position, message: string, fix: string) => void;
const top: Position = { line: 1, column: 1 };

/** What no file can know by itself: ids and paths agree, every name that is used exists, and the whole fits a bundle. */
export const checkSet = (set: GatheredSet, paths: readonly string[]): readonly PolicyError[] => {
  const errors: PolicyError[] = [];
  const report: Report = (file, at, message, fix) => {
    errors.push({ file, line: at.line, column: at.column, message, fix });
  };
  checkIds(set, paths, report);
  checkLists(set, report);
  checkSize(set, report);
  return errors;
};

const checkIds = (into: GatheredSet, paths: readonly string[], report: Report): void => {
  const fileById = new Map<string, string>();
  for (const { policy, file, positions } of into.policies) {
    const at = positions.get("/policy") ?? top;
    const expected = file.replace(/^policies\//, "").replace(/\.yaml$/, "");
    const other = fileById.get(policy.id);
    if (other !== undefined) report(file, at, `${policy.id} is also the id of ${other}`, `write policy: ${expected}`);
    else if (policy.id !== expected) {
      report(
        file,
        at,
        `the id ${policy.id} does not fit the path`,
        `write policy: ${expected}, or move the file to policies/${policy.id}.yaml`,
      );
    }
    fileById.set(policy.id, file);
  }
  // A file with errors is known by its path: that it cannot be read is said once, there.
  const ids = new Set([
    ...fileById.keys(),
    ...paths.map((path) => path.replace(/^policies\//, "").replace(/\.yaml$/, "")),
  ]);
  for (const { cases, file, positions } of into.policies) {
    for (const [index, { expect }] of cases.entries()) {
      for (const id of expect.policies ?? []) {
        if (ids.has(id)) continue;
        const at = positions.get(`/cases/${index}/expect/policies`) ?? top;
        report(file, at, `there is no policy ${id}`, writeInstead(id, [...fileById.keys()]));
      }
    }
  }
};

const conditionsOf = (policy: Policy): readonly Condition[] => [...policy.match, ...policy.unless.flat()];

/** Every `$name` is a list, and lists compared with addresses hold nothing else. */
const checkLists = (into: GatheredSet, report: Report): void => {
  const names = [...into.lists.keys()].map((name) => `$${name}`);
  const addressLists = new Map<string, string>();
  for (const { policy, file, positions } of into.policies) {
    for (const { field, value } of conditionsOf(policy)) {
      for (const one of Array.isArray(value) ? value : [value]) {
        if (typeof one !== "string" || !one.startsWith("$")) continue;
        const at = positions.get(`/match/${field}`) ?? positions.get("/unless") ?? top;
        if (!into.lists.has(one.slice(1))) {
          const fix =
            names.length === 0
              ? `add lists/${one.slice(1)}.yaml`
              : `${writeInstead(one, names)}, or add lists/${one.slice(1)}.yaml`;
          report(file, at, `there is no list ${one}`, fix);
        } else if (isFieldName(field) && (fields[field] as Field).type === "address")
          addressLists.set(one.slice(1), policy.id);
      }
    }
  }
  for (const [name, policy] of addressLists) {
    const list = into.lists.get(name);
    for (const value of list?.values ?? []) {
      const found = readAddressText(value);
      if (found.kind === "legal") continue;
      const fix = found.kind === "host-bits" ? `write ${found.text}` : "write addresses and ranges only";
      report(
        list?.file ?? "",
        top,
        `${policy} compares addresses with $${name}, and ${JSON.stringify(value)} is none`,
        fix,
      );
    }
  }
};

const checkSize = (into: GatheredSet, report: Report): void => {
  const { assets, users, subnets } = into.inventory;
  const entries = assets.length + users.length + subnets.length;
  if (entries > inventoryEntriesMax) {
    report(
      "inventory.yaml",
      top,
      `the inventory has ${entries} entries; ${inventoryEntriesMax} are allowed`,
      "split the organisation into several repositories",
    );
  }
  if (into.policies.length > policiesMax) {
    report(
      "policies",
      top,
      `there are ${into.policies.length} policies; ${policiesMax} are allowed`,
      "join policies that differ in values only, with a $list",
    );
  }
};
