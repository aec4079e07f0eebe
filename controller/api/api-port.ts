import type { Refusal } from "@reflex/protocol/refusal";
import type { Acknowledgement } from "@reflex/protocol/report";
import type { Result } from "@reflex/protocol/result";
import type { SyncRequest, SyncResponse } from "@reflex/protocol/sync";
import type { Trust } from "@reflex/protocol/trust";
import type { Live } from "../link/live.ts";
import type { Orders } from "../link/orders.ts";
import type { StartedMirror } from "../mirror/start-mirror.ts";
import type { Authority } from "../pki/authority.ts";
import type { KillRegister } from "../release/kill-register.ts";
import type { OpenDeps } from "../release/open-message.ts";
import type { FleetStore } from "../store/fleet-store.ts";
import type { MirrorStore } from "../store/mirror-store.ts";
import type { OrderStore } from "../store/order-store.ts";
import type { ReleaseStore } from "../store/release-store.ts";
import type { ReportStore } from "../store/report-store.ts";
import type { Callers } from "./callers.ts";

/** What the routes ask of the rest of the controller. */
export type ApiDeps = {
  readonly org: string;
  readonly callers: Callers;
  readonly authority: Authority;
  readonly crypto: OpenDeps & { readonly sha256Hex: (bytes: Uint8Array | string) => string };
  readonly trust: () => { readonly trust: Trust; readonly envelope: string };
  readonly fleet: FleetStore;
  readonly releases: ReleaseStore;
  readonly reports: ReportStore;
  readonly kills: KillRegister;
  readonly orders: Orders;
  readonly orderLists: Pick<OrderStore, "list" | "order">;
  /** Undefined: this controller mirrors nothing. */
  readonly mirror: Pick<StartedMirror, "siem" | "state"> | undefined;
  readonly mirrorLists: Pick<MirrorStore, "lags" | "deadLetters" | "deadLetterCount" | "retryDeadLetters">;
  readonly live: Live;
  /** Where agents find the embedded broker on this host; undefined with a broker elsewhere. */
  readonly brokerPorts: () => { readonly port: number; readonly ws_port: number | null } | undefined;
  readonly answerSync: (agent: string, request: SyncRequest) => Promise<Result<SyncResponse, Refusal>>;
  readonly takeReport: (agent: string, bytes: Uint8Array) => Promise<Result<Acknowledgement, Refusal>>;
  /** Sends a kill that is already in the register; resolves when a broker has it. */
  readonly sendKill: (kill: {
    readonly state: Parameters<KillRegister["take"]>[0]["state"];
    readonly envelope: string;
  }) => Promise<void>;
  /** Tells every controller of this organisation that something it keeps in memory changed. */
  readonly announce: (change: "kill" | "release" | "revoked" | "trust") => Promise<void>;
  readonly metrics: () => Promise<{ readonly type: string; readonly text: string }>;
  readonly health: () => Promise<Readonly<Record<string, boolean>>>;
  readonly nowMs: () => number;
  readonly random: (count: number) => Uint8Array;
  readonly log: (fields: Readonly<Record<string, unknown>>, message: string) => void;
};
