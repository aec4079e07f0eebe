import { execFileSync, spawnSync } from "node:child_process";

/** sbin is not on everybody's path, root's included. */
const env: NodeJS.ProcessEnv = { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
const runs = (program: string, ...args: readonly string[]): boolean =>
  spawnSync(program, args, { env, stdio: "ignore" }).status === 0;

/** Why real packets cannot be sent here; undefined when they can. */
export const packetObstacle = (): string | undefined => {
  if (process.platform !== "linux") return "network namespaces are Linux";
  if (process.getuid?.() !== 0) return "making network namespaces needs root";
  const missing = [
    ["nft", "--version"],
    ["ip", "-V"],
    ["ping", "-V"],
  ].find(([program = "", ...args]) => !runs(program, ...args));
  if (missing !== undefined) return `${missing[0]} is not installed`;
  const probe = `rfx-look-${process.pid}`;
  if (!runs("ip", "netns", "add", probe)) return "this container may not make network namespaces";
  const filters = runs("ip", "netns", "exec", probe, "nft", "add", "table", "inet", "probe");
  runs("ip", "netns", "del", probe);
  return filters ? undefined : "the kernel has no nf_tables";
};

export type Cable = {
  /** Namespace that filters, 192.0.2.1. */
  readonly guard: string;
  /** Does the other end, 192.0.2.2, reach the guard? */
  readonly isReachable: () => boolean;
  readonly ruleset: () => string;
  readonly remove: () => void;
};

export const attackerAddress = "192.0.2.2";
const guardAddress = "192.0.2.1";

/** Two machines and the cable between them. */
export const layCable = (): Cable => {
  const guard = `rfx-kguard-${process.pid}`;
  const attacker = `rfx-kattacker-${process.pid}`;
  const ip = (...args: readonly string[]): void => void execFileSync("ip", args, { env, stdio: "pipe" });
  ip("netns", "add", guard);
  ip("netns", "add", attacker);
  ip("link", "add", "veth0", "netns", guard, "type", "veth", "peer", "name", "veth0", "netns", attacker);
  for (const [namespace, address] of [
    [guard, guardAddress],
    [attacker, attackerAddress],
  ] as const) {
    ip("-n", namespace, "addr", "add", `${address}/24`, "dev", "veth0");
    ip("-n", namespace, "link", "set", "veth0", "up");
    ip("-n", namespace, "link", "set", "lo", "up");
  }
  return {
    guard,
    isReachable: () => runs("ip", "netns", "exec", attacker, "ping", "-c", "1", "-W", "1", guardAddress),
    ruleset: () =>
      execFileSync("ip", ["netns", "exec", guard, "nft", "list", "ruleset"], { env, encoding: "utf8", stdio: "pipe" }),
    remove: () => {
      for (const namespace of [guard, attacker]) runs("ip", "netns", "del", namespace);
    },
  };
};
