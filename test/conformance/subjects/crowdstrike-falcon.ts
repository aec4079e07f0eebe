import { createFakeFalcon, falconAccount, falconHosts } from "../fakes/crowdstrike-falcon.ts";
import { illegalHosts } from "../illegal-names.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

export const subjects: readonly Subject[] = [
  subjectOfPack({
    pack: "crowdstrike-falcon",
    action: "isolate_host",
    target: { type: "host", value: falconHosts.free.name },
    otherTarget: { type: "host", value: falconHosts.other.name.toLowerCase() },
    illegalTargets: illegalHosts(falconHosts.free.name, falconHosts.twice.name),
    settings: { client_id: falconAccount.clientId },
    secrets: { client_secret: falconAccount.clientSecret },
    fake: () => createFakeFalcon(),
    addSame: (fake) => fake.hold(falconHosts.free.id),
  }),
];
