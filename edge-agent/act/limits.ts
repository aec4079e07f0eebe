import type { BackoffBounds } from "./backoff.ts";

export type ExecutorLimits = {
  /** No answer within this is unknown, not failed. */
  readonly callTimeoutMs: number;
  /** How long a call that was given up on is thought able to have its effect yet; sockets and proxies give up sooner. */
  readonly lateCallMs: number;
  /** While a late call may still come, the undo is repeated this often: the longest such a call can stay in force. */
  readonly lateUndoMs: number;
  /** Calls under way at one connector that does not say how many it takes; more would queue inside the target. */
  readonly callsPerConnectorMax: number;
  /** Calls in a row without an answer after which a connector is left alone for a while. */
  readonly circuitFailuresMax: number;
  readonly circuitPause: { readonly firstMs: number; readonly mostMs: number };
  /** Apply calls for one command, the first one included. */
  readonly attemptsMax: number;
  readonly applyBackoff: BackoffBounds;
  /** Verify answers "absent" that must agree, over at least eight seconds, before a call is given up: reads at the far end can be stale. */
  readonly absentReadsMin: number;
  /** Verify calls without an answer after which a person is told; verifying goes on, slower. */
  readonly verifyTriesBeforeAlarm: number;
  readonly verifyBackoff: BackoffBounds;
  /** Undo calls before the command is stuck and a person is called. About ten minutes with the delays below. */
  readonly undoAttemptsMax: number;
  readonly undoBackoff: BackoffBounds;
  /** A stuck undo is still tried, seldom and without a word, until it works or is marked. */
  readonly stuckRetryMs: number;
  /** After a failed commit. */
  readonly diskRetryMs: number;
  /** Tries to write down an early undo before it is made all the same: a full disk may last, and somebody is cut off by mistake. */
  readonly earlyUndoDiskTriesMax: number;
  /** A plan found at start that is older is withdrawn: what was right to do a quarter of an hour ago may be wrong now. */
  readonly plannedAgeMaxMs: number;
};

export const executorLimits: ExecutorLimits = {
  callTimeoutMs: 5_000,
  lateCallMs: 30_000,
  lateUndoMs: 5_000,
  callsPerConnectorMax: 16,
  circuitFailuresMax: 8,
  circuitPause: { firstMs: 5_000, mostMs: 120_000 },
  attemptsMax: 5,
  applyBackoff: { firstMs: 250, mostMs: 15_000 },
  absentReadsMin: 6,
  verifyTriesBeforeAlarm: 5,
  verifyBackoff: { firstMs: 500, mostMs: 60_000 },
  undoAttemptsMax: 15,
  undoBackoff: { firstMs: 500, mostMs: 120_000 },
  stuckRetryMs: 5 * 60_000,
  diskRetryMs: 1_000,
  earlyUndoDiskTriesMax: 5,
  plannedAgeMaxMs: 15 * 60_000,
};
