import { type ActionName, actionNames } from "@reflex/protocol/action";
import type { Detection } from "@reflex/protocol/detection";
import type { Entity } from "@reflex/protocol/entity";
import type { AssetFacts } from "@reflex/protocol/token";
import type { CompiledPolicies } from "./compile.ts";
import { assetOfEntity, type FieldFacts, setTargetFacts } from "./field-facts.ts";

/** One granted (action, target) before it is judged. */
export type Draft = {
  readonly action: ActionName;
  readonly target: Entity;
  /** Where the detection first names the target; equal for equal targets. */
  readonly thing: number;
  readonly asset: AssetFacts | undefined;
  /** Every part the same thing plays in the detection, observer excepted: a guard on any of them counts. */
  readonly appearances: readonly Entity[];
  /** Positions of the permits that grant it, ascending (= by id). */
  permits: number[];
  /** At least one permit is not in shadow. */
  enforced: boolean;
};

/** Each permit grants its action on every entity its selector means; the same grant by two permits is one candidate. */
export const draftCandidates = (
  compiled: CompiledPolicies,
  facts: FieldFacts,
  detection: Detection,
  assets: readonly AssetFacts[],
): Draft[] => {
  const drafts: Draft[] = [];
  const { entities } = detection;
  const { matcher, policies, used } = compiled;
  for (let at = 0; at < entities.length; at += 1) {
    const entity = entities[at] as Entity;
    if (entity.role === "observer" || !matcher.canGrant(entity)) continue;
    const asset = assetOfEntity(assets, entity, at);
    setTargetFacts(facts, used, entity, asset);
    const count = matcher.permits(facts, entity);
    if (count === 0) continue;
    const thing = firstNaming(entities, entity);
    for (let index = 0; index < count; index += 1) {
      const position = matcher.found[index] ?? -1;
      const policy = policies[position]?.policy;
      if (policy === undefined || policy.kind !== "permit") continue;
      const draft = draftFor(drafts, policy.do.action, entity, thing, asset, entities);
      draft.permits.push(position);
      if (!policy.shadow) draft.enforced = true;
    }
  }
  for (const draft of drafts)
    if (draft.appearances.length > 1) draft.permits = [...new Set(draft.permits)].sort((a, b) => a - b);
  return drafts.length > 1 ? drafts.sort(byTargetThenAction) : drafts;
};

const draftFor = (
  drafts: Draft[],
  action: ActionName,
  target: Entity,
  thing: number,
  asset: AssetFacts | undefined,
  entities: readonly Entity[],
): Draft => {
  for (const draft of drafts) if (draft.thing === thing && draft.action === action) return draft;
  const appearances = entities.filter((other) => other.role !== "observer" && isSameThing(other, target));
  const draft: Draft = { action, target, thing, asset, appearances, permits: [], enforced: false };
  drafts.push(draft);
  return draft;
};

const firstNaming = (entities: readonly Entity[], entity: Entity): number =>
  entities.findIndex((other) => other.role !== "observer" && isSameThing(other, entity));

const isSameThing = (a: Entity, b: Entity): boolean => a.type === b.type && a.value === b.value;

/** In the order of the detection's entities, then of the catalogue: nothing depends on the order of files. */
const byTargetThenAction = (a: Draft, b: Draft): number =>
  a.thing - b.thing || actionNames.indexOf(a.action) - actionNames.indexOf(b.action);
