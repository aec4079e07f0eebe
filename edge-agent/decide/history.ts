import type { SourceDomain } from "@reflex/protocol/detection";
import type { DecidedRow } from "../ports.ts";

/** Entities remembered at once; the least recently seen is forgotten first. 100 000 x 16 sightings is about 200 MB at worst. */
const entitiesMax = 100_000;
/** Sightings kept per entity: decay makes older ones worth nothing long before. */
const sightingsMax = 16;

type Sighting = { readonly atMs: number; readonly ruleKey: string; readonly domain: string; readonly acted: boolean };

export type EntityHistory = {
  readonly history: { readonly detections: number; readonly distinct_rules: number; readonly actions: number };
  readonly agreement: SourceDomain[];
};

export type History = {
  readonly note: (row: DecidedRow) => void;
  readonly about: (
    entityKeys: readonly string[],
    ownDomain: SourceDomain,
    nowMs: number,
    windowMs: number,
  ) => EntityHistory;
  readonly clear: () => void;
};

const round6 = (value: number): number => Math.round(value * 1e6) / 1e6;

/** What was recently decided about the same entities. In memory; rebuilt from the journal at start. */
export const createHistory = (): History => {
  const sightingsByEntity = new Map<string, Sighting[]>();

  const note = (row: DecidedRow): void => {
    const sighting = { atMs: row.atMs, ruleKey: row.ruleKey, domain: row.domain, acted: row.verdict === "act" };
    for (const key of row.entityKeys) {
      const sightings = sightingsByEntity.get(key) ?? [];
      // Delete and set again: a Map iterates in insertion order, so its first key is the least recently seen.
      sightingsByEntity.delete(key);
      sightingsByEntity.set(key, sightings);
      sightings.push(sighting);
      if (sightings.length > sightingsMax) sightings.shift();
    }
    for (const oldest of sightingsByEntity.keys()) {
      if (sightingsByEntity.size <= entitiesMax) break;
      sightingsByEntity.delete(oldest);
    }
  };

  const about: History["about"] = (entityKeys, ownDomain, nowMs, windowMs) => {
    const seen = new Set<Sighting>();
    for (const key of entityKeys) for (const sighting of sightingsByEntity.get(key) ?? []) seen.add(sighting);
    let detections = 0;
    let actions = 0;
    const rules = new Set<string>();
    const domains = new Set<string>([ownDomain]);
    for (const sighting of seen) {
      const ageMs = nowMs - sighting.atMs;
      if (ageMs > windowMs) continue;
      // Half as much after a quarter of the window; a sighting from the future of a disordered feed counts as now.
      const weight = 2 ** (-Math.max(0, ageMs) / (windowMs / 4));
      detections += weight;
      if (sighting.acted) actions += weight;
      rules.add(sighting.ruleKey);
      domains.add(sighting.domain);
    }
    return {
      history: { detections: round6(detections), distinct_rules: rules.size, actions: round6(actions) },
      agreement: [...domains].sort() as SourceDomain[],
    };
  };

  return { note, about, clear: () => sightingsByEntity.clear() };
};
