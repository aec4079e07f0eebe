import { createFakeWazuh4, wazuh4Account, wazuh4Hosts } from "../fakes/wazuh-4.ts";
import { illegalHosts } from "../illegal-names.ts";
import { illegalAddresses } from "../illegal-targets.ts";
import type { Subject } from "../subject.ts";
import { subjectOfPack } from "../subject-of-pack.ts";

const site = {
  pack: "wazuh-4",
  settings: { user: wazuh4Account.user, gateway_agent: wazuh4Hosts.gateway.id },
  secrets: { password: wazuh4Account.password },
  fake: () => createFakeWazuh4(),
} as const;

export const subjects: readonly Subject[] = [
  subjectOfPack({
    ...site,
    action: "isolate_host",
    target: { type: "host", value: wazuh4Hosts.free.name },
    otherTarget: { type: "host", value: wazuh4Hosts.other.name },
    illegalTargets: illegalHosts(wazuh4Hosts.free.name, wazuh4Hosts.twice.name),
  }),
  subjectOfPack({
    ...site,
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "2001:db8::9" },
    illegalTargets: illegalAddresses,
  }),
];
