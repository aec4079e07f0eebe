import type { Factor } from "@reflex/protocol/decision";
import type { Detection } from "@reflex/protocol/detection";
import type { AssetFacts, Context } from "@reflex/protocol/token";
import type { Weights } from "@reflex/protocol/weights";
import { log, logistic, logit, round6 } from "./arithmetic.ts";
import { exactly } from "./field-facts.ts";

/** A mapped or default confidence is somebody's guess: below the lowest sensible act threshold. */
export const guessedConfidenceMax = 0.6;
/** Matured verdicts on this rule here before learning may lift a guessed confidence above its cap. */
export const evidenceMin = 10;
/** logit is finite here, and no single factor drowns the others. */
const confidenceMin = 0.001;

export type ScoringWeights = Pick<Weights, "prior_strength" | "cells">;
export type Calibration = {
  readonly confidence: number;
  /** Keys of the cells that were read and exist, for the token's slice. */
  readonly cells: readonly string[];
};
export type Score = Calibration & { readonly score: number; readonly factors: Factor[] };

/**
 * Beta shrinkage from broad to narrow: p = (k + m p_parent) / (n + m). The site's parent is the confidence that came with
 * the detection, at the strength of the prior; a cell that does not exist changes nothing.
 */
export const calibrate = (
  weights: ScoringWeights,
  site: string,
  detection: Pick<Detection, "confidence" | "confidence_origin" | "source" | "rule">,
  assetClass: string | undefined,
): Calibration => {
  const guessed = detection.confidence_origin === "mapped" || detection.confidence_origin === "default";
  let p = guessed ? Math.min(detection.confidence, guessedConfidenceMax) : detection.confidence;
  let evidence = 0;
  const cells: string[] = [];
  const rule = `${site}|${detection.source.kind}|${detection.rule.id}`;
  for (let level = 0; level < (assetClass === undefined ? 2 : 3); level += 1) {
    const key = level === 0 ? site : level === 1 ? rule : `${rule}|${assetClass}`;
    const cell = Object.hasOwn(weights.cells, key) ? weights.cells[key] : undefined;
    if (cell === undefined) continue;
    cells.push(key);
    const strength = level === 0 ? weights.prior_strength : cell.m;
    if (cell.n + strength > 0) p = (Math.min(cell.k, cell.n) + strength * p) / (cell.n + strength);
    // What is known about a whole site says nothing about this rule.
    if (level > 0) evidence = Math.max(evidence, cell.n);
  }
  if (guessed && evidence < evidenceMin) p = Math.min(p, guessedConfidenceMax);
  return { confidence: round6(Math.min(1, Math.max(0, p))), cells };
};

/** The class that calibration and the asset factor look at: that of the most critical thing touched; the first of equals. */
export const mostCritical = (assets: readonly AssetFacts[]): AssetFacts | undefined => {
  let most: AssetFacts | undefined;
  for (const asset of assets) {
    const known = exactly(asset);
    if (known !== undefined && (most === undefined || rank(known.criticality) > rank(most.criticality))) most = known;
  }
  return most;
};

const rank = (criticality: AssetFacts["criticality"]): number =>
  criticality === undefined ? 0 : criticalityRank[criticality];
const criticalityRank = { low: 1, medium: 2, high: 3, critical: 4 } as const;

// Shares in log-odds: 0.7 doubles the odds. They are part of the engine's version; learning moves the confidence alone.
const severityShare = { low: -1, medium: -0.3, high: 0.3, critical: 0.8 } as const;
const criticalityShare = { low: -0.2, medium: 0, high: 0.2, critical: 0.4 } as const;
const exposureShare = { internal: 0, dmz: 0.1, external: 0.2 } as const;
const historyPerDoubling = 0.15;
const historyMax = 0.6;
const agreementPerDomain = 0.6;
const agreementMax = 1.2;
const confirmedShare = 0.15;
const failedShare = -0.25;
const overriddenShare = -0.6;
const outcomesMax = 0.6;
const outcomesMin = -2;

type ScoreContext = Pick<Context, "assets" | "history" | "agreement" | "prior">;

/** Additive in log-odds, so every factor's share can be shown; `score` is the logistic of the sum, rounded to 1e-6. */
export const scoreDetection = (
  weights: ScoringWeights,
  site: string,
  detection: Detection,
  context: ScoreContext,
): Score => {
  const asset = mostCritical(context.assets);
  const { confidence, cells } = calibrate(weights, site, detection, asset?.class);
  const { history, prior } = context;
  const exposure = widestExposure(context.assets);
  const domains = new Set(context.agreement).add(detection.source.domain).size;
  const factors: Factor[] = [
    factor(
      "confidence",
      `${confidence} (${detection.confidence_origin})`,
      logit(Math.min(1 - confidenceMin, Math.max(confidenceMin, confidence))),
    ),
    factor("severity", detection.severity, severityShare[detection.severity]),
    factor(
      "asset",
      asset === undefined ? "unknown" : shown(asset),
      asset?.criticality === undefined ? 0 : criticalityShare[asset.criticality],
    ),
    factor("exposure", exposure ?? "unknown", exposure === undefined ? 0 : exposureShare[exposure]),
    factor(
      "history",
      `${history.detections} detections, ${history.distinct_rules} rules, ${history.actions} actions`,
      Math.min(
        historyMax,
        (historyPerDoubling * (log(1 + history.detections) + log(1 + history.distinct_rules))) / log(2),
      ),
    ),
    factor(
      "agreement",
      domains === 1 ? "1 domain" : `${domains} domains`,
      Math.min(agreementMax, agreementPerDomain * (domains - 1)),
    ),
    factor(
      "prior outcomes",
      `${prior.confirmed} confirmed, ${prior.failed} failed, ${prior.overridden} overridden`,
      Math.max(
        outcomesMin,
        Math.min(
          outcomesMax,
          confirmedShare * log(1 + prior.confirmed) +
            failedShare * log(1 + prior.failed) +
            overriddenShare * log(1 + prior.overridden),
        ),
      ),
    ),
  ];
  let sum = 0;
  for (const { log_odds } of factors) sum += log_odds;
  return { confidence, cells, factors, score: round6(logistic(sum)) };
};

const factor = (name: string, value: string, logOdds: number): Factor => ({
  name,
  value: value.length > 256 ? value.slice(0, 256) : value,
  log_odds: round6(logOdds),
});

const shown = ({ name, class: assetClass, criticality }: AssetFacts): string => {
  const named = assetClass === undefined ? `${name}` : `${name}, ${assetClass}`;
  return criticality === undefined ? named : `${named}, ${criticality}`;
};

const widestExposure = (assets: readonly AssetFacts[]): AssetFacts["exposure"] => {
  let widest: AssetFacts["exposure"];
  for (const { exposure } of assets)
    if (exposure !== undefined && (widest === undefined || exposureShare[exposure] > exposureShare[widest]))
      widest = exposure;
  return widest;
};
