import type { IngestAgent, IngestCommitted, IngestRecord, IngestStore, QuarantinedContent } from "./ingest.ts";

/** The same promises as the store in PostgreSQL, in memory: for the simulator, and to compare the real one with. */
export type MemoryIngestStore = IngestStore & {
  readonly enrol: (agent: Pick<IngestAgent, "agent" | "site" | "reportKey">) => void;
  /** Everything stored for an agent, in order of sequence. */
  readonly stored: (agent: string) => readonly IngestRecord[];
  readonly acknowledged: (agent: string) => number;
  readonly quarantined: () => readonly QuarantinedContent[];
};

export const createMemoryIngestStore = (): MemoryIngestStore => {
  const agents = new Map<string, IngestAgent>();
  const recordsByAgent = new Map<string, IngestRecord[]>();
  const quarantined = new Map<string, QuarantinedContent>();
  return {
    enrol: ({ agent, site, reportKey }) => {
      const before = agents.get(agent);
      if (before?.reportKey === reportKey) return;
      const incarnation = (before?.incarnation ?? 0) + 1;
      agents.set(agent, { agent, site, reportKey, incarnation, acknowledged: 0, revoked: false });
    },
    agent: async (name) => agents.get(name),
    commit: async (units) =>
      units.map((unit): IngestCommitted => {
        const agent = agents.get(unit.agent);
        const refused = { agent: unit.agent, isStored: false, stored: [] };
        if (agent === undefined || agent.incarnation !== unit.incarnation) return { ...refused, acknowledged: 0 };
        const { acknowledged } = agent;
        if (unit.first > acknowledged + 1 || unit.last <= acknowledged) return { ...refused, acknowledged };
        const stored = unit.records.filter(({ sequence }) => sequence > acknowledged);
        recordsByAgent.set(unit.agent, [...(recordsByAgent.get(unit.agent) ?? []), ...stored]);
        agents.set(unit.agent, { ...agent, acknowledged: unit.last });
        return { agent: unit.agent, acknowledged: unit.last, isStored: true, stored };
      }),
    quarantine: async (content) => {
      quarantined.set(content.sha256, content);
    },
    stored: (agent) => recordsByAgent.get(agent) ?? [],
    acknowledged: (agent) => agents.get(agent)?.acknowledged ?? 0,
    quarantined: () => [...quarantined.values()],
  };
};
