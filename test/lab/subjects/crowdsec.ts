import { illegalAddresses, illegalNetworks } from "../../conformance/illegal-targets.ts";
import type { Subject } from "../../conformance/subject.ts";
import { crowdSecMissing, startCrowdSec } from "../servers/crowdsec.ts";
import { type RealTarget, subjectOfServer } from "../subject-of-server.ts";

const actionOf = { Ip: "block_ip", Range: "block_range" } as const;

const start = async (scope: "Ip" | "Range", foreign: string): Promise<RealTarget> => {
  const server = await startCrowdSec();
  return {
    baseUrl: server.url,
    settings: { machine_id: server.machine.id },
    secrets: { password: server.machine.password },
    // A second ban of one address is one more decision, and no more is enforced: what is in force is told by address.
    present: async () => [
      ...new Set(
        (await server.decisions()).map(
          (one) =>
            `${actionOf[one.scope as "Ip" | "Range"]} ${one.value}${one.origin === "somebody" ? " by hand" : ""}`,
        ),
      ),
    ],
    addForeign: async () => {
      await server.banByHand(scope, foreign);
      return `${actionOf[scope]} ${foreign} by hand`;
    },
    addSame: () => server.banByHand(scope, scope === "Ip" ? "203.0.113.9" : "203.0.113.0/24"),
    isChange: ({ method, path }) => method !== "GET" && path !== "/v1/watchers/login",
    hasTokens: true,
    close: server.stop,
  };
};

const base = { name: "crowdsec (LAPI)", pack: "crowdsec", missing: crowdSecMissing } as const;

export const subjects: readonly Subject[] = [
  subjectOfServer({
    ...base,
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "2001:db8::9" },
    illegalTargets: illegalAddresses,
    start: () => start("Ip", "192.0.2.77"),
  }),
  subjectOfServer({
    ...base,
    action: "block_range",
    target: { type: "network", value: "203.0.113.0/24" },
    otherTarget: { type: "network", value: "2001:db8::/32" },
    illegalTargets: illegalNetworks,
    start: () => start("Range", "192.0.2.0/25"),
  }),
];
