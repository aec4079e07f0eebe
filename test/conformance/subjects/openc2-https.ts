import { nodeTimers } from "@reflex/edge-agent/adapters/node-timers";
import { createHttpCalls } from "@reflex/edge-agent/adapters/outbound-http";
import { createSecrets } from "@reflex/edge-agent/adapters/secrets";
import type { Connector } from "@reflex/edge-agent/connectors/contract";
import type { Profiles } from "@reflex/edge-agent/connectors/openc2/command-of";
import { createHttpsTransfer } from "@reflex/edge-agent/connectors/openc2/https-transfer";
import { createOpenC2 } from "@reflex/edge-agent/connectors/openc2/openc2";
import type { ActionName } from "@reflex/protocol/action";
import type { Entity } from "@reflex/protocol/entity";
import { createFakeOpenC2, type OpenC2Fake, openC2Token } from "../fakes/openc2.ts";
import { illegalAddresses, illegalDomains, illegalNetworks } from "../illegal-targets.ts";
import type { Subject } from "../subject.ts";
import { subjectOfFake } from "../subject-of-fake.ts";

/** What every OpenC2 subject is put through, whichever way its messages go. */
export const openC2Profiles: Profiles = {
  filter: { profile: "pf" },
  endpoint: { deviceGroups: ["workstations"] },
};

export type OpenC2Row = {
  readonly action: ActionName;
  readonly target: Entity;
  readonly otherTarget: Entity;
  readonly illegalTargets: readonly Entity[];
  /** As another producer would write it, for `what was so before stays so`. */
  readonly sameRule?: Readonly<Record<string, string>>;
  readonly notApplicable: NonNullable<Subject["notApplicable"]>;
};

const lists = "OpenC2 has no command that lists rules";
const endpoints = {
  "lists ours alone": lists,
  "what was so before stays so": "the profile for endpoints has no query: nobody can know what was so before",
  "others untouched": "a consumer for endpoints keeps no list that others write to",
} as const;
const file = (digit: string): Entity => ({ type: "file", value: digit.repeat(64) });

export const openC2Rows: readonly OpenC2Row[] = [
  {
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "2001:db8::9" },
    illegalTargets: illegalAddresses,
    sameRule: { ipv4_net: "203.0.113.9/32" },
    notApplicable: { "lists ours alone": lists },
  },
  {
    action: "block_range",
    target: { type: "network", value: "203.0.113.0/24" },
    otherTarget: { type: "network", value: "198.51.100.0/24" },
    illegalTargets: illegalNetworks,
    sameRule: { ipv4_net: "203.0.113.0/24" },
    notApplicable: { "lists ours alone": lists },
  },
  {
    action: "block_domain",
    target: { type: "domain", value: "bad.example" },
    otherTarget: { type: "domain", value: "worse.example" },
    illegalTargets: illegalDomains,
    sameRule: { domain_name: "bad.example" },
    notApplicable: { "lists ours alone": lists },
  },
  {
    action: "isolate_host",
    target: { type: "host", value: "web01.corp.example" },
    otherTarget: { type: "host", value: "web02" },
    illegalTargets: [
      { type: "address", value: "203.0.113.9" },
      { type: "host", value: '","device_id":"*' },
      { type: "host", value: "web01 web02" },
      { type: "host", value: "*" },
      { type: "host", value: `${"a".repeat(64)}.example` },
    ],
    notApplicable: endpoints,
  },
  {
    action: "quarantine_file",
    target: file("a"),
    otherTarget: file("b"),
    illegalTargets: [
      { type: "file", value: "not-a-hash" },
      { type: "file", value: "a".repeat(63) },
      { type: "host", value: "a".repeat(64) },
    ],
    notApplicable: endpoints,
  },
];

/** Its start waits a second at most, and a busy machine may need more; one whose consumer is away is not waited for long. */
export const untilItKnowsItsConsumer = async (connector: Connector): Promise<void> => {
  for (let tries = 0; tries < 100 && connector.describe().actions.block_ip?.canVerify !== true; tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 20));
};

/** As `start` of any connector, and then as above. */
const startedKnowing = (connector: Connector): Connector => ({
  ...connector,
  start: async () => {
    const started = await connector.start();
    await untilItKnowsItsConsumer(connector);
    return started;
  },
});

const secrets = createSecrets({ OPENC2_TOKEN: openC2Token });

export const subjects: readonly Subject[] = openC2Rows.map(({ sameRule, ...row }) =>
  subjectOfFake({
    ...row,
    name: "openc2 (https)",
    fake: () => createFakeOpenC2(),
    ...(sameRule === undefined ? {} : { addSame: (fake) => (fake as OpenC2Fake).consumer.addRule(sameRule) }),
    connector: ({ url, caPem, callTimeoutMs }) =>
      startedKnowing(
        createOpenC2({
          name: "openc2",
          profiles: openC2Profiles,
          producer: "reflex-test",
          place: url,
          timers: nodeTimers,
          transfer: createHttpsTransfer(
            { baseUrl: url, producer: "reflex-test", bearer: "env:OPENC2_TOKEN", callTimeoutMs },
            { http: createHttpCalls({ ca: caPem }), secrets, clock: { nowMs: Date.now } },
          ),
        }),
      ),
  }),
);
