import { Worker } from "node:worker_threads";
import { engine } from "@reflex/policies/engine/engine";
import type { Audience, Bundle } from "@reflex/protocol/bundle";
import { bundleBytesMax } from "@reflex/protocol/limits";
import { isRefusalCode, type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Trust } from "@reflex/protocol/trust";
import { checkBundle, checkWeights } from "@reflex/protocol/validate";
import type { Weights } from "@reflex/protocol/weights";
import { type OpenDeps, type Opened, openMessage, readEnvelope } from "./open-message.ts";

/** Base64 and the envelope around the payload. */
export const releaseBytesMax = Math.ceil((bundleBytesMax * 4) / 3) + 64 * 1024;

/** What every agent will check again, in the same order; a bundle that no agent would take is not stored. */
export const acceptBundle = async (
  deps: OpenDeps,
  trust: Trust,
  newestVersion: number,
  bytes: Uint8Array,
): Promise<Result<Opened<Bundle>, Refusal>> => {
  const opened = open(deps, trust, "bundle", "release", checkBundle, bytes);
  if (!opened.ok) return opened;
  const { value, payload } = opened.value;
  const next = isNext(trust, newestVersion, value);
  if (!next.ok) return next;
  if (value.engine !== engine) return err(refusal("engine-unknown", `checked with ${value.engine}; this is ${engine}`));
  const tested = await selfTest(payload, value.aud);
  return tested === undefined ? opened : err(tested);
};

export const acceptWeights = (
  deps: OpenDeps,
  trust: Trust,
  newestVersion: number,
  bytes: Uint8Array,
): Result<Opened<Weights>, Refusal> => {
  const opened = open(deps, trust, "weights", "weights", checkWeights, bytes);
  if (!opened.ok) return opened;
  const next = isNext(trust, newestVersion, opened.value.value);
  return next.ok ? opened : next;
};

const open = <T>(
  deps: OpenDeps,
  trust: Trust,
  kind: "bundle" | "weights",
  role: "release" | "weights",
  check: (value: unknown) => Result<T, Refusal>,
  bytes: Uint8Array,
): Result<Opened<T>, Refusal> => {
  const envelope = readEnvelope(deps, bytes, releaseBytesMax);
  return envelope.ok ? openMessage(deps, envelope.value, kind, trust.roles[role], check) : envelope;
};

const isNext = (
  trust: Trust,
  newestVersion: number,
  { aud, version }: { readonly aud: Audience; readonly version: number },
): Result<void, Refusal> => {
  if (aud.org !== trust.org) return err(refusal("audience-wrong", `for ${aud.org}; this is ${trust.org}`));
  if (version > newestVersion) return ok(undefined);
  return err(refusal("version-rollback", `version ${version}; ${newestVersion} is released`));
};

/** Fifty thousand cases take seconds; what takes a minute would hold up every agent. */
const selfTestMsMax = 60_000;
const selfTestMemoryMb = 1_024;
/** A bundle for many sites is tried at the first of them; each agent tries it at its own. */
const testedSitesMax = 8;

const selfTest = (payload: Uint8Array, aud: Audience): Promise<Refusal | undefined> => {
  const named = aud.sites.filter((site) => site !== "*").slice(0, testedSitesMax);
  const worker = new Worker(new URL("./self-test-thread.ts", import.meta.url), {
    workerData: { payload: Buffer.from(payload).toString("utf8"), sites: named.length === 0 ? ["any"] : named },
    resourceLimits: { maxOldGenerationSizeMb: selfTestMemoryMb },
  });
  return new Promise((done) => {
    const timer = setTimeout(
      () => end(refusal("self-test-timeout", `no result within ${selfTestMsMax / 1_000} s`)),
      selfTestMsMax,
    );
    const end = (found: Refusal | undefined): void => {
      clearTimeout(timer);
      void worker.terminate();
      done(found);
    };
    worker.once("message", (found: unknown) => end(found === null ? undefined : refusalOf(found)));
    worker.once("error", (error) =>
      end(refusal("self-test-failed", error instanceof Error ? error.message.slice(0, 512) : "")),
    );
    worker.once("exit", () => end(refusal("self-test-failed", "the self-test ended without a result")));
  });
};

const refusalOf = (found: unknown): Refusal => {
  const isRefusal = typeof found === "object" && found !== null && "code" in found && "detail" in found;
  return isRefusal && typeof found.code === "string" && isRefusalCode(found.code)
    ? refusal(found.code, String(found.detail))
    : refusal("self-test-failed", "the self-test gave no readable result");
};
