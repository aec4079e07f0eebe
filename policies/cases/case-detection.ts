import type { BundleCase, CaseContext } from "@reflex/protocol/bundle";
import type { Verdict } from "@reflex/protocol/decision";
import type { ConfidenceOrigin, Detection, Severity, SourceDomain } from "@reflex/protocol/detection";
import type { Entity } from "@reflex/protocol/entity";

/** A detection as cases write it: only what matters to the case. Keys are those of `match`, or the wire names. */
export type CaseDetection = {
  readonly event_id?: string;
  readonly timestamp?: string;
  readonly confidence?: number;
  readonly confidence_origin?: ConfidenceOrigin;
  readonly severity?: Severity;
  readonly src_host?: string;
  readonly dst_host?: string;
  readonly tags?: readonly string[];
  readonly recommended_action?: string;
  readonly policy_scope?: string;
  readonly correlation_id?: string;
  readonly entities?: readonly Entity[];
  readonly rule?: { readonly id?: string; readonly name?: string; readonly origin?: string };
  readonly source?: { readonly kind?: string; readonly domain?: SourceDomain; readonly sensor?: string };
  readonly enrichment?: Readonly<Record<string, string | number | boolean>>;
};

/** One case as a policy file holds it. */
export type CaseSource = {
  readonly name: string;
  readonly detection: CaseDetection;
  readonly given: { readonly context?: CaseContext; readonly limits?: Readonly<Record<string, number>> };
  readonly expect: {
    readonly verdict: Verdict;
    readonly actions?: readonly string[];
    readonly policies?: readonly string[];
  };
};

/**
 * What a case does not say. Unremarkable on purpose: medium severity, even odds, an unnamed signature on the network;
 * a case passes because of what it says, not because of a default.
 */
export const caseDefaults: Detection = {
  event_id: "case",
  timestamp: "2026-01-01T12:00:00.000Z",
  confidence: 0.5,
  confidence_origin: "vendor",
  severity: "medium",
  tags: [],
  entities: [],
  rule: { id: "case", name: "case", origin: "signature" },
  source: { kind: "native", domain: "network" },
  enrichment: {},
};

export const caseToDetection = (short: CaseDetection, defaults: Detection = caseDefaults): Detection => ({
  ...defaults,
  ...short,
  tags: [...(short.tags ?? defaults.tags)],
  entities: [...(short.entities ?? defaults.entities)],
  rule: { ...defaults.rule, ...short.rule },
  source: { ...defaults.source, ...short.source },
  enrichment: { ...defaults.enrichment, ...short.enrichment },
});

/** A group without a policy is one of the case's own policy: `servers` becomes `global/isolation-blast-radius|servers`. */
const limitKey = (policy: string, key: string): string => (key.includes("|") ? key : `${policy}|${key}`);

export const caseToBundleCase = (policy: string, { name, detection, given, expect }: CaseSource): BundleCase => ({
  policy,
  name,
  detection: caseToDetection(detection),
  expect: {
    verdict: expect.verdict,
    ...(expect.actions === undefined ? {} : { actions: [...expect.actions] }),
    ...(expect.policies === undefined ? {} : { policies: [...expect.policies] }),
  },
  ...(given.limits === undefined
    ? {}
    : {
        limits: Object.fromEntries(Object.entries(given.limits).map(([key, count]) => [limitKey(policy, key), count])),
      }),
  ...(given.context === undefined ? {} : { context: given.context }),
});
