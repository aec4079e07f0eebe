import { type ActionName, actionNames, actions } from "@reflex/protocol/action";
import type { Detection } from "@reflex/protocol/detection";
import { type Entity, entityKey } from "@reflex/protocol/entity";
import type { AssetFacts } from "@reflex/protocol/token";
import type { CompiledPolicies } from "./compile.ts";
import { assetFor, type FieldFacts, setTargetFacts } from "./field-facts.ts";

/** One granted (action, target) before it is judged. */
export type Draft = {
  readonly action: ActionName;
  readonly target: Entity;
  readonly key: string;
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
  for (const entity of detection.entities) {
    if (entity.role === "observer") continue;
    const key = entityKey(entity);
    const asset = assetFor(assets, key);
    setTargetFacts(facts, compiled.used, entity, asset);
    const count = compiled.matcher.permits(facts, entity);
    for (let index = 0; index < count; index += 1) {
      const position = compiled.matcher.found[index] ?? -1;
      const policy = compiled.policies[position]?.policy;
      if (policy === undefined || policy.kind !== "permit") continue;
      const { action } = policy.do;
      // A permit for what the action cannot be done to grants nothing (`isolate_host` on an address).
      if (!(actions[action].targets as readonly string[]).includes(entity.type)) continue;
      let draft = drafts.find((other) => other.action === action && other.key === key);
      if (draft === undefined) {
        draft = {
          action,
          target: entity,
          key,
          asset,
          appearances: appearancesOf(detection, entity),
          permits: [],
          enforced: false,
        };
        drafts.push(draft);
      }
      draft.permits.push(position);
      if (!policy.shadow) draft.enforced = true;
    }
  }
  for (const draft of drafts)
    if (draft.appearances.length > 1) draft.permits = [...new Set(draft.permits)].sort((a, b) => a - b);
  return drafts.length > 1 ? drafts.sort(byTargetThenAction(detection)) : drafts;
};

/** In the order of the detection's entities, then of the catalogue: nothing depends on the order of files. */
const byTargetThenAction = (detection: Detection): ((a: Draft, b: Draft) => number) => {
  const rank = new Map<string, number>();
  for (const [index, entity] of detection.entities.entries()) {
    const key = entityKey(entity);
    if (entity.role !== "observer" && !rank.has(key)) rank.set(key, index);
  }
  const rankOf = (draft: Draft): number => rank.get(draft.key) ?? 0;
  return (a, b) => rankOf(a) - rankOf(b) || actionNames.indexOf(a.action) - actionNames.indexOf(b.action);
};

const appearancesOf = (detection: Detection, entity: Entity): Entity[] =>
  detection.entities.filter(
    (other) => other.role !== "observer" && other.type === entity.type && other.value === entity.value,
  );
