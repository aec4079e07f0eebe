import { createFakeFortigate, fakeFortigateToken } from "../fakes/fortigate.ts";
import { illegalAddresses } from "../illegal-targets.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

export const subjects: readonly Subject[] = [
  subjectOfPack({
    pack: "fortigate",
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "2001:db8::9" },
    illegalTargets: illegalAddresses,
    fake: createFakeFortigate,
    secrets: { api_token: fakeFortigateToken },
  }),
];
