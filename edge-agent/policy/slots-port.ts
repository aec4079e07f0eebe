import type { Refusal } from "@reflex/protocol/refusal";
import type { Result } from "@reflex/protocol/result";

/** Few, whole files with flat names of `[a-z0-9.-]`, below the agent's data folder. */
export type Slots = {
  /** undefined where there is no such file; `too-large` and read errors are refusals. */
  readonly read: (name: string, bytesMax: number) => Promise<Result<Uint8Array | undefined, Refusal>>;
  /** When ok, the new bytes survive a power cut; until then the old ones do. Never a mixture. */
  readonly write: (name: string, bytes: Uint8Array) => Promise<Result<void, Refusal>>;
};
