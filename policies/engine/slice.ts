import type { Route } from "@reflex/protocol/bundle";
import type { Detection } from "@reflex/protocol/detection";
import type { AssetFacts, Slice } from "@reflex/protocol/token";
import { fieldNames, fields } from "../language/fields.ts";
import { type AddressRange, parseNetwork } from "./address.ts";
import { type CidrIndex, createCidrIndex } from "./cidr-index.ts";
import type { CompiledBundle, ListUse } from "./compile.ts";
import type { Matched } from "./decide.ts";
import { assetOfEntity, type Fact, type FieldFacts, setTargetFacts } from "./field-facts.ts";

/** The slice and the bytes it is written as; policies are serialised once per bundle, not once per decision. */
export type CutSlice = { readonly value: Slice; readonly json: string };

/** A list this short is kept whole: cutting it would save less than it costs to read. */
const wholeListMax = 32;

/** Exactly what is needed for the same decision: a policy, entry or cell that did not matter is left out. */
export const cutSlice = (
  compiled: CompiledBundle,
  matched: Matched,
  detection: Detection,
  assets: readonly AssetFacts[],
): CutSlice => {
  const texts = textsOf(compiled);
  let policiesJson = "";
  const policies: Slice["policies"] = [];
  const uses: ListUse[] = [];
  for (const position of matched.policies) {
    const entry = compiled.policies[position];
    if (entry === undefined) continue;
    policies.push(entry.policy);
    for (const use of entry.lists) uses.push(use);
    policiesJson += policies.length === 1 ? texts.policy(position) : `,${texts.policy(position)}`;
  }
  const lists = uses.length === 0 ? {} : cutLists(compiled, uses, matched.facts, detection, assets);
  const neverTouch = matched.neverTouch.flatMap((position) => compiled.neverTouch.entries[position] ?? []);
  const routing = routesOf(compiled, matched);
  const cells: Slice["weights"]["cells"] = {};
  for (const key of matched.cells) {
    const cell = compiled.weights.cells[key];
    if (cell !== undefined) cells[key] = cell;
  }
  const { version, prior_strength } = compiled.weights;
  const value: Slice = {
    policies,
    lists,
    never_touch: neverTouch,
    routing,
    weights: { version, prior_strength, cells },
  };
  const json = `{"policies":[${policiesJson}],"lists":${uses.length === 0 ? "{}" : JSON.stringify(lists)},"never_touch":${
    neverTouch.length === 0 ? "[]" : JSON.stringify(neverTouch)
  },"routing":[${routing.map(texts.route).join(",")}],"weights":{"version":${version},"prior_strength":${prior_strength},"cells":${
    matched.cells.length === 0 ? "{}" : JSON.stringify(cells)
  }}}`;
  return { value, json };
};

const routesOf = (compiled: CompiledBundle, matched: Matched): Route[] => {
  const routes: Route[] = [];
  for (const action of matched.actions) {
    const route = compiled.routeFor(action, matched.site);
    if (route !== undefined && !routes.includes(route)) routes.push(route);
  }
  return routes;
};

type Texts = { readonly policy: (position: number) => string; readonly route: (route: Route) => string };
const textsByBundle = new WeakMap<CompiledBundle, Texts>();

const textsOf = (compiled: CompiledBundle): Texts => {
  const known = textsByBundle.get(compiled);
  if (known !== undefined) return known;
  const byPosition = new Array<string | undefined>(compiled.policies.length).fill(undefined);
  const byRoute = new Map<Route, string>();
  const texts: Texts = {
    policy: (position) => {
      const text = byPosition[position] ?? JSON.stringify(compiled.policies[position]?.policy);
      byPosition[position] = text;
      return text;
    },
    route: (route) => {
      const text = byRoute.get(route) ?? JSON.stringify(route);
      byRoute.set(route, text);
      return text;
    },
  };
  textsByBundle.set(compiled, texts);
  return texts;
};

// ---- lists

/** Entries that some fact of this detection is, or lies in; an entry no fact touches cannot change any condition. */
const cutLists = (
  compiled: CompiledBundle,
  uses: readonly ListUse[],
  detectionFacts: FieldFacts,
  detection: Detection,
  assets: readonly AssetFacts[],
): Slice["lists"] => {
  const cut: Slice["lists"] = {};
  const names = [...new Set(uses.map(({ name }) => name))].sort();
  for (const name of names) {
    const list = compiled.lists[name] ?? [];
    const mine = uses.filter((use) => use.name === name);
    if (list.length <= wholeListMax || mine.some(({ whole }) => whole)) cut[name] = [...list];
    else cut[name] = touchedEntries(list, mine, factsInPlay(compiled, detectionFacts, detection, assets));
  }
  return cut;
};

/** The detection's facts with each of its targets in turn. */
const factsInPlay = (
  compiled: CompiledBundle,
  detectionFacts: FieldFacts,
  detection: Detection,
  assets: readonly AssetFacts[],
): FieldFacts[] =>
  detection.entities.map((entity) => {
    const facts = [...detectionFacts];
    setTargetFacts(facts, compiled.used, entity, assetOfEntity(assets, entity));
    return facts;
  });

const touchedEntries = (list: readonly string[], uses: readonly ListUse[], facts: readonly FieldFacts[]): string[] => {
  const index = listIndexOf(list);
  const touched = new Set<number>();
  const touch = (fact: Fact): void => {
    if (typeof fact === "string") for (const position of index.words.get(fact) ?? []) touched.add(position);
    else if (Array.isArray(fact)) for (const word of fact) touch(word);
    else if (typeof fact === "object")
      for (const found of index.networks().overlapping(fact as AddressRange)) touched.add(found);
  };
  for (const { field } of uses) for (const each of facts) touch(each[field]);
  return [...touched].sort((a, b) => a - b).flatMap((position) => list[position] ?? []);
};

type ListIndex = { readonly words: ReadonlyMap<string, readonly number[]>; readonly networks: () => CidrIndex };
const indexByList = new WeakMap<readonly string[], ListIndex>();

const listIndexOf = (list: readonly string[]): ListIndex => {
  const known = indexByList.get(list);
  if (known !== undefined) return known;
  const words = new Map<string, number[]>();
  for (const [position, entry] of list.entries()) {
    const positions = words.get(entry);
    if (positions === undefined) words.set(entry, [position]);
    else positions.push(position);
  }
  let networks: CidrIndex | undefined;
  const index: ListIndex = {
    words,
    networks: () => {
      // Entries of a list used on address fields were all read as networks when the bundle was compiled.
      networks ??= createCidrIndex(list.flatMap((entry) => parseNetwork(entry) ?? []));
      return networks;
    },
  };
  indexByList.set(list, index);
  return index;
};

/** A condition on these fields needs the whole list: its answer depends on entries that no fact touches. */
export const needsWholeList = (field: number, op: string): boolean => {
  const type = fields[fieldNames[field] ?? "confidence"].type;
  if (fieldNames[field] === "action") return true;
  return op === "has_all" || type === "ordinal" || type === "decimal" || type === "flag";
};
