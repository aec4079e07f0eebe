import type { Token } from "@reflex/protocol/token";
import type { Truth } from "../chaos.ts";
import type { Guarantee } from "../happening.ts";

/** What decides is, bit for bit, what the release keys signed for this site. */
export const verifiedPolicyOnly = (truth: Pick<Truth, "releases">): Guarantee => ({
  name: "nothing acts on unverified policy",
  note: (happening) => {
    if (happening.kind !== "policy_active") return undefined;
    const release = truth.releases.get(happening.hash);
    if (release === undefined) return `version ${happening.version} decides, and nobody released it`;
    return release.version === happening.version
      ? undefined
      : `version ${release.version} calls itself ${happening.version}`;
  },
  atEnd: ({ stored }) =>
    stored.flatMap(({ kind, bodyJson }) => {
      if (kind !== "token") return [];
      const { bundle, sequence } = (JSON.parse(bodyJson) as Token).header;
      return truth.releases.has(bundle.hash) ? [] : [`token ${sequence} names a bundle that nobody released`];
    }),
});
