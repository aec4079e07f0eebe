import { createHttpCalls } from "@reflex/edge-agent/adapters/outbound-http";
import { createFakeToy, type ToyFake, toyPassword } from "../fakes/toy.ts";
import { illegalAddresses } from "../illegal-targets.ts";
import type { Subject } from "../subject.ts";
import { subjectOfFake } from "../subject-of-fake.ts";
import { createToyConnector, type ToyFlaw } from "../toy-connector.ts";

/** The worked example: all that a subject with a fake needs. */
export const toySubject = (flaw?: ToyFlaw): Subject => {
  let fake: ToyFake;
  return subjectOfFake({
    name: "toy",
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "203.0.113.10" },
    illegalTargets: [...illegalAddresses, { type: "address", value: "2001:db8::9" }],
    fake: () => {
      fake = createFakeToy();
      return fake;
    },
    addSame: () => fake.add("203.0.113.9", "somebody"),
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

export const subjects: readonly Subject[] = [toySubject()];
