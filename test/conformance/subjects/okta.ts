import { createFakeOkta, oktaAccount, oktaUsers } from "../fakes/okta.ts";
import { illegalUsers } from "../illegal-names.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

export const subjects: readonly Subject[] = [
  subjectOfPack({
    pack: "okta",
    action: "suspend_account",
    target: { type: "user", value: oktaUsers.free.name },
    otherTarget: { type: "user", value: oktaUsers.other.name },
    illegalTargets: illegalUsers(oktaUsers.free.name, [oktaUsers.twice.name, oktaUsers.locked.name, "isaac.brock"]),
    settings: {},
    secrets: { api_token: oktaAccount.apiToken },
    fake: () => createFakeOkta(),
    addSame: (fake) => fake.hold(oktaUsers.free.id),
  }),
];
