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

const at = fieldIndex;

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
  facts[at.confidence] = scaleDecimal(confidence);
  facts[at.score] = scaleDecimal(score);
  facts[at.confidence_origin] = detection.confidence_origin;
  facts[at.severity] = ordinalOf("severity", detection.severity);
  facts[at.tags] = detection.tags;
  facts[at.recommended_action] = detection.recommended_action;
  facts[at.policy_scope] = detection.policy_scope;
  facts[at["rule.id"]] = detection.rule.id;
  facts[at["rule.name"]] = detection.rule.name;
  facts[at["rule.origin"]] = detection.rule.origin;
  facts[at["source.kind"]] = detection.source.kind;
  facts[at["source.domain"]] = detection.source.domain;
  facts[at["source.sensor"]] = detection.source.sensor;
  facts[at.agreement] = agreement;
  facts[at.src_host] = detection.src_host;
  facts[at.dst_host] = detection.dst_host;
  facts[at.site] = site;
  facts[at["src.net"]] = used[at["src.net"]] === 1 ? addressOf(detection.src_host) : undefined;
  facts[at["dst.net"]] = used[at["dst.net"]] === 1 ? addressOf(detection.dst_host) : undefined;
  facts[at["src.class"]] =
    used[at["src.class"]] === 1 ? exactly(assetOf(assets, detection.src_host))?.class : undefined;
  const destination =
    used[at["dst.class"]] === 1 || used[at["dst.criticality"]] === 1
      ? exactly(assetOf(assets, detection.dst_host))
      : undefined;
  facts[at["dst.class"]] = destination?.class;
  facts[at["dst.criticality"]] = ordinalOf("dst.criticality", destination?.criticality);
};

/** Facts of one target; the action is set apart, because permits bring their own. */
export const setTargetFacts = (
  facts: FieldFacts,
  used: Uint8Array,
  target: Entity,
  asset: AssetFacts | undefined,
): void => {
  const known = exactly(asset);
  facts[at["target.type"]] = target.type;
  facts[at["target.role"]] = target.role;
  facts[at["target.value"]] = target.value;
  facts[at["target.net"]] = used[at["target.net"]] === 1 ? netOf(target) : undefined;
  facts[at["asset.class"]] = known?.class;
  facts[at["asset.criticality"]] = ordinalOf("asset.criticality", known?.criticality);
  facts[at["asset.owner"]] = known?.owner;
  facts[at["asset.groups"]] = known?.groups;
  // Exposure and subnet belong to the address, known or not as an asset.
  facts[at["asset.exposure"]] = ordinalOf("asset.exposure", asset?.exposure);
  facts[at["asset.subnet"]] = asset?.subnet;
  facts[at["asset.known"]] = known !== undefined;
};

/** Inventory facts count only when they are about exactly one thing. */
export const exactly = (asset: AssetFacts | undefined): AssetFacts | undefined =>
  asset !== undefined && asset.matches === 1 ? asset : undefined;

export const assetFor = (assets: readonly AssetFacts[], key: string): AssetFacts | undefined => {
  for (const asset of assets) if (asset.entity === key) return asset;
  return undefined;
};

/** `src_host` and `dst_host` are an address or a host name; anything else has no inventory facts. */
const assetOf = (assets: readonly AssetFacts[], value: string | undefined): AssetFacts | undefined =>
  value === undefined ? undefined : (assetFor(assets, `address|${value}`) ?? assetFor(assets, `host|${value}`));

const addressOf = (value: string | undefined): AddressRange | undefined =>
  value === undefined ? undefined : parseAddress(value);

const netOf = (target: Entity): AddressRange | undefined =>
  target.type === "address"
    ? parseAddress(target.value)
    : target.type === "network"
      ? parseNetwork(target.value)
      : undefined;
