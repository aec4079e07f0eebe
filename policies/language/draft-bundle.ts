import type { Bundle } from "@reflex/protocol/bundle";
import { caseToBundleCase } from "../cases/case-detection.ts";
import type { BundleDraft } from "./parse-set.ts";

/** What a publisher adds to a draft. `issuedAt` is RFC 3339 UTC with milliseconds; `parent` the hash of the version before. */
export type Edition = {
  readonly org: string;
  /** `["*"]` for all; never empty. */
  readonly sites: readonly string[];
  readonly version: number;
  readonly parent?: string;
  readonly issuedAt: string;
  readonly changelog: string;
  /** Engine the publisher checked it with. */
  readonly engine: string;
};

/** The same files and edition give the same bundle, whatever order the files were read in. */
export const draftToBundle = (draft: BundleDraft, edition: Edition): Bundle => ({
  v: 1,
  kind: "bundle",
  aud: { org: edition.org, sites: [...edition.sites] },
  version: edition.version,
  ...(edition.parent === undefined ? {} : { parent: edition.parent }),
  issued_at: edition.issuedAt,
  engine: edition.engine,
  changelog: edition.changelog,
  policies: draft.policies.map(({ policy }) => policy),
  cases: draft.policies.flatMap(({ policy, cases }) => cases.map((one) => caseToBundleCase(policy.id, one))),
  lists: draft.lists,
  inventory: draft.inventory,
  never_touch: draft.never_touch,
  routing: draft.routing,
  settings: draft.settings,
});
