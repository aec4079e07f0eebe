import type { Detection } from "@reflex/protocol/detection";
import type { Entity } from "@reflex/protocol/entity";
import type { AssetFacts } from "@reflex/protocol/token";
import { type FieldName, fieldNames, fields } from "../language/fields.ts";
import { type AddressRange, parseAddress, parseNetwork } from "./address.ts";

/** What is known about one field. `undefined` = unknown; decimals are scaled by 1e6, ordinals are positions. */
export type Fact = string | number | boolean | readonly string[] | AddressRange | undefined;
/** One fact per field of `policies/language/fields.ts`, in that table's order. */
export type FieldFacts = Fact[];

export const fieldIndex: Readonly<Record<FieldName, number>> = Object.fromEntries(
  fieldNames.map((name, index) => [name, index]),
) as Record<FieldName, number>;

export const emptyFieldFacts = (): FieldFacts => new Array<Fact>(fieldNames.length).fill(undefined);

export const decimalScale = 1_000_000;
export const scaleDecimal = (value: number): number => Math.round(value * decimalScale);

/** Position of a name in an ordered field, or undefined for a name the field does not have. */
export const ordinalOf = (field: FieldName, name: string | undefined): number | undefined => {
  if (name === undefined) return undefined;
  const values: readonly string[] = ordinalValues[fieldIndex[field]] ?? [];
  const position = values.indexOf(name);
  return position < 0 ? undefined : position;
};

const ordinalValues = fieldNames.map((name) => {
  const field = fields[name];
  return field.type === "ordinal" && "values" in field ? field.values : undefined;
});

// Constants and not look-ups: an object with this many keys is a hash table to V8, and these are read for every target.
const confidenceAt = fieldIndex.confidence;
const scoreAt = fieldIndex.score;
const confidenceOriginAt = fieldIndex.confidence_origin;
const severityAt = fieldIndex.severity;
const tagsAt = fieldIndex.tags;
const recommendedActionAt = fieldIndex.recommended_action;
const policyScopeAt = fieldIndex.policy_scope;
const ruleIdAt = fieldIndex["rule.id"];
const ruleNameAt = fieldIndex["rule.name"];
const ruleOriginAt = fieldIndex["rule.origin"];
const sourceKindAt = fieldIndex["source.kind"];
const sourceDomainAt = fieldIndex["source.domain"];
const sourceSensorAt = fieldIndex["source.sensor"];
const agreementAt = fieldIndex.agreement;
const srcHostAt = fieldIndex.src_host;
const dstHostAt = fieldIndex.dst_host;
const siteAt = fieldIndex.site;
const srcNetAt = fieldIndex["src.net"];
const dstNetAt = fieldIndex["dst.net"];
const srcClassAt = fieldIndex["src.class"];
const dstClassAt = fieldIndex["dst.class"];
const dstCriticalityAt = fieldIndex["dst.criticality"];
const targetTypeAt = fieldIndex["target.type"];
const targetRoleAt = fieldIndex["target.role"];
const targetValueAt = fieldIndex["target.value"];
const targetNetAt = fieldIndex["target.net"];
const assetClassAt = fieldIndex["asset.class"];
const assetCriticalityAt = fieldIndex["asset.criticality"];
const assetOwnerAt = fieldIndex["asset.owner"];
const assetGroupsAt = fieldIndex["asset.groups"];
const assetExposureAt = fieldIndex["asset.exposure"];
const assetSubnetAt = fieldIndex["asset.subnet"];
const assetKnownAt = fieldIndex["asset.known"];

/** Facts known once per detection. Candidate fields are left unknown. `used` spares the reading of facts no policy asks for. */
export const setDetectionFacts = (
  facts: FieldFacts,
  used: Uint8Array,
  detection: Detection,
  assets: readonly AssetFacts[],
  agreement: readonly string[],
  site: string,
  confidence: number,
  score: number,
): void => {
  facts[confidenceAt] = scaleDecimal(confidence);
  facts[scoreAt] = scaleDecimal(score);
  facts[confidenceOriginAt] = detection.confidence_origin;
  facts[severityAt] = ordinalOf("severity", detection.severity);
  facts[tagsAt] = detection.tags;
  facts[recommendedActionAt] = detection.recommended_action;
  facts[policyScopeAt] = detection.policy_scope;
  facts[ruleIdAt] = detection.rule.id;
  facts[ruleNameAt] = detection.rule.name;
  facts[ruleOriginAt] = detection.rule.origin;
  facts[sourceKindAt] = detection.source.kind;
  facts[sourceDomainAt] = detection.source.domain;
  facts[sourceSensorAt] = detection.source.sensor;
  facts[agreementAt] = agreement;
  facts[srcHostAt] = detection.src_host;
  facts[dstHostAt] = detection.dst_host;
  facts[siteAt] = site;
  facts[srcNetAt] = used[srcNetAt] === 1 ? addressOf(detection.src_host) : undefined;
  facts[dstNetAt] = used[dstNetAt] === 1 ? addressOf(detection.dst_host) : undefined;
  facts[srcClassAt] = used[srcClassAt] === 1 ? exactly(assetOf(assets, detection.src_host))?.class : undefined;
  const destination =
    used[dstClassAt] === 1 || used[dstCriticalityAt] === 1 ? exactly(assetOf(assets, detection.dst_host)) : undefined;
  facts[dstClassAt] = destination?.class;
  facts[dstCriticalityAt] = ordinalOf("dst.criticality", destination?.criticality);
};

/** Facts of one target; the action is set apart, because permits bring their own. */
export const setTargetFacts = (
  facts: FieldFacts,
  used: Uint8Array,
  target: Entity,
  asset: AssetFacts | undefined,
): void => {
  const known = exactly(asset);
  facts[targetTypeAt] = target.type;
  facts[targetRoleAt] = target.role;
  facts[targetValueAt] = target.value;
  facts[targetNetAt] = used[targetNetAt] === 1 ? netOf(target) : undefined;
  facts[assetClassAt] = known?.class;
  facts[assetCriticalityAt] = ordinalOf("asset.criticality", known?.criticality);
  facts[assetOwnerAt] = known?.owner;
  facts[assetGroupsAt] = known?.groups;
  // Exposure and subnet belong to the address, known or not as an asset.
  facts[assetExposureAt] = ordinalOf("asset.exposure", asset?.exposure);
  facts[assetSubnetAt] = asset?.subnet;
  facts[assetKnownAt] = known !== undefined;
};

/** Inventory facts count only when they are about exactly one thing. */
export const exactly = (asset: AssetFacts | undefined): AssetFacts | undefined =>
  asset !== undefined && asset.matches === 1 ? asset : undefined;

/** Facts about an entity. `guess` is where they stand if facts were gathered in the order of the entities. */
export const assetOfEntity = (
  assets: readonly AssetFacts[],
  entity: Pick<Entity, "type" | "value">,
  guess = 0,
): AssetFacts | undefined => {
  const { type, value } = entity;
  const guessed = assets[guess];
  if (guessed !== undefined && isAbout(guessed, type, value)) return guessed;
  for (const asset of assets) if (isAbout(asset, type, value)) return asset;
  return undefined;
};

/** `asset.entity === entityKey(entity)`, without building the key. */
const isAbout = ({ entity }: AssetFacts, type: Entity["type"], value: string): boolean =>
  entity.length === type.length + 1 + value.length && entity.endsWith(value) && entity.startsWith(type);

/** `src_host` and `dst_host` are an address or a host name; anything else has no inventory facts. */
const assetOf = (assets: readonly AssetFacts[], value: string | undefined): AssetFacts | undefined =>
  value === undefined
    ? undefined
    : (assetOfEntity(assets, { type: "address", value }) ?? assetOfEntity(assets, { type: "host", value }));

const addressOf = (value: string | undefined): AddressRange | undefined =>
  value === undefined ? undefined : parseAddress(value);

const netOf = (target: Entity): AddressRange | undefined =>
  target.type === "address"
    ? parseAddress(target.value)
    : target.type === "network"
      ? parseNetwork(target.value)
      : undefined;
