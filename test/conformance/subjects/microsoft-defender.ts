import { createFakeDefender, defenderAccount, defenderHosts } from "../fakes/microsoft-defender.ts";
import { illegalHosts } from "../illegal-names.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

export const subjects: readonly Subject[] = [
  subjectOfPack({
    pack: "microsoft-defender",
    action: "isolate_host",
    target: { type: "host", value: defenderHosts.free.name },
    otherTarget: { type: "host", value: "WS-032.corp.example" },
    illegalTargets: illegalHosts(defenderHosts.free.name, defenderHosts.twice.name),
    settings: ({ url }) => ({ tenant: defenderAccount.tenant, client_id: defenderAccount.clientId, login_url: url }),
    secrets: { client_secret: defenderAccount.clientSecret },
    fake: () => createFakeDefender(),
    addSame: (fake) => fake.hold(defenderHosts.free.id),
  }),
];
