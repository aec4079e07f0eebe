import { createFakePanOs, fakePanOsKey } from "../fakes/pan-os.ts";
import { illegalAddresses } from "../illegal-targets.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

export const subjects: readonly Subject[] = [
  subjectOfPack({
    pack: "pan-os",
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "2001:db8::9" },
    illegalTargets: illegalAddresses,
    fake: createFakePanOs,
    secrets: { api_key: fakePanOsKey },
  }),
];
