import { createFakeSentinelOne, sentinelOneAccount, sentinelOneHosts } from "../fakes/sentinelone.ts";
import { illegalHosts } from "../illegal-names.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

export const subjects: readonly Subject[] = [
  subjectOfPack({
    pack: "sentinelone",
    action: "isolate_host",
    target: { type: "host", value: sentinelOneHosts.free.name },
    otherTarget: { type: "host", value: sentinelOneHosts.replaced.name },
    illegalTargets: illegalHosts(sentinelOneHosts.free.name, sentinelOneHosts.twice.name),
    settings: {},
    secrets: { api_token: sentinelOneAccount.apiToken },
    fake: () => createFakeSentinelOne(),
    addSame: (fake) => fake.hold(sentinelOneHosts.free.id),
  }),
];
