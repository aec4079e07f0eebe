/**
 * The containment circuit: too many actions in a minute pause automation and call a human. It stays open for a pause,
 * long enough for a person to look and engage the kill switch, then closes by itself: an unattended site stays defended.
 */
export const circuitPauseMs = 15 * 60_000;
const windowMs = 60_000;

export type Circuit = {
  /** May one more action be planned? Opens the circuit when the rate is reached. */
  readonly closed: (nowMs: number, actionsPerMinuteMax: number) => boolean;
  readonly noteAction: (atMs: number) => void;
  /** After a restart: until when it is open, and when the last actions were. */
  readonly restore: (openUntilMs: number, actedAtMs: readonly number[]) => void;
  readonly windowMs: number;
};

export const createCircuit = (onOpen: (untilMs: number) => void): Circuit => {
  let recent: number[] = [];
  let openUntilMs = 0;
  return {
    noteAction: (atMs) => {
      recent.push(atMs);
    },
    closed: (nowMs, actionsPerMinuteMax) => {
      if (nowMs < openUntilMs) return false;
      recent = recent.filter((atMs) => atMs > nowMs - windowMs);
      if (recent.length < actionsPerMinuteMax) return true;
      openUntilMs = nowMs + circuitPauseMs;
      recent = [];
      onOpen(openUntilMs);
      return false;
    },
    windowMs,
    restore: (untilMs, actedAtMs) => {
      recent = [...actedAtMs];
      openUntilMs = Math.max(openUntilMs, untilMs);
    },
  };
};
