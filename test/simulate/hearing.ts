import type { DownName } from "@reflex/edge-agent/link/link-port";
import type { Envelope } from "@reflex/protocol/envelope";
import type { Refusal } from "@reflex/protocol/refusal";
import type { Result } from "@reflex/protocol/result";
import type { Head, SyncRequest, SyncResponse } from "@reflex/protocol/sync";
import type { Truth } from "./chaos.ts";
import type { Disk } from "./disk.ts";
import type { Headquarters } from "./headquarters.ts";
import { self } from "./keys.ts";
import type { Sim } from "./sim.ts";
import type { Owner } from "./time.ts";

/** Notes what the agent has been told, from the wire: what it makes of it is for the guarantees to judge. */
export type Hearing = {
  readonly before: (name: DownName, bytes: Uint8Array) => boolean;
  readonly after: (name: DownName, bytes: Uint8Array) => void;
  readonly overHttps: (process: Owner, request: SyncRequest) => Promise<Result<Uint8Array, Refusal>>;
};

export const createHearing = (
  sim: Sim,
  truth: Truth,
  disk: Disk,
  headquarters: () => Headquarters,
  agentMs: () => number,
  isDeaf: boolean,
): Hearing => {
  const noteKill = (envelope: Envelope): boolean => {
    const state = truth.kills.get(JSON.stringify(envelope));
    if (state === undefined) return false;
    sim.happened({ kind: "kill_heard", state });
    return true;
  };
  const noteHead = (envelope: Envelope): void => {
    const head = JSON.parse(Buffer.from(envelope.payload, "base64").toString()) as Head;
    // Only a head that the agent has not heard before renews its right to act.
    if (head.sequence > disk.markOf("head")) sim.happened({ kind: "head_heard", agentMs: agentMs() });
  };
  const noteAcknowledged = (upTo: number): void => {
    const stored = headquarters().store.stored(self.agent);
    sim.happened({ kind: "acknowledged", upTo, storedUpTo: stored.at(-1)?.sequence ?? 0 });
  };
  const noteSync = (response: SyncResponse, isBefore: boolean): void => {
    if (isBefore) noteHead(response.head);
    else {
      for (const envelope of response.kills) noteKill(envelope);
      noteAcknowledged(response.acknowledged);
    }
  };
  const isKill = (name: DownName): boolean => name === "killOrg" || name === "killSite" || name === "killAgent";
  const read = <T>(bytes: Uint8Array): T => JSON.parse(Buffer.from(bytes).toString()) as T;

  return {
    before: (name, bytes) => {
      if (name === "head") noteHead(read<Envelope>(bytes));
      if (name === "syncResponse") noteSync(read<SyncResponse>(bytes), true);
      if (!isDeaf || !isKill(name)) return true;
      noteKill(read<Envelope>(bytes));
      return false;
    },
    after: (name, bytes) => {
      if (isKill(name)) noteKill(read<Envelope>(bytes));
      if (name === "syncResponse") noteSync(read<SyncResponse>(bytes), false);
      if (name === "acknowledgement") noteAcknowledged(read<{ acknowledged: number }>(bytes).acknowledged);
    },
    overHttps: async (process, request) => {
      const answered = await headquarters().syncOverHttps(request);
      if (!answered.ok || !process.isAlive) return answered;
      const response = read<SyncResponse>(answered.value);
      noteSync(response, true);
      // The agent takes it up in this very turn.
      sim.time.after(process, 0, () => noteSync(response, false));
      return answered;
    },
  };
};
