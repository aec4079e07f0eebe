import { createFakeKeycloak, keycloakAccount, keycloakUsers } from "../fakes/keycloak.ts";
import { illegalUsers } from "../illegal-names.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

export const subjects: readonly Subject[] = [
  subjectOfPack({
    pack: "keycloak",
    action: "disable_user",
    target: { type: "user", value: keycloakUsers.free.name },
    otherTarget: { type: "user", value: keycloakUsers.other.name },
    illegalTargets: illegalUsers(keycloakUsers.free.name, [keycloakUsers.part.name, "jdoe@example.com"]),
    settings: {
      realm: keycloakAccount.realm,
      token_realm: keycloakAccount.realm,
      client_id: keycloakAccount.clientId,
    },
    secrets: { client_secret: keycloakAccount.clientSecret },
    fake: () => createFakeKeycloak(),
    addSame: (fake) => fake.hold(keycloakUsers.free.id),
  }),
];
