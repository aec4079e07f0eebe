import { createNodeCrypto } from "@reflex/edge-agent/adapters/node-crypto";
import { type CompiledBundle, compileBundle } from "@reflex/policies/engine/compile";
import { type DecideResult, decide } from "@reflex/policies/engine/decide";
import { gatherAssets } from "@reflex/policies/engine/facts";
import { type CutSlice, cutSlice } from "@reflex/policies/engine/slice";
import { type Sha256Hex, sealToken } from "@reflex/policies/engine/token";
import type { Bundle } from "@reflex/protocol/bundle";
import type { Detection } from "@reflex/protocol/detection";
import { newDecisionId } from "@reflex/protocol/ids";
import { parseJson } from "@reflex/protocol/json";
import type { Result } from "@reflex/protocol/result";
import { type Context, firstPrevious } from "@reflex/protocol/token";
import { checkDetection } from "@reflex/protocol/validate";
import { createBundle, createWeights, org, site } from "./bundle.ts";
import { type Budget, type Measured, measure } from "./measure.ts";
import type { Workload } from "./workload.ts";

/** From the bytes of a detection to the bytes of its token, with everything the agent does between that needs no disk. */
export type WholeDecision = {
  /** With SHA-256 over every section, as the agent does it. */
  readonly sealed: Measured;
  /** The same bytes with all digests left at zero: what sealing costs is the difference. */
  readonly unsealed: Measured;
  readonly compileMs: number;
  /** Again in the same process, when the compiler is warm: what an agent that has run for a while needs for a new bundle. */
  readonly recompileMs: number;
  /** One policy of the set changed. */
  readonly changeOneMs: number;
  /** Mean of each stage alone over the stream, in µs. */
  readonly stagesUs: Readonly<Record<string, number>>;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly detectionBytesMean: number;
  readonly tokenBytesMean: number;
};

export const measureWholeDecision = async (workload: Workload, budget: Budget): Promise<WholeDecision> => {
  const bundle = createBundle(workload);
  const compiling = measureCompiling(bundle);
  const arrivals = workload.items.map(({ detection }) => Buffer.from(JSON.stringify(detection)));
  const steps = createSteps(compiling.compiled);
  const subject = (sha256Hex: Sha256Hex) => ({
    call: (index: number) => steps.whole(arrivals[index] ?? noBytes, sha256Hex),
    inFlight: 1,
    streamLength: arrivals.length,
  });
  const sealed = await measure(subject(sha256HexOf), budget);
  const unsealed = await measure(subject(zeroHash), budget);
  // Each stage runs a few times over the sample, which must not take longer than the other passes.
  const sample = arrivals.slice(
    0,
    Math.min(1_000, Math.max(20, Math.floor((budget.latencyMs * 1_000) / sealed.p50Us))),
  );
  return {
    sealed,
    unsealed,
    compileMs: compiling.compileMs,
    recompileMs: compiling.recompileMs,
    changeOneMs: compiling.changeOneMs,
    ...measureStages(steps, sample),
    detectionBytesMean: mean(sample.map(({ length }) => length)),
    tokenBytesMean: mean(sample.map((bytes) => steps.whole(bytes, sha256HexOf).length)),
  };
};

const noBytes = Buffer.alloc(0);
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

// ---- the steps of one decision

const { sha256Hex: sha256HexOf, textOf } = createNodeCrypto();
const zeroHash: Sha256Hex = () => firstPrevious;

const nowMs = Date.UTC(2026, 0, 31, 12, 1);
const decidedAt = new Date(nowMs).toISOString();
const version = { version: 1, hash: firstPrevious };
const decisionId = newDecisionId(Date.UTC(2026, 0, 1), new Uint8Array(10));
/** Counters stand at zero: a cap that is reached would make most decisions shorter, not longer. */
const limits = { used: () => 0 };

type Gathered = Omit<Context, "limits">;
type Steps = {
  readonly parse: (bytes: Uint8Array) => unknown;
  readonly check: (value: unknown) => Detection;
  readonly gather: (detection: Detection) => Gathered;
  readonly decide: (detection: Detection, context: Gathered) => DecideResult;
  readonly slice: (detection: Detection, context: Gathered, result: DecideResult) => CutSlice;
  readonly seal: (
    detection: Detection,
    context: Gathered,
    result: DecideResult,
    slice: CutSlice,
    sha256Hex: Sha256Hex,
  ) => string;
  readonly encode: (json: string) => Uint8Array;
  readonly whole: (bytes: Uint8Array, sha256Hex: Sha256Hex) => Uint8Array;
};

const createSteps = (compiled: CompiledBundle): Steps => {
  let sequence = 0;
  const steps: Omit<Steps, "whole"> = {
    parse: (bytes) => expectOk(parseJson(textOf(bytes) ?? "")),
    check: (value) => expectOk(checkDetection(value)),
    gather: (detection) => ({
      received_at: decidedAt,
      mode: "enforce",
      killed: false,
      lease_valid: true,
      circuit_closed: true,
      assets: gatherAssets(compiled, detection),
      history: { detections: 2, distinct_rules: 1, actions: 0 },
      agreement: [detection.source.domain],
      prior: { confirmed: 3, failed: 0, overridden: 1 },
      leases: [],
    }),
    decide: (detection, context) => decide({ detection, context, limits, compiled, site, nowMs, decisionId }),
    slice: (detection, context, { matched }) => cutSlice(compiled, matched, detection, context.assets),
    seal: (detection, context, { decision, limitsRead }, slice, sha256Hex) => {
      sequence += 1;
      const { json } = sealToken(
        {
          header: { org, site, agent: "agent", sequence, decided_at: decidedAt, bundle: version, weights: version },
          detection,
          context: { ...context, limits: limitsRead },
          slice,
          decision,
          previous: firstPrevious,
        },
        sha256Hex,
      );
      return json;
    },
    encode: (json) => Buffer.from(json),
  };
  return {
    ...steps,
    whole: (bytes, sha256Hex) => {
      const detection = steps.check(steps.parse(bytes));
      const context = steps.gather(detection);
      const result = steps.decide(detection, context);
      const slice = steps.slice(detection, context, result);
      return steps.encode(steps.seal(detection, context, result, slice, sha256Hex));
    },
  };
};

const expectOk = <T>(result: Result<T, { readonly code: string; readonly detail: string }>): T => {
  if (!result.ok) throw new Error(`${result.error.code} ${result.error.detail}`);
  return result.value;
};

// ---- stages

/** Each stage runs over the whole sample on what the stage before it left, so that no clock is read within a stage. */
const measureStages = (steps: Steps, arrivals: readonly Uint8Array[]): Pick<WholeDecision, "stagesUs" | "verdicts"> => {
  const values = arrivals.map(steps.parse);
  const detections = values.map(steps.check);
  const contexts = detections.map(steps.gather);
  const results = detections.map((detection, index) => steps.decide(detection, at(contexts, index)));
  const cut = (detection: Detection, index: number) => steps.slice(detection, at(contexts, index), at(results, index));
  const slices = detections.map(cut);
  const seal = (sha256Hex: Sha256Hex) => (detection: Detection, index: number) =>
    steps.seal(detection, at(contexts, index), at(results, index), at(slices, index), sha256Hex);
  const jsons = detections.map(seal(sha256HexOf));
  const token = microseconds(detections, seal(zeroHash));
  const verdicts: Record<string, number> = {};
  for (const { decision } of results) verdicts[decision.verdict] = (verdicts[decision.verdict] ?? 0) + 1;
  return {
    stagesUs: {
      parse: microseconds(arrivals, steps.parse),
      check: microseconds(values, steps.check),
      gather: microseconds(detections, steps.gather),
      decide: microseconds(detections, (detection, index) => steps.decide(detection, at(contexts, index))),
      slice: microseconds(detections, cut),
      token,
      sha256: Math.max(0, microseconds(detections, seal(sha256HexOf)) - token),
      encode: microseconds(jsons, steps.encode),
    },
    verdicts,
  };
};

const rounds = 5;

/** Best round of a few: the rest is what else the machine was doing. */
const microseconds = <T>(inputs: readonly T[], stage: (input: T, index: number) => unknown): number => {
  const timings = Array.from({ length: rounds }, () => {
    const startedMs = performance.now();
    for (let index = 0; index < inputs.length; index += 1) stage(at(inputs, index), index);
    return ((performance.now() - startedMs) * 1_000) / inputs.length;
  });
  return Math.min(...timings);
};

const at = <T>(items: readonly T[], index: number): T => {
  const item = items[index];
  if (item === undefined) throw new Error(`nothing at ${index}`);
  return item;
};

// ---- compiling

type Compiling = Pick<WholeDecision, "compileMs" | "recompileMs" | "changeOneMs"> & {
  readonly compiled: CompiledBundle;
};

const measureCompiling = (bundle: Bundle): Compiling => {
  const weights = createWeights();
  const [compiled, compileMs] = timed(() => expectOk(compileBundle(bundle, weights)));
  const [, recompileMs] = timed(() => expectOk(compileBundle(bundle, weights)));
  const middle = Math.floor(bundle.policies.length / 2);
  const changed = {
    ...bundle,
    policies: bundle.policies.map((policy, index) => (index === middle ? { ...policy, match: [] } : policy)),
  };
  const [, changeOneMs] = timed(() => expectOk(compileBundle(changed, weights)));
  return { compiled, compileMs, recompileMs, changeOneMs };
};

const timed = <T>(work: () => T): [T, number] => {
  const startedMs = performance.now();
  const value = work();
  return [value, performance.now() - startedMs];
};
