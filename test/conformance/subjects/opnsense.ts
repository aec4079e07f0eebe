import { createFakeOpnsense, fakeOpnsenseKey, fakeOpnsenseSecret } from "../fakes/opnsense.ts";
import { illegalAddresses, illegalNetworks } from "../illegal-targets.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

const base = {
  pack: "opnsense",
  fake: createFakeOpnsense,
  secrets: { key: fakeOpnsenseKey, secret: fakeOpnsenseSecret },
  notApplicable: {
    "lists ours alone":
      "entries of an alias have no owner: the alias is Reflex's alone, and what else is in it is reported",
  },
} as const;

export const subjects: readonly Subject[] = [
  subjectOfPack({
    ...base,
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "2001:db8::9" },
    illegalTargets: illegalAddresses,
  }),
  subjectOfPack({
    ...base,
    action: "block_range",
    target: { type: "network", value: "203.0.113.0/24" },
    otherTarget: { type: "network", value: "2001:db8::/32" },
    illegalTargets: illegalNetworks,
  }),
];
