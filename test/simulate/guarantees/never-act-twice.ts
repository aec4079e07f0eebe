import { type CallSubject, type Guarantee, nothingAtEnd } from "../happening.ts";

/**
 * One command, one effect: an idempotency key changes the far end once. Again only if something else took its effect away
 * before its time, never once an undo of its own was carried out. (A call that was given up on and has its first effect after
 * an undo is no second one; the agent owes one more undo, and that is looked at elsewhere.)
 */
export const neverActTwice = (): Guarantee => {
  const inForce = new Map<string, string>();
  const undone = new Set<string>();
  const hadEffect = new Set<string>();
  const placeOf = ({ connector, action, target }: CallSubject): string => `${connector}|${action}|${target}`;
  return {
    name: "never act twice",
    note: (happening) => {
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
