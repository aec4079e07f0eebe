import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEdl } from "@reflex/edge-agent/connectors/edl";
import type { ActionName } from "@reflex/protocol/action";
import { illegalAddresses, illegalDomains, illegalNetworks } from "../illegal-targets.ts";
import type { Opened, Subject } from "../subject.ts";

/** The real thing: what a polling firewall downloads is what is in force. */
const open = async (): Promise<Opened> => {
  const folder = mkdtempSync(join(tmpdir(), "reflex-edl-"));
  let urls: readonly string[] = [];
  return {
    connector: async () => {
      const edl = createEdl({
        name: "edl",
        folder,
        clock: { nowMs: () => Date.now() },
        server: { host: "127.0.0.1", port: 0 },
      });
      const started = await edl.start();
      if (!started.ok) throw new Error(`${started.error.code} ${started.error.detail}`);
      urls = Object.values(edl.urls() ?? {});
      return edl;
    },
    present: async () => {
      const lists = await Promise.all(urls.map(async (url) => (await fetch(url)).text()));
      return lists.flatMap((list) =>
        list
          .split("\n")
          .filter((line) => line !== "")
          .map(asPresent),
      );
    },
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
};
const asPresent = (line: string): string => {
  const action: ActionName = line.includes("/") ? "block_range" : /^[\d.]+$|:/.test(line) ? "block_ip" : "block_domain";
  return `${action} ${line}`;
};

const ours = "the list is this connector's alone: nobody else writes there";
const polled = "nothing is called: firewalls poll the list";
const base = {
  name: "edl",
  open,
  notApplicable: {
    "what was so before stays so": ours,
    "others untouched": ours,
    "time-out after success": polled,
    "429 waits as asked": polled,
    "partial apply": polled,
    "partial answer": polled,
    "stale read": polled,
    "expired token refreshed": polled,
    "TLS name mismatch refused": polled,
    "slow body bounded": polled,
    "5xx storm": polled,
    "secrets stay secret": "it holds no secret but the one that pollers show",
  },
} as const;

export const subjects: readonly Subject[] = [
  {
    ...base,
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "2001:db8::9" },
    illegalTargets: illegalAddresses,
  },
  {
    ...base,
    action: "block_range",
    target: { type: "network", value: "203.0.113.0/24" },
    otherTarget: { type: "network", value: "2001:db8::/32" },
    illegalTargets: illegalNetworks,
  },
  {
    ...base,
    action: "block_domain",
    target: { type: "domain", value: "bad.example" },
    otherTarget: { type: "domain", value: "xn--bad-hoa.example" },
    illegalTargets: illegalDomains,
  },
];
