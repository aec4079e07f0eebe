import { createFakeEc2, fakeEc2Region, fakeInstances, fakePrefixList, fakeQuarantineGroup } from "../fakes/aws-ec2.ts";
import { fakeAwsAccessKey, fakeAwsSecretKey } from "../fakes/aws-signature.ts";
import { illegalAddresses, illegalNetworks } from "../illegal-targets.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

const base = {
  pack: "aws-ec2",
  fake: createFakeEc2,
  settings: { region: fakeEc2Region, prefix_list: fakePrefixList, quarantine_group: fakeQuarantineGroup },
  // Temporary credentials, as an instance role gives them.
  secrets: {
    access_key: fakeAwsAccessKey,
    secret_key: fakeAwsSecretKey,
    session_token: "FwoGZXIvYXdzEBYaDEXAMPLETOKEN",
  },
} as const;

export const subjects: readonly Subject[] = [
  subjectOfPack({
    ...base,
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "203.0.113.10" },
    illegalTargets: [...illegalAddresses, { type: "address", value: "2001:db8::9" }],
  }),
  subjectOfPack({
    ...base,
    action: "block_range",
    target: { type: "network", value: "203.0.113.0/24" },
    otherTarget: { type: "network", value: "198.51.100.0/25" },
    illegalTargets: [...illegalNetworks, { type: "network", value: "2001:db8::/32" }],
  }),
  subjectOfPack({
    ...base,
    action: "isolate_host",
    target: { type: "host", value: "web-1" },
    otherTarget: { type: "host", value: "web-2" },
    sameId: fakeInstances[0].id,
    // Two machines are called batch; in a filter * and ? stand for anything.
    illegalTargets: ["batch", "nobody", "web-?", "*", "web-1\nweb-2"].map((value) => ({ type: "host", value })),
  }),
];
