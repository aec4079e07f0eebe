import type { PolicyReference } from "@reflex/protocol/decision";
import type { Policy } from "@reflex/protocol/policy";
import type { RefusalCode } from "@reflex/protocol/refusal";
import type { CompiledPolicy } from "./compile.ts";

type Effect = PolicyReference["effect"];

/**
 * How a decision names a policy. Without a detail it is the same object every time, and its bytes are written once:
 * a decision under many policies is mostly such references.
 */
export const referenceTo = (
  entry: CompiledPolicy,
  effect: Effect,
  code: RefusalCode | undefined,
  detail: string | undefined,
): PolicyReference => {
  const { policy } = entry;
  if (detail !== undefined && detail !== "") return withDetail(policy, effect, code, detail);
  // An effect and a code make a handful of references per policy, so a list is searched faster than a map.
  for (const known of entry.told) if (known.effect === effect && known.code === code) return known;
  const reference: PolicyReference = Object.freeze({
    id: policy.id,
    layer: policy.layer,
    effect,
    ...(code !== undefined && { code }),
  });
  entry.told.push(reference);
  textByReference.set(reference, JSON.stringify(reference));
  return reference;
};

export const referenceText = (reference: PolicyReference): string =>
  textByReference.get(reference) ?? JSON.stringify(reference);

const textByReference = new WeakMap<PolicyReference, string>();

const withDetail = (policy: Policy, effect: Effect, code: RefusalCode | undefined, detail: string): PolicyReference => {
  const reference: PolicyReference = { id: policy.id, layer: policy.layer, effect };
  if (code !== undefined) reference.code = code;
  reference.detail = detail.length > 512 ? detail.slice(0, 512) : detail;
  return reference;
};
