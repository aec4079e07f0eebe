import type { CommandRow, RecordFate } from "@reflex/edge-agent/ports";
import type { KillState } from "@reflex/protocol/kill";

/** What one call is about, as the far end sees it. */
export type CallSubject = {
  readonly connector: string;
  readonly action: string;
  /** entityKey */
  readonly target: string;
  readonly key: string;
};

/** What happened in the simulated world, as seen from outside the agent. Guarantees are judged by these alone. */
export type Happening =
  | {
      readonly kind: "booted";
      readonly process: number;
      /** By how much less than true time its clock went on while the agent was down. */
      readonly clockLostMs: number;
      /** What the agent's own clock says. */
      readonly agentMs: number;
      readonly storedKills: readonly KillState[];
    }
  | { readonly kind: "crashed"; readonly process: number; readonly point: string }
  | { readonly kind: "stopped"; readonly process: number }
  | ({ readonly kind: "apply_started" } & CallSubject)
  /** From absent to present at the far end. */
  | ({ readonly kind: "effect" } & CallSubject)
  /** An undo call was carried out there, whether or not there was anything to take back. */
  | ({ readonly kind: "undo_executed" } & CallSubject)
  | ({ readonly kind: "removed"; readonly by: "undo" | "expiry" } & CallSubject)
  | { readonly kind: "kill_heard"; readonly state: KillState }
  | { readonly kind: "local_kill"; readonly isPresent: boolean }
  | { readonly kind: "head_heard"; readonly agentMs: number }
  | { readonly kind: "policy_active"; readonly version: number; readonly hash: string }
  | {
      readonly kind: "settled";
      readonly record: number;
      readonly offer: number;
      readonly eventId: string;
      readonly fate: RecordFate;
    }
  | { readonly kind: "acknowledged"; readonly upTo: number; readonly storedUpTo: number }
  /** Something that delays or fails disk writes or calls of the agent. */
  | { readonly kind: "trouble"; readonly with: "disk" | "connector" }
  | { readonly kind: "disk_full"; readonly isFull: boolean }
  /** Looked at from time to time: what is in force out there, and what the agent knows of. */
  | {
      readonly kind: "inspected";
      readonly inForce: readonly (CallSubject & { readonly sinceMs: number })[];
      readonly rows: readonly CommandRow[];
    };

/** What is left when the world has been quiet for long. */
export type Ending = {
  readonly inForce: readonly CallSubject[];
  readonly rows: readonly CommandRow[];
  readonly stored: readonly StoredReport[];
  readonly controllerAcknowledged: number;
  readonly spool: { readonly first: number; readonly last: number };
  readonly lastToken: { readonly sequence: number; readonly hash: string } | undefined;
  readonly tokenJson: (decisionId: string) => string | undefined;
  readonly records: readonly { readonly record: number; readonly eventId: string; readonly isSettled: boolean }[];
  readonly lostByController: number;
};
/** One report as the controller stored it: the exact text of its body that the agent signed. */
export type StoredReport = { readonly sequence: number; readonly kind: string; readonly bodyJson: string };

/** One promise of the design, as something that can be found broken. `note` says what broke, at the moment it breaks. */
export type Guarantee = {
  readonly name: string;
  readonly note: (happening: Happening, atMs: number) => string | undefined;
  readonly atEnd: (ending: Ending) => readonly string[];
};

export const nothingToSay = (): undefined => undefined;
export const nothingAtEnd = (): readonly string[] => [];
