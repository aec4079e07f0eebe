import type { Detection } from "@reflex/protocol/detection";
import { type Refusal, type RefusalCode, refusal } from "@reflex/protocol/refusal";
import type { Net } from "../address.ts";

/** What a vendor's record turned into. Exactly one of three: nothing becomes a detection by default. */
export type Normalised =
  | { readonly kind: "detection"; readonly detection: Detection }
  /** Well-formed, but not a finding: flow records, statistics, levels below the vendor's own alert threshold. */
  | { readonly kind: "not_detection"; readonly reason: string }
  | { readonly kind: "dead_letter"; readonly refusal: Refusal };

export type NormaliserSettings = {
  /** Addresses that are ours: who is victim and who is attacker is read from them where the record leaves it open. */
  readonly homeNets: readonly Net[];
};

/** Pure and total: any JSON value gives a Normalised, never a throw. The value has passed the strict JSON gate. */
export type Normaliser = (value: unknown, settings: NormaliserSettings) => Normalised;

export const notDetection = (reason: string): Normalised => ({ kind: "not_detection", reason });
export const deadLetter = (code: RefusalCode, detail: string): Normalised => ({
  kind: "dead_letter",
  refusal: refusal(code, detail),
});
