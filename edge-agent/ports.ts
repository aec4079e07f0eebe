import type { Command } from "@reflex/protocol/command";
import type { CommandState } from "@reflex/protocol/command-life";
import type { Verdict } from "@reflex/protocol/decision";
import type { Refusal, RefusalCode } from "@reflex/protocol/refusal";
import type { ReportKind, ReportRecord } from "@reflex/protocol/report";
import type { Result } from "@reflex/protocol/result";
import type { Resolved } from "./connectors/contract.ts";

/**
 * What the agent asks of the world, in small interfaces. `main.ts` hands in the real ones, the simulator its own:
 * the agent itself never opens a file, a socket or a clock.
 */

/** Wall time, or the feed's own time when a recording is played. Milliseconds since 1970, UTC. Never goes back within a process. */
export type Clock = { readonly nowMs: () => number };

/** Real delays on the monotonic clock; a jump of the wall clock does not move them. */
export type Timers = {
  /** Calls once after `delayMs`; the returned function cancels. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** Calls as soon as what is queued now has run: groups writes into one commit. */
  readonly soon: (run: () => void) => void;
};

export type Random = { readonly bytes: (count: number) => Uint8Array };

export type Crypto = {
  readonly sha256Hex: (bytes: Uint8Array | string) => string;
  readonly verifyEd25519: (publicKeyBase64: string, message: Uint8Array, signatureBase64: string) => boolean;
  readonly decodeBase64: (text: string) => Uint8Array | undefined;
  readonly encodeBase64: (bytes: Uint8Array) => string;
  readonly utf8: (text: string) => Uint8Array;
  /** Strict: undefined for anything that is not valid UTF-8. */
  readonly textOf: (bytes: Uint8Array) => string | undefined;
};

/** Log lines: lower case, no final stop, values as fields; never raw input or secrets. */
export type Log = {
  readonly info: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly warn: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly error: (fields: Readonly<Record<string, unknown>>, message: string) => void;
};

// ---- listen -----------------------------------------------------------------------------------------------------

/** One raw record as a source received it. `settle` is called exactly once, after the record's fate is durable (or refused). */
export type RawRecord = {
  readonly bytes: Uint8Array;
  /** Source name for dead letters and metrics, e.g. `webhook`, `mqtt:soc`, `file:eve.json`. */
  readonly source: string;
  /** Format to use, or `auto` to recognise it per record. */
  readonly format: string;
  /** From the recording, when a feed plays on its own clock: freshness is judged against this instead of the agent's clock. */
  readonly feedTimeMs?: number;
  /** Called right before the record is decided about: a feed moves its clock here, so that decisions do not depend on reading ahead. */
  readonly taken?: () => void;
  readonly settle: (fate: RecordFate) => void;
};
export type RecordFate =
  | { readonly kind: "decided"; readonly decisionId: string; readonly verdict: Verdict }
  | { readonly kind: "duplicate" }
  | { readonly kind: "not_detection"; readonly reason: string }
  | { readonly kind: "dead_letter"; readonly refusal: Refusal }
  /** Not taken (journal full, stopping): the source must keep it and offer it again. */
  | { readonly kind: "not_taken"; readonly refusal: Refusal };

export type Source = {
  readonly name: string;
  /** Offers records until stopped. `offer` resolves when the agent has room again: back-pressure, never drop. */
  readonly start: (offer: (record: RawRecord) => Promise<void>) => Promise<void>;
  /** Stops offering; resolves when nothing offered is unsettled by the source's own doing. */
  readonly stop: () => Promise<void>;
};

// ---- store ------------------------------------------------------------------------------------------------------

/** A command as the journal keeps it: enough to undo it after a crash without asking anybody. */
export type CommandRow = {
  readonly command: Command;
  readonly state: CommandState;
  /** When the state was entered, ms. */
  readonly atMs: number;
  /** Deadline of the undo, ms; set when the call is about to be made. */
  readonly undoAtMs?: number;
  /** What the target is at the far end; known before anything is sent where the connector resolves. */
  readonly resolved?: Resolved;
  /** Captured before acting, opaque to everyone but the connector; at most 64 kB. */
  readonly undoData?: string;
  readonly attempts: number;
  /** When the last apply call set out, ms: how long it may still be under way after a crash. */
  readonly calledAtMs?: number;
  readonly undoAttempts: number;
  readonly verified: boolean;
  readonly code?: RefusalCode;
  readonly detail?: string;
  /** Limit groups this command uses, `<policy>|<group>`. */
  readonly limits: readonly string[];
};

/** One row of recent history, enough to rebuild entity history, agreement and limit counters after a restart. */
export type DecidedRow = {
  readonly eventId: string;
  readonly contentHash: string;
  readonly atMs: number;
  readonly ruleKey: string;
  readonly domain: string;
  readonly entityKeys: readonly string[];
  readonly verdict: string;
};

export type JournalWrite =
  | {
      readonly kind: "decided";
      readonly row: DecidedRow;
      readonly sequence: number;
      readonly decisionId: string;
      readonly tokenHash: string;
      readonly tokenJson: string;
    }
  | {
      readonly kind: "dead_letter";
      readonly source: string;
      readonly refusal: Refusal;
      readonly atMs: number;
      readonly raw: Uint8Array;
      readonly bytes: number;
      readonly sha256: string;
    }
  | { readonly kind: "command"; readonly row: CommandRow }
  /** Put in the spool under the next report sequence, which the journal assigns gap-free at commit. */
  | { readonly kind: "report"; readonly reportKind: ReportKind; readonly bodyJson: string }
  | { readonly kind: "acknowledged"; readonly upTo: number }
  | { readonly kind: "mark"; readonly key: string; readonly value: string };

export type Journal = {
  /**
   * Durable when it resolves ok: all of `writes` or none. Calls made before the next turn share one commit (group commit),
   * in call order. Fails with `disk-full` (nothing was written) and stays usable.
   */
  readonly write: (writes: readonly JournalWrite[]) => Promise<Result<void, Refusal>>;
  /** Content hash under which an event id was decided, within the dedupe window; sees writes that are still queued. */
  readonly seen: (eventId: string) => string | undefined;
  readonly lastToken: () => { readonly sequence: number; readonly hash: string } | undefined;
  /** Exact bytes of a stored token, within the retention. */
  readonly tokenJson: (decisionId: string) => string | undefined;
  readonly decidedSince: (sinceMs: number) => readonly DecidedRow[];
  /** Commands not in a terminal state, oldest first. */
  readonly openCommands: () => readonly CommandRow[];
  readonly commandsSince: (sinceMs: number) => readonly CommandRow[];
  readonly mark: (key: string) => string | undefined;
  /** Up to `recordsMax` consecutive reports from `sequence`, within `bytesMax`. */
  readonly reports: (
    fromSequence: number,
    recordsMax: number,
    bytesMax: number,
  ) => readonly { readonly sequence: number; readonly kind: ReportRecord["kind"]; readonly bodyJson: string }[];
  readonly spool: () => { readonly first: number; readonly last: number; readonly bytes: number };
  readonly counts: () => {
    readonly decided: number;
    readonly deadLetters: number;
    readonly commandsByState: Readonly<Partial<Record<CommandState, number>>>;
  };
  readonly deadLetters: (limit: number) => readonly {
    readonly id: number;
    readonly source: string;
    readonly code: RefusalCode;
    readonly detail: string;
    readonly atMs: number;
    readonly bytes: number;
    readonly raw: Uint8Array;
  }[];
  /** Waits for queued writes, then closes. */
  readonly close: () => Promise<void>;
};

// ---- act --------------------------------------------------------------------------------------------------------

/** The brakes as the executor asks them right before each call; undefined = go. Cheapest first. */
export type Brakes = { readonly check: (command: Command, resolved?: Resolved) => RefusalCode | undefined };
