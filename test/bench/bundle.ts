import { engine } from "@reflex/policies/engine/engine";
import { type Bundle, defaultSettings } from "@reflex/protocol/bundle";
import { emptyWeights, type Weights } from "@reflex/protocol/weights";
import { assetClasses, hostOf, hostsPerClass, recommendedActions, ruleIds, type Workload } from "./workload.ts";

export const org = "bench";
export const site = "bench";

/** The bundle the workload's policies would come in: with the inventory that knows every destination of the stream by class. */
export const createBundle = ({ policies }: Pick<Workload, "policies">): Bundle => ({
  v: 1,
  kind: "bundle",
  aud: { org, sites: ["*"] },
  version: 1,
  issued_at: "2026-01-31T00:00:00.000Z",
  engine,
  changelog: "Benchmark.",
  policies: [...policies],
  cases: [],
  lists: {},
  inventory: {
    assets: assetClasses.flatMap((assetClass, classIndex) =>
      Array.from({ length: hostsPerClass }, (_, number) => ({
        name: hostOf(classIndex, number),
        hosts: [],
        addresses: [`10.${classIndex}.0.${number + 1}`],
        class: assetClass,
        criticality: "medium" as const,
      })),
    ),
    users: [],
    subnets: assetClasses.map((assetClass, classIndex) => ({
      name: assetClass,
      cidr: `10.${classIndex}.0.0/16`,
      hosts: hostsPerClass,
    })),
  },
  never_touch: [{ type: "network", value: "192.0.2.0/24", why: "Addresses of the documentation stay reachable." }],
  routing: recommendedActions.map((action) => ({ action, connector: "bench" })),
  settings: defaultSettings,
});

/** What a site that has been running for a while has learnt: a cell for itself and one for each rule of the stream. */
export const createWeights = (): Weights => ({
  ...emptyWeights(org),
  version: 1,
  cells: {
    [site]: { k: 400, n: 500, m: 20 },
    ...Object.fromEntries(
      ruleIds.map((rule, index) => [`${site}|native|${rule}`, { k: 5 + (index % 40), n: 50, m: 20 }]),
    ),
  },
});
