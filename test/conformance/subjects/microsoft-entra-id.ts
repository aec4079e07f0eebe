import { createFakeEntraId, entraAccount, entraUsers } from "../fakes/microsoft-entra-id.ts";
import { illegalUsers } from "../illegal-names.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

export const subjects: readonly Subject[] = [
  subjectOfPack({
    pack: "microsoft-entra-id",
    action: "disable_user",
    target: { type: "user", value: entraUsers.free.name },
    otherTarget: { type: "user", value: "Alex.Wilber@example.com" },
    illegalTargets: illegalUsers(entraUsers.free.name, [entraUsers.twice.name, "adele.vance", "Adele Vance"]),
    settings: ({ url }) => ({ tenant: entraAccount.tenant, client_id: entraAccount.clientId, login_url: url }),
    secrets: { client_secret: entraAccount.clientSecret },
    fake: () => createFakeEntraId(),
    addSame: (fake) => fake.hold(entraUsers.free.id),
  }),
];
