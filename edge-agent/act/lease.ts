import type { CommandRow } from "../ports.ts";

/**
 * When the undo is due, ms. A lease never lasts longer than its ttl counted from `seenMs` (when this process first
 * saw it): a clock that was set back while the agent was down must not make it longer.
 */
export const deadlineMs = (row: CommandRow, seenMs: number): number =>
  Math.min(row.undoAtMs ?? Number.POSITIVE_INFINITY, seenMs + row.command.ttl * 1_000);

/** Whole seconds left, rounded up so that a far end that expires by itself never lets go before our undo. */
export const secondsLeft = (untilMs: number, nowMs: number): number =>
  Math.max(0, Math.ceil((untilMs - nowMs) / 1_000));

/** Less than this is not worth another call: it would be undone at once. */
export const resendSecondsMin = 1;

/** States in which a command keeps its target enforced, so that another lease on it can end without touching the far end. */
const holding: ReadonlySet<CommandRow["state"]> = new Set(["confirmed", "in_force", "pending_verification"]);
export const isHolding = (row: CommandRow): boolean => holding.has(row.state);
