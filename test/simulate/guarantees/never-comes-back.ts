import type { Token } from "@reflex/protocol/token";
import type { Guarantee } from "../happening.ts";

/** The version that decides only grows, through restarts, replays and a controller that offers old ones. */
export const neverComesBack = (): Guarantee => {
  let highest = 0;
  return {
    name: "a released version never comes back",
    note: (happening) => {
      if (happening.kind !== "policy_active") return undefined;
      const before = highest;
      highest = Math.max(highest, happening.version);
      return happening.version < before ? `version ${happening.version} decides after version ${before}` : undefined;
    },
    atEnd: ({ stored }) => {
      let decided = 0;
      return stored.flatMap(({ kind, bodyJson }) => {
        if (kind !== "token") return [];
        const { version } = (JSON.parse(bodyJson) as Token).header.bundle;
        const before = decided;
        decided = Math.max(decided, version);
        return version < before ? [`a decision under version ${version} follows one under ${before}`] : [];
      });
    },
  };
};
