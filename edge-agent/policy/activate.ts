import type { Bundle } from "@reflex/protocol/bundle";
import { bundleBytesMax } from "@reflex/protocol/limits";
import type { Refusal } from "@reflex/protocol/refusal";
import { type RefusalCode, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { BlobPointer, ObservedPart } from "@reflex/protocol/sync";
import { emptyWeights, type Weights } from "@reflex/protocol/weights";
import type { Log } from "../ports.ts";
import type { Marks } from "./marks-port.ts";
import { envelopeBytesMax } from "./open-signed.ts";
import { createSlotPair, type SlotPair } from "./slot-pair.ts";
import type { Slots } from "./slots-port.ts";
import type { TrustStore } from "./trust.ts";
import { type Verified, type VerifyDeps, verifyBundle, verifyWeights, weightsBytesMax } from "./verify-bundle.ts";
import { checkWeightsStep, weightsStepUpDefault } from "./weights-step.ts";

/** Runs the bundle's own cases on this agent's engine, away from the agent: in a worker with a deadline, or inline in a simulation. */
export type SelfTest = (payload: Uint8Array, site: string) => Promise<Result<void, Refusal>>;

/** Tells people: becomes an AgentEvent in the report spool. */
export type Tell = (level: "info" | "warning" | "alarm", name: string, detail: string, code?: RefusalCode) => void;

export type ActivationDeps<Policy> = VerifyDeps & {
  readonly slots: Slots;
  readonly marks: Marks;
  readonly trust: Pick<TrustStore, "chain" | "current">;
  readonly selfTest: SelfTest;
  /** Makes what the agent decides under; pure. */
  readonly build: (bundle: Verified<Bundle>, weights: Verified<Weights>) => Result<Policy, Refusal>;
  readonly tell: Tell;
  readonly log: Log;
};

/** The gate of everything that decides: what does not pass whole changes nothing, and the last good stays. */
export type Activation<Policy> = {
  /** Last known good from disk, signatures verified anew. Without one there is no policy and nothing acts. */
  readonly boot: () => Promise<void>;
  readonly active: () => Policy | undefined;
  readonly bundle: () => Verified<Bundle> | undefined;
  readonly offerBundle: (blob: Uint8Array, pointer?: BlobPointer) => Promise<Result<void, Refusal>>;
  readonly offerWeights: (blob: Uint8Array, pointer?: BlobPointer) => Promise<Result<void, Refusal>>;
  /** Something newer could not even be fetched. */
  readonly noteRefused: (part: "bundle" | "weights", pointer: BlobPointer, why: Refusal) => void;
  readonly noteFetching: (part: "bundle" | "weights", isFetching: boolean) => void;
  readonly observed: (part: "bundle" | "weights") => ObservedPart;
};

type PartState = {
  readonly name: "bundle" | "weights";
  readonly active: { readonly version: number; readonly blobHash: string } | undefined;
  refused: ObservedPart["refused"] | undefined;
  isFetching: boolean;
};
type Part<T> = PartState & {
  readonly name: "bundle" | "weights";
  readonly pair: SlotPair;
  active: Verified<T> | undefined;
  refused: ObservedPart["refused"] | undefined;
  isFetching: boolean;
};

export const createActivation = <Policy>(deps: ActivationDeps<Policy>): Activation<Policy> => {
  const { marks, tell, crypto } = deps;
  const bundles: Part<Bundle> = {
    name: "bundle",
    pair: createSlotPair(deps.slots, "bundle", envelopeBytesMax(bundleBytesMax)),
    active: undefined,
    refused: undefined,
    isFetching: false,
  };
  const weights: Part<Weights> = {
    name: "weights",
    pair: createSlotPair(deps.slots, "weights", envelopeBytesMax(weightsBytesMax)),
    active: undefined,
    refused: undefined,
    isFetching: false,
  };
  const noWeights = unlearned(deps);
  let policy: Policy | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  // One at a time: two activations that overlap could store one thing and swap in the other.
  const inTurn = <T>(run: () => Promise<T>): Promise<T> => {
    const done = turn.then(run);
    turn = done.catch(() => undefined);
    return done;
  };

  const boot = async (): Promise<void> => {
    const chain = deps.trust.chain();
    weights.active = await bootPart(weights, (blob) => verifyWeights(deps, blob, chain));
    bundles.active = await bootPart(bundles, (blob) => verifyBundle(deps, blob, chain));
    if (bundles.active === undefined) {
      tell("warning", "no-policy", "no verified bundle on disk; nothing acts until one arrives", "no-bundle");
      return;
    }
    const built = deps.build(bundles.active, weights.active ?? noWeights);
    if (built.ok) {
      policy = built.value;
      return;
    }
    bundles.active = undefined;
    tell("alarm", "no-policy", `the stored bundle does not compile: ${built.error.detail}`, built.error.code);
  };

  /** The newest of both slots that verifies; a damaged one costs nothing but a warning. */
  const bootPart = async <T>(
    part: Part<T>,
    verify: (blob: Uint8Array) => Result<Verified<T>, Refusal>,
  ): Promise<Verified<T> | undefined> => {
    let best: Verified<T> | undefined;
    for (const { slot, read } of await part.pair.readAll()) {
      if (read.ok && read.value === undefined) continue;
      const verified =
        read.ok && read.value !== undefined ? verify(read.value) : err((read as { error: Refusal }).error);
      if (!verified.ok) {
        tell("alarm", `${part.name}-damaged`, `slot ${slot}: ${verified.error.detail}`, verified.error.code);
      } else if (best === undefined || verified.value.version > best.version) {
        best = verified.value;
        part.pair.holds(slot);
      }
    }
    const mark = marks.get(part.name);
    // The crash may have come between storing and raising: what is stored was verified and tested, so the mark follows.
    if (best !== undefined && best.version > mark) marks.raise({ [part.name]: best.version });
    if (best !== undefined && best.version < mark) {
      tell(
        "alarm",
        `${part.name}-older`,
        `running version ${best.version}, version ${mark} is damaged`,
        "hash-mismatch",
      );
    }
    return best;
  };

  const offer = async <T>(
    part: Part<T>,
    blob: Uint8Array,
    pointer: BlobPointer | undefined,
    admit: (
      blob: Uint8Array,
    ) => Promise<Result<{ readonly verified: Verified<T>; readonly policy: Policy | undefined }, Refusal>>,
  ): Promise<Result<void, Refusal>> => {
    if (part.active !== undefined && part.active.blobHash === crypto.sha256Hex(blob)) return ok(undefined);
    const admitted = await admit(blob);
    const stored = admitted.ok ? await store(part, admitted.value.verified) : admitted;
    if (!stored.ok || !admitted.ok) {
      const why = stored.ok ? refusal("conflict") : stored.error;
      noteRefused(part, { version: pointer?.version ?? 0, hash: crypto.sha256Hex(blob) }, why);
      return err(why);
    }
    // One assignment: a decision sees the old policy or the new one.
    policy = admitted.value.policy ?? policy;
    part.active = admitted.value.verified;
    part.refused = undefined;
    const { version, hash } = part.active;
    deps.log.info({ part: part.name, version, hash }, "activated");
    tell("info", `${part.name}-activated`, `version ${version}, ${hash}`);
    return ok(undefined);
  };

  /** Bytes before mark: a crash between leaves something verified, never a mark without its content. */
  const store = async <T>(part: Part<T>, verified: Verified<T>): Promise<Result<void, Refusal>> => {
    const written = await part.pair.writeOther(verified.blob);
    if (!written.ok) return written;
    const raised = marks.raise({ [part.name]: verified.version });
    if (raised.ok) part.pair.holds(written.value);
    return raised;
  };

  const announced = (blob: Uint8Array, pointer: BlobPointer | undefined): Result<void, Refusal> => {
    if (pointer === undefined) return ok(undefined);
    const isSame = pointer.bytes === blob.length && pointer.hash === crypto.sha256Hex(blob);
    return isSame
      ? ok(undefined)
      : err(refusal("hash-mismatch", `announced ${pointer.bytes} bytes, got ${blob.length}`));
  };

  /** Above what is active, and not below what ever was; the mark's own version may come again when its slot was damaged. */
  const newer = (part: PartState, version: number): Result<void, Refusal> => {
    const mark = marks.get(part.name);
    const active = part.active?.version ?? 0;
    if (version > active && version >= mark) return ok(undefined);
    return err(refusal("version-rollback", `version ${version}, seen ${Math.max(mark, active)}`));
  };

  const admitBundle = (pointer: BlobPointer | undefined) => async (blob: Uint8Array) => {
    const same = announced(blob, pointer);
    if (!same.ok) return same;
    const verified = verifyBundle(deps, blob, trusted());
    if (!verified.ok) return verified;
    const higher = newer(bundles, verified.value.version);
    if (!higher.ok) return higher;
    const tested = await deps.selfTest(verified.value.payload, deps.self.site);
    if (!tested.ok) return tested;
    const built = deps.build(verified.value, weights.active ?? noWeights);
    return built.ok ? ok({ verified: verified.value, policy: built.value }) : built;
  };

  const admitWeights = (pointer: BlobPointer | undefined) => async (blob: Uint8Array) => {
    const same = announced(blob, pointer);
    if (!same.ok) return same;
    const verified = verifyWeights(deps, blob, trusted());
    if (!verified.ok) return verified;
    const higher = newer(weights, verified.value.version);
    if (!higher.ok) return higher;
    const stepUpMax = bundles.active?.value.settings.weights_step_up_max ?? weightsStepUpDefault;
    const step = checkWeightsStep((weights.active ?? noWeights).value, verified.value.value, stepUpMax);
    if (!step.ok) return step;
    if (bundles.active === undefined) return ok({ verified: verified.value, policy: undefined });
    const built = deps.build(bundles.active, verified.value);
    return built.ok ? ok({ verified: verified.value, policy: built.value }) : built;
  };

  // New content needs the newest keys; older documents only vouch for what is already stored.
  const trusted = () => {
    const current = deps.trust.current();
    return current === undefined ? [] : [current];
  };

  const noteRefused = (part: PartState, what: { version: number; hash: string }, why: Refusal): void => {
    const detail = why.detail.slice(0, 512);
    const isNews = part.refused?.hash !== what.hash || part.refused.code !== why.code;
    part.refused = { ...what, code: why.code, detail };
    deps.log.warn({ part: part.name, ...what, code: why.code, detail }, "refused, last good stays");
    if (isNews) tell("alarm", `${part.name}-refused`, detail, why.code);
  };

  const partOf = (name: "bundle" | "weights"): PartState => (name === "bundle" ? bundles : weights);

  return {
    boot: () => inTurn(boot),
    active: () => policy,
    bundle: () => bundles.active,
    offerBundle: (blob, pointer) => inTurn(() => offer(bundles, blob, pointer, admitBundle(pointer))),
    offerWeights: (blob, pointer) => inTurn(() => offer(weights, blob, pointer, admitWeights(pointer))),
    noteRefused: (name, pointer, why) =>
      noteRefused(partOf(name), { version: pointer.version, hash: pointer.hash }, why),
    noteFetching: (name, isFetching) => {
      partOf(name).isFetching = isFetching;
    },
    observed: (name) => {
      const { active, refused, isFetching } = partOf(name);
      return {
        version: active?.version ?? 0,
        ...(active === undefined ? {} : { hash: active.blobHash }),
        phase: isFetching ? "fetching" : refused !== undefined ? "refused" : active === undefined ? "none" : "active",
        ...(refused === undefined ? {} : { refused }),
      };
    },
  };
};

const unlearned = (deps: VerifyDeps): Verified<Weights> => {
  const value = emptyWeights(deps.self.org);
  const payload = deps.crypto.utf8(JSON.stringify(value));
  const hash = deps.crypto.sha256Hex(payload);
  return { value, version: 0, hash, blobHash: hash, blob: payload, payload };
};
