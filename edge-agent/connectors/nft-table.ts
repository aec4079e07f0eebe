import type { BlockTarget } from "./block-target.ts";
import type { NftCommand, NftObject } from "./nft-program.ts";

/** The table is ours alone: other rules of the machine stay as they are, and deleting ours is left to a person. */
export const family = "inet";

/** Single addresses in hash sets, networks in interval sets: the kernel refuses nothing but overlapping networks. */
export const sets = [
  { name: "block4", type: "ipv4_addr", protocol: "ip", isInterval: false },
  { name: "block6", type: "ipv6_addr", protocol: "ip6", isInterval: false },
  { name: "range4", type: "ipv4_addr", protocol: "ip", isInterval: true },
  { name: "range6", type: "ipv6_addr", protocol: "ip6", isInterval: true },
] as const;
export type SetName = (typeof sets)[number]["name"];

/** Before the usual filter (0), so that an accept there cannot let a blocked sender in. */
const priority = -10;
const chains = [
  { name: "input", fields: ["saddr"] },
  { name: "forward", fields: ["saddr", "daddr"] },
  { name: "output", fields: ["daddr"] },
] as const;

export const setOf = (target: BlockTarget, isRange: boolean): SetName =>
  `${isRange ? "range" : "block"}${target.family}`;

/** Makes table, sets, chains and rules in one transaction. What is there already stays, elements above all; rules are laid anew. */
export const makeTable = (table: string): readonly NftCommand[] => [
  { add: { table: { family, name: table } } },
  ...sets.map(({ name, type, isInterval }) => ({
    add: { set: { family, table, name, type, flags: isInterval ? ["timeout", "interval"] : ["timeout"] } },
  })),
  ...chains.flatMap(({ name, fields }) => [
    { add: { chain: { family, table, name, type: "filter", hook: name, prio: priority, policy: "accept" } } },
    { flush: { chain: { family, table, name } } },
    ...fields.flatMap((field) =>
      sets.map((set) => ({ add: { rule: { family, table, chain: name, expr: dropRule(set, field) } } })),
    ),
  ]),
];

const dropRule = (set: (typeof sets)[number], field: string): readonly unknown[] => [
  { match: { op: "==", left: { payload: { protocol: set.protocol, field } }, right: `@${set.name}` } },
  { counter: null },
  { drop: null },
];

/** True when nothing of it is missing: then starting changes nothing at all, not even a counter. */
export const isWholeTable = (objects: readonly NftObject[]): boolean => {
  const has = (kind: string, name: string): boolean => objects.some((object) => object[kind]?.["name"] === name);
  const rulesOf = (chain: string): number => objects.filter((object) => object["rule"]?.["chain"] === chain).length;
  return (
    sets.every(({ name }) => has("set", name)) &&
    chains.every(({ name, fields }) => has("chain", name) && rulesOf(name) === fields.length * sets.length)
  );
};

const jsonOf = (target: BlockTarget, isRange: boolean): unknown =>
  isRange ? { prefix: { addr: target.text.slice(0, target.text.indexOf("/")), len: target.prefixBits } } : target.text;

/** Puts an element in for `timeoutSeconds`, or gives one that is there a new timeout; one transaction, never a gap. */
export const putElement = (
  table: string,
  target: BlockTarget,
  isRange: boolean,
  timeoutSeconds: number,
): readonly NftCommand[] => {
  const timed = { elem: { val: jsonOf(target, isRange), timeout: timeoutSeconds } };
  const element = { family, table, name: setOf(target, isRange) };
  return [...removeElement(table, target, isRange), { add: { element: { ...element, elem: [timed] } } }];
};

/** Takes an element out. Adding it first makes taking out what is not there a success instead of an error. */
export const removeElement = (table: string, target: BlockTarget, isRange: boolean): readonly NftCommand[] => {
  const element = { family, table, name: setOf(target, isRange), elem: [jsonOf(target, isRange)] };
  return [{ add: { element } }, { delete: { element } }];
};

/** Elements of a listed set, in the spelling in which they were put in. */
export const elementsOf = (objects: readonly NftObject[], set: SetName): readonly string[] => {
  const listed = objects.find((object) => object["set"]?.["name"] === set)?.["set"]?.["elem"];
  return Array.isArray(listed) ? listed.flatMap((one) => textOf(one) ?? []) : [];
};

const textOf = (element: unknown): string | undefined => {
  if (typeof element === "string") return element;
  if (typeof element !== "object" || element === null) return undefined;
  if ("elem" in element && typeof element.elem === "object" && element.elem !== null && "val" in element.elem)
    return textOf(element.elem.val);
  if (!("prefix" in element)) return undefined;
  const { addr, len } = element.prefix as { addr: string; len: number };
  return `${addr}/${len}`;
};
