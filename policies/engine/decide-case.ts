import type { BundleCase } from "@reflex/protocol/bundle";
import type { Decision } from "@reflex/protocol/decision";
import { newDecisionId } from "@reflex/protocol/ids";
import type { CompiledBundle } from "./compile.ts";
import { decide } from "./decide.ts";
import { gatherAssets } from "./facts.ts";

/** Same for every run: a case is about the verdict, not about who decided when. */
const caseDecisionId = newDecisionId(0, new Uint8Array(10));

/**
 * Decides a case as an enforcing agent of the site would that has seen nothing else: no history, no agreement beyond the
 * source itself, brakes open, limits unused. What the case says about its surroundings takes the place of that.
 */
export const decideForCase = (compiled: CompiledBundle, site: string, bundleCase: BundleCase): Decision => {
  const { detection } = bundleCase;
  const used = bundleCase.limits ?? {};
  const { site: givenSite, agreement = [], ...given } = bundleCase.context ?? {};
  return decide({
    detection,
    context: {
      received_at: detection.timestamp,
      mode: "enforce",
      killed: false,
      lease_valid: true,
      circuit_closed: true,
      assets: gatherAssets(compiled, detection),
      history: { detections: 0, distinct_rules: 0, actions: 0 },
      prior: { confirmed: 0, failed: 0, overridden: 0 },
      leases: [],
      ...given,
      agreement: [...new Set([detection.source.domain, ...agreement])].sort(),
    },
    limits: { used: (key) => (Object.hasOwn(used, key) ? used[key] : 0) },
    compiled,
    site: givenSite ?? site,
    nowMs: Date.parse(detection.timestamp),
    decisionId: caseDecisionId,
  }).decision;
};
