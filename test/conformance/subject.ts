import type { Connector } from "@reflex/edge-agent/connectors/contract";
import type { ActionName } from "@reflex/protocol/action";
import type { Entity } from "@reflex/protocol/entity";
import type { FakeChange } from "./fake.ts";

/**
 * One action of one connector, put in front of a real target or a faithful fake. A file in `subjects/` exports
 * `const subjects: readonly Subject[]`; the kit finds it and puts it through every case. `subject-of-fake.ts` makes one from a
 * fake in a few lines (`subjects/toy.ts` is the worked example), `subjects/edl.ts` shows one with a target of its own.
 */
export type Subject = {
  /** Connector and target, e.g. `fortigate`, `openldap (slapd)`; with `action` the row of the table. */
  readonly name: string;
  readonly action: ActionName;
  /** Both can be acted on, and neither is acted on when the subject is opened. */
  readonly target: Entity;
  readonly otherTarget: Entity;
  /** Must be refused without touching anything: no such thing there, several of them, words meant for another program. */
  readonly illegalTargets: readonly Entity[];
  /**
   * Opened anew for each case, with nothing of ours in force. A string is why it cannot be opened on this machine, with what to
   * install: `slapd is not installed: apt-get install slapd`.
   */
  readonly open: (options: OpenOptions) => Promise<Opened | string>;
  /** Why a case says nothing about this target. Cases that its description rules out by itself need no reason. */
  readonly notApplicable?: Readonly<Partial<Record<CaseName, string>>>;
};

export type OpenOptions = {
  /** Give it to the connector as the time limit of one call, if it takes one: the kit makes targets that never answer. */
  readonly callTimeoutMs: number;
};

export type Opened = {
  /** A fresh connector, started, as after a restart of the agent. The kit stops the one before it first. */
  readonly connector: () => Promise<Connector>;
  /** What is in force at the far end, read there and not through the connector: `<action> <id>`, in any order. */
  readonly present: () => Promise<readonly string[]>;
  /** Real changes of what is in force, in order, counted at the far end. Left out where it does not count. */
  readonly changes?: () => Promise<readonly FakeChange[]>;
  readonly faults?: FaultControl;
  /** Somebody else puts an entry in force beside ours; returns it as `present` says it. */
  readonly addForeign?: () => Promise<string>;
  /** Somebody else has already put in force exactly what we are about to do to `target`. */
  readonly addSame?: () => Promise<void>;
  /** Passwords, keys and tokens in use; they may be found in no file, log line or answer of the connector. */
  readonly secrets?: () => readonly string[];
  /** What the far end was asked and answered, newest last: shown when a case fails. */
  readonly log?: () => readonly string[];
  /** Called once, when no call is under way any more. */
  readonly close: () => Promise<void>;
};

/** What can go wrong between connector and target. `fake-server.ts` can do all of these. */
export const faultNames = [
  /** Carried out, never answered. Befalls calls that change something. */
  "timeout after success",
  /** Carried out, the connection breaks in the middle of the answer. Befalls calls that change something. */
  "partial answer",
  /** Turned away with Retry-After (`retryAfterSeconds`), not carried out. */
  "429",
  /** 500 and 503 in turn, not carried out. */
  "5xx before handling",
  /** 500 and 502 in turn, carried out all the same. Befalls calls that change something. */
  "5xx after handling",
  "reset before handling",
  "reset after handling",
  /** After the next change, reads that were made before it are answered as they were then. */
  "stale read",
  /** Carried out; the answer drips without an end. */
  "slow body",
  /** The certificate is for another name. */
  "TLS name mismatch",
] as const;
export type FaultName = (typeof faultNames)[number];

export type Fault = {
  readonly name: FaultName;
  /** Calls that go well first. */
  readonly skip?: number;
  /** Calls that it befalls; all until `clear` if left out. */
  readonly times?: number;
};

/** In every `429`. */
export const retryAfterSeconds = 7;

export type FaultControl = {
  readonly can: readonly FaultName[];
  /** One at a time; replaces the one before. */
  readonly set: (fault: Fault) => void;
  /** All is well again; calls that hang are cut off. */
  readonly clear: () => void;
  /** Calls (requests) that have reached the target so far, read ones too. */
  readonly calls: () => number;
  /** Every access token issued so far is refused from now on. Left out where credentials never expire. */
  readonly expireTokens?: () => void;
};

export const caseNames = [
  "apply twice is once",
  "undo twice",
  "undo of nothing",
  "undo restores what was there",
  "what was so before stays so",
  "verify tells the truth",
  "others untouched",
  "many at once",
  "illegal targets refused",
  "lists ours alone",
  "time-out after success",
  "429 waits as asked",
  "partial apply",
  "partial answer",
  "stale read",
  "expired token refreshed",
  "TLS name mismatch refused",
  "slow body bounded",
  "5xx storm",
  "restart between steps",
  "secrets stay secret",
] as const;
export type CaseName = (typeof caseNames)[number];
