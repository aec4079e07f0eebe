import { futureSkewSecondsMax, timestampMsMin } from "@reflex/protocol/limits";
import type { Clock } from "../ports.ts";

export type FeedClock = Clock & {
  /** Moves to an event's time if that is later; never back, and never for a time no sensor can have meant. */
  readonly advance: (eventTimeMs: number) => void;
};

/** Time as the recordings tell it: the latest event time so far. Before the first, the earliest time any event may have. */
export const createFeedClock = (wall: Clock): FeedClock => {
  let nowMs = timestampMsMin;
  return {
    nowMs: () => nowMs,
    advance: (eventTimeMs) => {
      if (isSaneTime(eventTimeMs, wall)) nowMs = Math.max(nowMs, eventTimeMs);
    },
  };
};

/** One absurd timestamp must not make every later record stale. */
export const isSaneTime = (timeMs: number, wall: Clock): boolean =>
  timeMs >= timestampMsMin && timeMs <= wall.nowMs() + futureSkewSecondsMax * 1_000;
