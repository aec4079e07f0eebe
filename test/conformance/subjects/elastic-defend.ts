import { createFakeElasticDefend, elasticAccount, elasticHosts } from "../fakes/elastic-defend.ts";
import { illegalHosts } from "../illegal-names.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

export const subjects: readonly Subject[] = [
  subjectOfPack({
    pack: "elastic-defend",
    action: "isolate_host",
    target: { type: "host", value: elasticHosts.free.name },
    otherTarget: { type: "host", value: elasticHosts.other.name },
    illegalTargets: illegalHosts(elasticHosts.free.name, elasticHosts.twice.name),
    settings: {},
    secrets: { api_key: elasticAccount.apiKey },
    fake: () => createFakeElasticDefend(),
    addSame: (fake) => fake.hold(elasticHosts.free.id),
  }),
];
