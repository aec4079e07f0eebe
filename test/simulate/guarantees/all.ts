import type { Truth } from "../chaos.ts";
import type { Guarantee } from "../happening.ts";
import { acknowledgedIsStored } from "./acknowledged-is-stored.ts";
import { denyByDefault } from "./deny-by-default.ts";
import { everyLeaseEnds } from "./every-lease-ends.ts";
import { killedMeansKilled } from "./killed-means-killed.ts";
import { lapsedLeaseActsNot } from "./lapsed-lease-acts-not.ts";
import { neverActTwice } from "./never-act-twice.ts";
import { neverComesBack } from "./never-comes-back.ts";
import { neverLoseADetection } from "./never-lose-a-detection.ts";
import { neverTouch } from "./never-touch.ts";
import { replayEqualsToken } from "./replay-equals-token.ts";
import { theCapHolds } from "./the-cap-holds.ts";
import { verifiedPolicyOnly } from "./verified-policy-only.ts";

/** The promises of the design that a simulation can break, each with its own eyes. */
export const createGuarantees = (truth: Truth): readonly Guarantee[] => [
  neverActTwice(),
  neverLoseADetection(),
  everyLeaseEnds(),
  killedMeansKilled(),
  lapsedLeaseActsNot(),
  replayEqualsToken(),
  neverComesBack(),
  neverTouch(truth),
  theCapHolds(),
  acknowledgedIsStored(),
  denyByDefault(),
  verifiedPolicyOnly(truth),
];
