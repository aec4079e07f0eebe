import { type KillState, killScopeKey, strongerKillState } from "@reflex/protocol/kill";
import { type Guarantee, nothingAtEnd } from "../happening.ts";

/** A kill that was heard and could be written for so long is on the disk. */
const durableAfterMs = 10_000;

type Heard = { readonly state: KillState; readonly atMs: number };

/** From the moment a kill is heard, by whatever way, until its release is: no call that acts begins, also after a restart. */
export const killedMeansKilled = (): Guarantee => {
  let heard: Heard[] = [];
  let diskTroubleMs = 0;
  let diedMs = 0;
  let isLocal = false;

  const engaged = (): KillState | undefined => {
    const strongest = new Map<string, KillState>();
    for (const { state } of heard) {
      const scope = killScopeKey(state.aud);
      const known = strongest.get(scope);
      strongest.set(scope, known === undefined ? state : strongerKillState(known, state));
    }
    return [...strongest.values()].find(({ state }) => state === "engaged");
  };

  return {
    name: "killed means killed",
    note: (happening, atMs) => {
      switch (happening.kind) {
        case "kill_heard":
          heard.push({ state: happening.state, atMs });
          return undefined;
        case "local_kill":
          isLocal = happening.isPresent;
          return undefined;
        case "trouble":
          if (happening.with === "disk") diskTroubleMs = atMs;
          return undefined;
        case "crashed":
        case "stopped":
          diedMs = atMs;
          return undefined;
        case "booted": {
          const durable = heard.filter((one) => Math.max(one.atMs, diskTroubleMs) + durableAfterMs <= diedMs);
          heard = [...durable, ...happening.storedKills.map((state) => ({ state, atMs: 0 }))];
          return undefined;
        }
        case "apply_started": {
          if (isLocal) return `${happening.action} ${happening.target} while the file KILL is there`;
          const by = engaged();
          if (by === undefined) return undefined;
          return `${happening.action} ${happening.target} under the kill of ${killScopeKey(by.aud)}, epoch ${by.epoch}`;
        }
        default:
          return undefined;
      }
    },
    atEnd: nothingAtEnd,
  };
};
