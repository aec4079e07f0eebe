import { createFakeWazuh5, wazuh5Account, wazuh5Hosts } from "../fakes/wazuh-5.ts";
import { illegalHosts } from "../illegal-names.ts";
import { illegalAddresses } from "../illegal-targets.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

const site = {
  pack: "wazuh-5",
  settings: {
    user: wazuh5Account.user,
    event_index: wazuh5Account.eventIndex,
    gateway_agent: wazuh5Hosts.gateway.id,
  },
  secrets: { password: wazuh5Account.password },
  fake: () => createFakeWazuh5(),
} as const;

export const subjects: readonly Subject[] = [
  subjectOfPack({
    ...site,
    action: "isolate_host",
    target: { type: "host", value: wazuh5Hosts.free.name },
    otherTarget: { type: "host", value: wazuh5Hosts.other.name },
    illegalTargets: illegalHosts(wazuh5Hosts.free.name, wazuh5Hosts.twice.name),
  }),
  subjectOfPack({
    ...site,
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "2001:db8::9" },
    illegalTargets: illegalAddresses,
  }),
];
