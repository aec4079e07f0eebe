import { untouchableTargets } from "../bundles.ts";
import type { Truth } from "../chaos.ts";
import { type Guarantee, nothingAtEnd } from "../happening.ts";

/** No call that acts on what is untouchable under every version, or under the one that decides now. */
export const neverTouch = (truth: Pick<Truth, "releases">): Guarantee => {
  let spared: readonly string[] = [];
  return {
    name: "never touch means never",
    note: (happening) => {
      if (happening.kind === "policy_active") spared = truth.releases.get(happening.hash)?.untouchable ?? [];
      if (happening.kind !== "apply_started") return undefined;
      const isSpared = untouchableTargets.includes(happening.target) || spared.includes(happening.target);
      return isSpared ? `${happening.action} ${happening.target}` : undefined;
    },
    atEnd: nothingAtEnd,
  };
};
