import type { Engine, Matched } from "./engine.ts";
import { type FlatDetection, type FlatPolicy, toFlatDetection, toFlatPolicy } from "./flat.ts";

export type FlatMatch = (detection: FlatDetection) => Matched | Promise<Matched>;
/** What a peer has to bring: from policies to a function that names the matching ones. */
export type Peer = {
  readonly name: string;
  readonly given: string;
  readonly inFlight?: number;
  readonly compile: (policies: readonly FlatPolicy[]) => FlatMatch | Promise<FlatMatch>;
};

/** One engine holds all policies, as a first integration would. */
export const wholeEngine = ({ name, given, inFlight = 1, compile }: Peer): Engine => ({
  name,
  given,
  load: async ({ policies, items }) => {
    const flatPolicies = policies.map(toFlatPolicy);
    const detections = items.map(toFlatDetection);
    const startedMs = performance.now();
    const matchOne = await compile(flatPolicies);
    const buildMs = performance.now() - startedMs;
    return { buildMs, inFlight, match: (index) => matchOne(at(detections, index)) };
  },
});

/**
 * One engine for each recommended action, as a careful team would add in an hour: a detection meets the policies of its
 * action, without that condition, and the policies that name no action.
 */
export const splitEngine = ({ name, given, inFlight = 1, compile }: Peer): Engine => ({
  name: `${name}/split`,
  given: `${given}; one engine per recommended action`,
  load: async ({ policies, items }) => {
    const flatPolicies = policies.map(toFlatPolicy);
    const detections = items.map(toFlatDetection);
    const names = new Set(detections.map((detection) => detection.recommended_action));
    const startedMs = performance.now();
    const matchByAction = new Map<string, FlatMatch>();
    for (const action of names) matchByAction.set(action, await compile(policiesFor(action, flatPolicies)));
    const buildMs = performance.now() - startedMs;
    const match = (index: number): Matched | Promise<Matched> => {
      const detection = at(detections, index);
      return matchByAction.get(detection.recommended_action)?.(detection) ?? [];
    };
    return { buildMs, inFlight, match };
  },
});

const policiesFor = (action: string, policies: readonly FlatPolicy[]): FlatPolicy[] =>
  policies
    .filter(({ conditions }) =>
      conditions.every(
        (condition) =>
          condition.field !== "recommended_action" || condition.values.includes(action) === (condition.op === "in"),
      ),
    )
    .map(({ id, conditions }) => ({
      id,
      conditions: conditions.filter(({ field }) => field !== "recommended_action"),
    }));

const at = (detections: readonly FlatDetection[], index: number): FlatDetection => {
  const detection = detections[index];
  if (detection === undefined) throw new Error(`the stream has no detection ${index}`);
  return detection;
};
