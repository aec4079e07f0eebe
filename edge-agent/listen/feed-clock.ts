import { futureSkewSecondsMax, timestampMsMin } from "@reflex/protocol/limits";
import type { Clock } from "../ports.ts";

export type FeedClock = Clock & {
  /** Moves to an event's time if that is later; never back, and never for a time no sensor can have meant. */
  readonly advance: (eventTimeMs: number) => void;
  /** The recording is over: time goes on at the wall's pace, so that leases taken in it still end. */
  readonly runOn: () => void;
};

/** Time as the recordings tell it: the latest event time so far. Before the first, the earliest time any event may have. */
export const createFeedClock = (wall: Clock): FeedClock => {
  let nowMs = timestampMsMin;
  let overSinceWallMs: number | undefined;
  return {
    nowMs: () => nowMs + (overSinceWallMs === undefined ? 0 : wall.nowMs() - overSinceWallMs),
    runOn: () => {
      overSinceWallMs ??= wall.nowMs();
    },
    advance: (eventTimeMs) => {
      if (isSaneTime(eventTimeMs, wall)) nowMs = Math.max(nowMs, eventTimeMs);
    },
  };
};

/** One absurd timestamp must not make every later record stale. */
export const isSaneTime = (timeMs: number, wall: Clock): boolean =>
  timeMs >= timestampMsMin && timeMs <= wall.nowMs() + futureSkewSecondsMax * 1_000;
