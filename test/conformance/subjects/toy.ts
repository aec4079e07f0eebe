import { join } from "node:path";
import { createHttpCalls } from "@reflex/edge-agent/adapters/outbound-http";
import { createFakeToy, type ToyFake, toyPassword } from "../fakes/toy.ts";
import { illegalAddresses } from "../illegal-targets.ts";
import type { Subject } from "../subject.ts";
import { subjectOfFake } from "../subject-of-fake.ts";
import { subjectOfPack } from "../subject-of-pack.ts";
import { createToyConnector, type ToyFlaw } from "../toy-connector.ts";

const targets = {
  action: "block_ip",
  target: { type: "address", value: "203.0.113.9" },
  otherTarget: { type: "address", value: "203.0.113.10" },
  illegalTargets: [...illegalAddresses, { type: "address", value: "2001:db8::9" }],
} as const;

/** By code: all that a subject with a fake needs. `flaw` is for the test of the kit itself. */
export const toySubject = (flaw?: ToyFlaw): Subject => {
  let fake: ToyFake;
  return subjectOfFake({
    ...targets,
    name: "toy (code)",
    fake: () => {
      fake = createFakeToy();
      return fake;
    },
    addSame: () => fake.add(targets.target.value, "somebody"),
    connector: ({ url, caPem, callTimeoutMs }) =>
      createToyConnector({
        url,
        http: createHttpCalls({ ca: caPem }),
        password: toyPassword,
        callTimeoutMs,
        ...(flaw === undefined ? {} : { flaw }),
      }),
  });
};

export const subjects: readonly Subject[] = [
  // By manifest: the same, without code.
  subjectOfPack<ToyFake>({
    ...targets,
    name: "toy (manifest)",
    pack: join(import.meta.dirname, "../toy.yaml"),
    secrets: { password: toyPassword },
    fake: createFakeToy,
    addSame: (fake) => fake.add(targets.target.value, "somebody"),
  }),
  toySubject(),
];
