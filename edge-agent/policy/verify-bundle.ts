import type { Bundle } from "@reflex/protocol/bundle";
import { bundleBytesMax } from "@reflex/protocol/limits";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Trust } from "@reflex/protocol/trust";
import { checkBundle, checkWeights } from "@reflex/protocol/validate";
import type { Weights } from "@reflex/protocol/weights";
import type { Crypto } from "../ports.ts";
import { openSigned } from "./open-signed.ts";

/** Content whose signatures, audience and form hold. Only the functions below make one. */
export type Verified<T> = {
  readonly value: T;
  readonly version: number;
  /** Of the signed payload: what tokens name. */
  readonly hash: string;
  /** Of the envelope as published: what heads point at. */
  readonly blobHash: string;
  /** The envelope, verbatim. */
  readonly blob: Uint8Array;
  readonly payload: Uint8Array;
};

export type VerifyDeps = {
  readonly crypto: Crypto;
  readonly self: { readonly org: string; readonly site: string };
  /** `<engine name>/<semantics version>` of this agent. */
  readonly engine: string;
};

/** 100 000 cells of 100 bytes with long rule names. */
export const weightsBytesMax = 32 * 1024 * 1024;

/** Signatures of the release role, audience, engine and schema; `chain` is newest first. Version and self-test come after. */
export const verifyBundle = (
  deps: VerifyDeps,
  blob: Uint8Array,
  chain: readonly Trust[],
): Result<Verified<Bundle>, Refusal> => {
  const gate = { kind: "bundle", payloadBytesMax: bundleBytesMax, check: checkBundle } as const;
  const opened = openSigned(
    deps.crypto,
    gate,
    blob,
    chain.map((trust) => trust.roles.release),
  );
  if (!opened.ok) return opened;
  const verified = verifiedOf(deps, blob, opened.value);
  if (verified.ok && verified.value.value.engine !== deps.engine) {
    return err(
      refusal("self-test-failed", `checked with ${verified.value.value.engine}, this agent runs ${deps.engine}`),
    );
  }
  return verified;
};

/** Weights are a delegated role: the controller's key may sign them, within bounds checked after this. */
export const verifyWeights = (
  deps: VerifyDeps,
  blob: Uint8Array,
  chain: readonly Trust[],
): Result<Verified<Weights>, Refusal> => {
  const gate = { kind: "weights", payloadBytesMax: weightsBytesMax, check: checkWeights } as const;
  const opened = openSigned(
    deps.crypto,
    gate,
    blob,
    chain.map((trust) => trust.roles.weights),
  );
  return opened.ok ? verifiedOf(deps, blob, opened.value) : opened;
};

const verifiedOf = <T extends Bundle | Weights>(
  { crypto, self }: VerifyDeps,
  blob: Uint8Array,
  { value, payload }: { readonly value: T; readonly payload: Uint8Array },
): Result<Verified<T>, Refusal> => {
  const { org, sites } = value.aud;
  if (org !== self.org || !(sites.includes("*") || sites.includes(self.site))) {
    return err(
      refusal("audience-wrong", `for ${org}/${sites.slice(0, 4).join(",")}, this is ${self.org}/${self.site}`),
    );
  }
  const hash = crypto.sha256Hex(payload);
  return ok({ value, version: value.version, hash, blobHash: crypto.sha256Hex(blob), blob, payload });
};
