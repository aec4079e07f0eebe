import { execFileSync, spawnSync } from "node:child_process";
import { createNftables } from "@reflex/edge-agent/connectors/nftables";
import { illegalAddresses, illegalNetworks } from "../illegal-targets.ts";
import type { Opened, Subject } from "../subject.ts";

/** The kernel's own packet filter, in a network namespace for each case. */

const env = { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
const run = (program: string, ...args: readonly string[]): string =>
  execFileSync(program, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** Why there is no packet filter to test against here; undefined where there is one. */
const findObstacle = (): string | undefined => {
  if (process.platform !== "linux") return "network namespaces are Linux";
  if (process.getuid?.() !== 0) return "making network namespaces needs root";
  for (const [program, name] of [
    ["nft", "nftables"],
    ["ip", "iproute2"],
  ] as const)
    if (spawnSync(program, ["-V"], { env }).error !== undefined)
      return `${program} is not installed: apt-get install ${name}`;
  const probe = nextName();
  if (spawnSync("ip", ["netns", "add", probe], { env }).status !== 0)
    return "this container may not make network namespaces";
  const tried = spawnSync("ip", ["netns", "exec", probe, "nft", "add", "table", "inet", "probe"], { env });
  spawnSync("ip", ["netns", "del", probe], { env });
  return tried.status === 0 ? undefined : "the kernel has no nf_tables";
};

let serial = 0;
const nextName = (): string => {
  serial += 1;
  return `rfx-kit-${process.pid}-${serial}`;
};
let obstacle: { readonly said: string | undefined } | undefined;

const open = async (): Promise<Opened | string> => {
  obstacle ??= { said: findObstacle() };
  if (obstacle.said !== undefined) return obstacle.said;
  const netns = nextName();
  run("ip", "netns", "add", netns);
  const nft = (...args: readonly string[]): string => run("ip", "netns", "exec", netns, "nft", ...args);
  return {
    connector: async () => {
      const connector = createNftables({ name: "nftables", netns });
      const started = await connector.start();
      if (!started.ok) throw new Error(`${started.error.code} ${started.error.detail}`);
      return connector;
    },
    present: async () => {
      const { nftables } = JSON.parse(nft("-j", "list", "ruleset")) as { readonly nftables: readonly Listed[] };
      return nftables.flatMap(({ set }) => (set?.elem ?? []).map((element) => inForce(set?.table ?? "", element)));
    },
    addForeign: async () => {
      nft("add table inet office; add set inet office friends { type ipv4_addr; }");
      nft("add element inet office friends { 192.0.2.77 }");
      return "office 192.0.2.77";
    },
    close: async () => void run("ip", "netns", "del", netns),
  };
};

type Listed = { readonly set?: { readonly table: string; readonly elem?: readonly Element[] } };
type Element = string | Prefix | { readonly elem: { readonly val: string | Prefix } };
type Prefix = { readonly prefix: { readonly addr: string; readonly len: number } };

const inForce = (table: string, element: Element): string => {
  const value = typeof element === "object" && "elem" in element ? element.elem.val : element;
  const text = typeof value === "string" ? value : `${value.prefix.addr}/${value.prefix.len}`;
  const action = text.includes("/") ? "block_range" : "block_ip";
  return `${table === "reflex" ? action : table} ${text}`;
};

const atOnce = "the kernel takes each change whole and answers at once: nothing lies between";
const base = {
  name: "nftables (kernel)",
  open,
  notApplicable: {
    "what was so before stays so": "its table is this connector's alone: nobody else writes there",
    "time-out after success": atOnce,
    "429 waits as asked": "the kernel turns nobody away",
    "partial apply": atOnce,
    "partial answer": atOnce,
    "stale read": atOnce,
    "expired token refreshed": "rights come from the process: nothing expires",
    "TLS name mismatch refused": "the kernel is called, and no other machine",
    "slow body bounded": atOnce,
    "5xx storm": atOnce,
    "secrets stay secret": "it holds no secret",
  },
} as const;

export const subjects: readonly Subject[] = [
  {
    ...base,
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "2001:db8:1::9" },
    illegalTargets: illegalAddresses,
  },
  {
    ...base,
    action: "block_range",
    target: { type: "network", value: "203.0.113.0/24" },
    otherTarget: { type: "network", value: "2001:db8:1::/48" },
    illegalTargets: illegalNetworks,
  },
];
