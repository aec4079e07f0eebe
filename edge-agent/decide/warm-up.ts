import { decideForCase } from "@reflex/policies/engine/decide-case";
import type { BundleCase } from "@reflex/protocol/bundle";
import { firstPrevious } from "@reflex/protocol/token";
import { admitRecord } from "../admit/admit.ts";
import type { Crypto } from "../ports.ts";
import type { ActivePolicy } from "./active-policy.ts";
import { createCircuit } from "./circuit.ts";
import { createCounters } from "./counters.ts";
import { decideDetection } from "./decide-detection.ts";
import { createHistory } from "./history.ts";
import { createLeases } from "./leases.ts";
import { createPrior } from "./prior.ts";

/** Cases run through: enough for every layer, a fraction of a second even when cold. */
const casesMax = 64;

/**
 * Takes the bundle's own cases along a detection's whole way, with nothing attached: no journal, no connector. Validators are
 * compiled and code is hot before the first real detection, which would otherwise wait tens of milliseconds for it.
 */
export const warmUp = (
  policy: ActivePolicy,
  cases: readonly BundleCase[],
  deps: {
    readonly self: { readonly org: string; readonly site: string; readonly agent: string };
    readonly crypto: Crypto;
  },
): void => {
  const decideDeps = {
    identity: deps.self,
    random: { bytes: (count: number) => new Uint8Array(count) },
    crypto: deps.crypto,
    brakes: { killed: () => false, leaseValid: () => true },
    history: createHistory(),
    counters: createCounters(policy.limitOf),
    circuit: createCircuit(() => undefined),
    leases: createLeases(),
    prior: createPrior(() => undefined),
    connectors: [],
  };
  for (const one of cases.slice(0, casesMax)) {
    const nowMs = Date.parse(one.detection.timestamp);
    const admitted = admitRecord(
      { bytes: deps.crypto.utf8(JSON.stringify(one.detection)), format: "auto" },
      {
        nowMs,
        wallNowMs: nowMs,
        freshnessSeconds: policy.settings.freshness_seconds,
        seen: () => undefined,
        homeNets: [],
        crypto: deps.crypto,
      },
    );
    decideForCase(policy.compiled, deps.self.site, one);
    if (admitted.kind !== "detection") continue;
    decideDetection(decideDeps, policy, admitted.detection, {
      contentHash: admitted.contentHash,
      nowMs,
      previous: { sequence: 0, hash: firstPrevious },
    });
  }
};
