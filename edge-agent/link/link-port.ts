import type { Refusal } from "@reflex/protocol/refusal";
import type { Result } from "@reflex/protocol/result";
import type { SyncRequest } from "@reflex/protocol/sync";
import type { TopicPayloads } from "@reflex/protocol/topics";

export type UpName = "syncRequest" | "heartbeat" | "presence" | "report";
export type DownName = "head" | "killOrg" | "killSite" | "killAgent" | "order" | "syncResponse" | "acknowledgement";
export const downNames = [
  "head",
  "killOrg",
  "killSite",
  "killAgent",
  "order",
  "syncResponse",
  "acknowledgement",
] as const satisfies readonly DownName[];

/** Messages between this agent and the controller. Delivery is at least once or never; nothing here is believed. */
export type Link = {
  readonly start: () => void;
  readonly stop: () => Promise<void>;
  readonly connected: () => boolean;
  /** ok = the broker has it, which is no proof that the controller does. */
  readonly publish: <Name extends UpName>(name: Name, payload: TopicPayloads[Name]) => Promise<Result<void, Refusal>>;
  readonly on: (name: DownName, handle: (bytes: Uint8Array) => void) => void;
  /** Runs after each connect, when every subscription stands. */
  readonly onConnected: (run: () => void) => void;
};

/** The way round a broken broker: the controller's answer to a sync over HTTPS. */
export type SyncOverHttps = (request: SyncRequest) => Promise<Result<Uint8Array, Refusal>>;

/** Fetches what is content-addressed or versioned; the caller verifies it. */
export type Blobs = {
  readonly fetch: (pointer: { readonly hash: string; readonly bytes: number }) => Promise<Result<Uint8Array, Refusal>>;
  /** Trust document of one version, as its envelope. */
  readonly fetchTrust: (version: number) => Promise<Result<Uint8Array, Refusal>>;
};
