import type { ActionName } from "@reflex/protocol/action";
import type { Entity, EntityType } from "@reflex/protocol/entity";
import type { Refusal, RefusalCode } from "@reflex/protocol/refusal";
import type { Result } from "@reflex/protocol/result";

/**
 * How an action reaches one system (OpenC2 calls it an actuator). Do and undo are written together, in one folder per connector.
 * The executor owns order, retries, time-outs, limits, the journal and the brakes; a connector only speaks one system's language
 * and says honestly what it knows. Nothing here may throw for what the far end does; whoever throws is taken as `unknown`.
 * `npm run test:connector` proves one against its target: test/conformance/README.md.
 */
export type Connector = {
  readonly name: string;
  readonly describe: () => ConnectorDescription;
  /** Opens what it needs; fails with what a person must do. Must not change anything that is in force. */
  readonly start: () => Promise<Result<void, Refusal>>;
  /**
   * The one thing at the far end that the target stands for. None or several is `target-unresolved`, never "all of them";
   * `unreachable` is tried again. Left out where a target is its own id there (an address in a list).
   */
  readonly resolve?: (call: ConnectorCall) => Promise<Result<Resolved, Refusal>>;
  /** What undo will need, read before acting; `""` where nothing is needed. At most 64 kB. No secrets: it is kept. */
  readonly captureUndo: (call: ConnectorCall) => Promise<Result<string, Refusal>>;
  /** Applying twice with one idempotency key has one effect. */
  readonly apply: (call: ConnectorCall) => Promise<ApplyOutcome>;
  /** Reads; never guesses. `unknown` for whatever is not a clear answer. */
  readonly verify: (call: ConnectorCall) => Promise<VerifyOutcome>;
  /** Restores exactly what was before. Undoing what is not there is success. */
  readonly undo: (call: ConnectorCall) => Promise<UndoOutcome>;
  /** What Reflex put in force there, for the reconciler; nothing anyone else made. Left out where the far end cannot list. */
  readonly listInForce?: () => Promise<Result<readonly InForce[], Refusal>>;
  /** Closes files and sockets. What is in force stays in force. */
  readonly stop: () => Promise<void>;
};

export type ConnectorDescription = {
  /** One line for screens. */
  readonly about: string;
  readonly actions: Readonly<Partial<Record<ActionName, ActionTraits>>>;
  /** What the account at the far end must be allowed to do, for the person who sets it up. */
  readonly needs: readonly string[];
  /** Calls that the far end takes; the executor keeps to it. Absent: only `callsPerConnectorMax` bounds it. */
  readonly rate?: { readonly perSecond: number; readonly burst: number };
  readonly callsAtOnceMax?: number;
};

export type ActionTraits = {
  readonly targets: readonly EntityType[];
  /** The far end ends it by itself when its time is up, whether or not the agent lives. */
  readonly nativeTtl: boolean;
  /** False: at most once, and every screen says so. */
  readonly canVerify: boolean;
  /** False for what cannot be taken back because nothing stays (a notice): its undo does nothing. */
  readonly canUndo: boolean;
};

export type ConnectorCall = {
  readonly commandId: string;
  /** SHA-256 in hex: fits any far end's own idempotency field. */
  readonly idempotencyKey: string;
  readonly decisionId: string;
  readonly action: ActionName;
  readonly target: Entity;
  /** What `resolve` found; absent where there is no `resolve`. */
  readonly resolved?: Resolved;
  /** Seconds left of the lease, for targets that expire entries by themselves. */
  readonly ttlSeconds: number;
  readonly reason: string;
  /** What `captureUndo` gave; absent before it was asked. */
  readonly undoData?: string;
};

export type Resolved = {
  /** Its id at the far end: device id, distinguished name. Two targets with one id share their lease. */
  readonly id: string;
  /** For people. */
  readonly label: string;
  /** What it is called in our words, checked against the never-touch list once more: names, addresses, the user's own name. */
  readonly entities: readonly Entity[];
  /** Groups and roles it belongs to there, checked against the never-touch list as well. */
  readonly groups: readonly string[];
};

export type InForce = {
  readonly action: ActionName;
  /** `resolved.id`, or the target's value where nothing is resolved. */
  readonly id: string;
};

/** The id by which the far end knows the target of a call. */
export const farEndId = ({ resolved, target }: Pick<ConnectorCall, "resolved" | "target">): string =>
  resolved?.id ?? target.value;

export type ApplyOutcome =
  | { readonly kind: "applied"; readonly detail?: string }
  /** Provably nothing was applied and repeating will not help. */
  | { readonly kind: "refused"; readonly code: RefusalCode; readonly detail: string }
  /** Provably nothing was applied; may be tried again after the delay. */
  | { readonly kind: "retry"; readonly detail: string; readonly retryAfterMs?: number }
  /** Time-out, lost connection, half applied: nobody knows. Verified before anything else. */
  | { readonly kind: "unknown"; readonly detail: string };

export type VerifyOutcome = { readonly kind: "present" | "absent" | "unknown"; readonly detail?: string };

export type UndoOutcome =
  | { readonly kind: "undone"; readonly detail?: string }
  | { readonly kind: "retry"; readonly detail: string; readonly retryAfterMs?: number };
