import type { CompiledBundle } from "@reflex/policies/engine/compile";
import type { BundleSettings } from "@reflex/protocol/bundle";
import type { Limit } from "@reflex/protocol/policy";

/** What the agent decides under: only the gate in policy/ makes one, after signatures, audience, version and self-test. */
export type ActivePolicy = {
  readonly compiled: CompiledBundle;
  readonly bundle: { readonly version: number; readonly hash: string };
  readonly weights: { readonly version: number; readonly hash: string };
  readonly settings: BundleSettings;
  readonly limitOf: (policyId: string) => Limit | undefined;
};

/** State of the brakes at decision time; each is checked again right before the call. */
export type BrakeState = {
  readonly killed: () => boolean;
  readonly leaseValid: () => boolean;
};
