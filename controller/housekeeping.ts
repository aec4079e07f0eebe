import { schedule } from "node-cron";
import type { Database } from "./store/database.ts";
import { createLeadership, deleteExpired, leadershipSeconds } from "./store/leadership.ts";
import { createMirrorStore } from "./store/mirror-store.ts";

/** What one controller of several does on a schedule, in UTC. */
export type Housekeeping = { readonly isLeader: () => boolean; readonly stop: () => Promise<void> };

const leaderName = "housekeeping";

export const startHousekeeping = (
  database: Database,
  holder: string,
  retentionDays: number,
  log: (fields: Readonly<Record<string, unknown>>, message: string) => void,
): Housekeeping => {
  const leadership = createLeadership(database, leaderName, holder);
  const mirrorStore = createMirrorStore(database);
  let token: number | undefined;

  const claim = async (): Promise<void> => {
    // Not knowing is not leading: the row may be another's by now.
    const claimed = await leadership.claim().catch(() => undefined);
    if (claimed !== undefined && token === undefined) log({ token: claimed }, "leading housekeeping");
    token = claimed;
  };
  const clean = async (): Promise<void> => {
    await claim();
    if (token === undefined) return;
    let rows = 0;
    for (let deleted = 1; deleted > 0 && token !== undefined; rows += deleted) {
      deleted = await deleteExpired(
        database,
        { name: leaderName, token },
        { decisionDays: retentionDays, unusedJoinTokenDays: 30 },
      );
      await claim();
    }
    if (token !== undefined) await mirrorStore.dropExpired({ name: leaderName, token }, retentionDays);
    log({ rows, retentionDays }, "records past their retention are deleted");
  };

  const first = claim();
  const renewal = setInterval(claim, (leadershipSeconds * 1_000) / 3);
  // 03:17: not when everybody's jobs begin.
  const nightly = schedule(
    "17 3 * * *",
    () => clean().catch((error: Error) => log({ error: error.message }, "housekeeping failed")),
    {
      timezone: "Etc/UTC",
    },
  );
  return {
    isLeader: () => token !== undefined,
    stop: async () => {
      clearInterval(renewal);
      await nightly.destroy();
      await first;
      if (token !== undefined) await leadership.giveUp().catch(() => undefined);
    },
  };
};
