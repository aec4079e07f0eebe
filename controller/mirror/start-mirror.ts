import type { SiemSettings } from "../settings.ts";
import type { Database } from "../store/database.ts";
import { createLeadership, leadershipSeconds } from "../store/leadership.ts";
import type { MirrorStore } from "../store/mirror-store.ts";
import { type MirrorState, startMirror } from "./mirror.ts";

import type { Siem } from "./siem-port.ts";

/** The mirror of this controller among several: one leads, the others stand by. */
export type StartedMirror = {
  readonly siem: Siem;
  readonly state: () => MirrorState;
  readonly stop: () => Promise<void>;
};

export type StartMirrorDeps = {
  readonly database: Database;
  readonly store: MirrorStore;
  readonly siem: SiemSettings;
  readonly org: string;
  /** Of this controller. */
  readonly name: string;
  readonly log: (fields: Readonly<Record<string, unknown>>, message: string) => void;
};

const leaderName = "siem-mirror";

export const startMirroring = async (deps: StartMirrorDeps): Promise<StartedMirror> => {
  // Its client reads the whole interface of OpenSearch when it is loaded; who has no SIEM does without.
  const { createOpenSearch } = await import("./opensearch.ts");
  const siem = createOpenSearch(deps.siem);
  await deps.store.turnOn(`controller ${deps.name}`);
  const leadership = createLeadership(deps.database, leaderName, deps.name);
  let token: number | undefined;
  const claim = async (): Promise<void> => {
    // Not knowing is not leading: the row may be another's by now.
    const claimed = await leadership.claim().catch(() => undefined);
    if (claimed !== undefined && token === undefined) deps.log({ token: claimed }, "mirroring to the SIEM");
    token = claimed;
  };
  const first = claim();
  const renewal = setInterval(claim, (leadershipSeconds * 1_000) / 3);
  const mirror = startMirror({
    ...deps,
    siem,
    place: { org: deps.org, namespace: deps.siem.namespace },
    leader: () => (token === undefined ? undefined : { name: leaderName, token }),
    random: Math.random,
  });
  return {
    siem,
    state: mirror.state,
    stop: async () => {
      clearInterval(renewal);
      await mirror.stop();
      await first;
      if (token !== undefined) await leadership.giveUp().catch(() => undefined);
    },
  };
};
