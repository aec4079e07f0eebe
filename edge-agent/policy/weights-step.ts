import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Weights } from "@reflex/protocol/weights";

/**
 * The bound on one step of the weights: raising a calibrated confidence is what lets an action through, so that is what a stolen
 * weights key must not do at will. Lowering it only makes the agent ask. In log-odds.
 */
export const weightsStepUpDefault = 3;

/** Vendor confidences at which the change is looked at: doubtful, undecided, sure. */
const priors = [0.1, 0.5, 0.9];
/** Probabilities are cut here, as in learning: beyond, log-odds say nothing about evidence. */
const confidenceMin = 0.02;

export const checkWeightsStep = (before: Weights, after: Weights, stepUpMax: number): Result<void, Refusal> => {
  for (const key of new Set([...Object.keys(after.cells), ...Object.keys(before.cells)])) {
    for (const prior of priors) {
      const from = logOdds(confidenceOf(before, key, prior));
      const to = logOdds(confidenceOf(after, key, prior));
      if (to - from > stepUpMax + 1e-9) {
        const step = `${(to - from).toFixed(2)} log-odds at ${key.slice(0, 128)}, ${stepUpMax} are allowed`;
        return err(refusal("limit-exceeded", `raises confidence by ${step}`));
      }
    }
  }
  return ok(undefined);
};

/** Shrunk estimate along the key: each level leans on the one above, the first on the prior. */
const confidenceOf = (weights: Weights, key: string, prior: number): number => {
  const parts = key.split("|");
  const levels =
    parts.length === 1 ? [key] : [parts[0] as string, ...(parts.length > 3 ? [parts.slice(0, 3).join("|")] : []), key];
  let confidence = prior;
  for (const [depth, level] of levels.entries()) {
    const cell = weights.cells[level];
    if (cell === undefined) continue;
    const strength = depth === 0 ? weights.prior_strength : cell.m;
    const weight = cell.n + strength;
    if (weight > 0) confidence = (cell.k + strength * confidence) / weight;
  }
  return Math.min(1 - confidenceMin, Math.max(confidenceMin, confidence));
};

const logOdds = (probability: number): number => Math.log(probability / (1 - probability));
