import { type CallSubject, type Guarantee, nothingAtEnd } from "../happening.ts";

/** Once the disk has room, what waited for it is written within this. */
const writtenWithinMs = 5_000;

/**
 * One command, one effect: an idempotency key changes the far end once. Again only if something else took its effect away
 * before its time, never once an undo of its own was carried out. (A call that was given up on and has its first effect after
 * an undo is no second one; the agent owes one more undo, and that is looked at elsewhere.)
 *
 * One exception, and what it costs is known: an early undo made on a full disk, which no record could precede, may be forgotten
 * by a kill -9 before there is room. The lease then looks alive until its deadline.
 */
export const neverActTwice = (): Guarantee => {
  const inForce = new Map<string, string>();
  const undone = new Set<string>();
  let unrecorded = new Set<string>();
  let isDiskFull = false;
  let roomSinceMs = Number.NEGATIVE_INFINITY;
  const hadEffect = new Set<string>();
  const placeOf = ({ connector, action, target }: CallSubject): string => `${connector}|${action}|${target}`;
  return {
    name: "never act twice",
    note: (happening, atMs) => {
      switch (happening.kind) {
        case "effect": {
          const place = placeOf(happening);
          const holder = inForce.get(place);
          inForce.set(place, happening.key);
          if (holder !== undefined) return `${place} came into force a second time`;
          const isSecond = hadEffect.has(happening.key);
          hadEffect.add(happening.key);
          if (isSecond && undone.has(happening.key)) return `${place} came into force again after its own undo`;
          return undefined;
        }
        case "undo_executed":
          undone.add(happening.key);
          if (isDiskFull) unrecorded.add(happening.key);
          return undefined;
        case "disk_full":
          isDiskFull = happening.isFull;
          if (!isDiskFull) roomSinceMs = atMs;
          return undefined;
        case "crashed":
          if (isDiskFull || atMs - roomSinceMs < writtenWithinMs) for (const key of unrecorded) undone.delete(key);
          unrecorded = new Set();
          return undefined;
        case "removed":
          inForce.delete(placeOf(happening));
          return undefined;
        default:
          return undefined;
      }
    },
    atEnd: nothingAtEnd,
  };
};
