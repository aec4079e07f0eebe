import { createFakeIam, fakeIamUsers } from "../fakes/aws-iam.ts";
import { fakeAwsAccessKey, fakeAwsSecretKey } from "../fakes/aws-signature.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

const base = {
  pack: "aws-iam",
  fake: createFakeIam,
  secrets: { access_key: fakeAwsAccessKey, secret_key: fakeAwsSecretKey },
} as const;
const [alice, bob] = fakeIamUsers;

export const subjects: readonly Subject[] = [
  subjectOfPack({
    ...base,
    action: "disable_key",
    target: { type: "key", value: alice.keys[0] },
    otherTarget: { type: "key", value: alice.keys[1] },
    illegalTargets: ["AKIANOBODY0000000001", "ASIATEMPORARY0000001", "AKIA&UserName=bob", ""].map((value) => ({
      type: "key",
      value,
    })),
  }),
  subjectOfPack({
    ...base,
    action: "disable_user",
    target: { type: "user", value: alice.name },
    otherTarget: { type: "user", value: bob.name },
    illegalTargets: ["nobody", "alice&UserName=bob", "a/b", "al*"].map((value) => ({ type: "user", value })),
  }),
];
