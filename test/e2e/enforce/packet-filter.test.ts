import { execFileSync, spawnSync } from "node:child_process";
import type { Connector } from "@reflex/edge-agent/connectors/contract";
import { createNftables } from "@reflex/edge-agent/connectors/nftables";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newCall } from "../../conformance/stage.ts";

/** Why real packets cannot be sent here; undefined when they can. */
const obstacle = ((): string | undefined => {
  if (process.platform !== "linux") return "network namespaces are Linux";
  if (process.getuid?.() !== 0) return "making network namespaces needs root";
  for (const [program, ...args] of [
    ["nft", "--version"],
    ["ip", "-V"],
    ["ping", "-V"],
  ] as const) {
    if (spawnSync(program, args, { env: pathWithSbin() }).status !== 0) return `${program} is not installed`;
  }
  const probe = `rfx-probe-${process.pid}`;
  if (spawnSync("ip", ["netns", "add", probe], { env: pathWithSbin() }).status !== 0)
    return "this container may not make network namespaces";
  const filters =
    spawnSync("ip", ["netns", "exec", probe, "nft", "add", "table", "inet", "probe"], { env: pathWithSbin() })
      .status === 0;
  spawnSync("ip", ["netns", "del", probe], { env: pathWithSbin() });
  return filters ? undefined : "the kernel has no nf_tables";
})();
function pathWithSbin(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
}
if (obstacle !== undefined) console.log(`packet filter tests are skipped: ${obstacle}`);

// Two machines of one cable: "guard" filters, "attacker" pings.
const guard = `rfx-guard-${process.pid}`;
const attacker = `rfx-attacker-${process.pid}`;
const ip = (...args: string[]): void => void execFileSync("ip", args, { env: pathWithSbin(), stdio: "pipe" });
const inGuard = (...args: string[]): string =>
  execFileSync("ip", ["netns", "exec", guard, ...args], {
    env: pathWithSbin(),
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
const pings = (from: string, to: string): boolean =>
  spawnSync("ip", ["netns", "exec", from, "ping", "-c", "1", "-W", "1", to], { env: pathWithSbin() }).status === 0;
/** Tries for a while: a kernel timer or a first neighbour lookup may take its time, but not for ever. */
const eventually = async (holds: () => boolean): Promise<boolean> => {
  for (let tries = 0; tries < 40; tries += 1) {
    if (holds()) return true;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  return false;
};

describe.skipIf(obstacle !== undefined)("real packets between two machines", () => {
  let connector: Connector;

  beforeAll(async () => {
    ip("netns", "add", guard);
    ip("netns", "add", attacker);
    ip("link", "add", "veth0", "netns", guard, "type", "veth", "peer", "name", "veth0", "netns", attacker);
    for (const [namespace, last] of [
      [guard, 1],
      [attacker, 2],
    ] as const) {
      ip("-n", namespace, "addr", "add", `192.0.2.${last}/24`, "dev", "veth0");
      ip("-n", namespace, "addr", "add", `2001:db8::${last}/64`, "dev", "veth0", "nodad");
      ip("-n", namespace, "link", "set", "veth0", "up");
      ip("-n", namespace, "link", "set", "lo", "up");
    }
    connector = createNftables({ name: "nftables", netns: guard });
    const started = await connector.start();
    if (!started.ok) throw new Error(started.error.detail);
  });
  afterAll(() => {
    for (const namespace of [guard, attacker]) spawnSync("ip", ["netns", "del", namespace], { env: pathWithSbin() });
  });

  const blockAttacker = (value: string, ttlSeconds?: number) =>
    newCall("block_ip", { type: "address", value }, ttlSeconds);

  test.each(["192.0.2.2", "2001:db8::2"])(
    "%s: a block stops packets both ways, its undo lets them through again",
    async (value) => {
      const ours = value === "192.0.2.2" ? "192.0.2.1" : "2001:db8::1";
      expect(await eventually(() => pings(attacker, ours))).toBe(true);
      const call = blockAttacker(value);
      expect((await connector.apply(call)).kind).toBe("applied");
      expect(pings(attacker, ours)).toBe(false);
      expect(pings(guard, value)).toBe(false);
      expect((await connector.undo(call)).kind).toBe("undone");
      expect(pings(attacker, ours)).toBe(true);
    },
  );

  test("a blocked network stops each of its addresses", async () => {
    const call = newCall("block_range", { type: "network", value: "192.0.2.2/31" });
    expect((await connector.apply(call)).kind).toBe("applied");
    expect(pings(attacker, "192.0.2.1")).toBe(false);
    expect((await connector.undo(call)).kind).toBe("undone");
    expect(pings(attacker, "192.0.2.1")).toBe(true);
  });

  test("the kernel ends a block on time with no agent alive", async () => {
    const call = blockAttacker("192.0.2.2", 2);
    await connector.apply(call);
    expect(pings(attacker, "192.0.2.1")).toBe(false);
    await connector.stop();
    expect(await eventually(() => pings(attacker, "192.0.2.1"))).toBe(true);
    expect((await connector.verify(call)).kind).toBe("absent");
    expect((await connector.undo(call)).kind, "undoing what the kernel has undone is success").toBe("undone");
  });

  test("a later lease on the same target gives the entry a longer time, without a gap", async () => {
    await connector.apply(blockAttacker("192.0.2.2", 2));
    await connector.apply(blockAttacker("192.0.2.2", 600));
    const listed = inGuard("nft", "-j", "list", "set", "inet", "reflex", "block4");
    expect(listed).toMatch(/"timeout": 600\b/);
    expect(pings(attacker, "192.0.2.1")).toBe(false);
    await connector.undo(blockAttacker("192.0.2.2"));
  });

  test("restart changes nothing enforced: stop and start leave table, elements and counters as they are", async () => {
    const call = blockAttacker("192.0.2.2");
    await connector.apply(call);
    expect(pings(attacker, "192.0.2.1")).toBe(false);
    const before = withoutTime(inGuard("nft", "list", "table", "inet", "reflex"));
    await connector.stop();
    connector = createNftables({ name: "nftables", netns: guard });
    expect((await connector.start()).ok).toBe(true);
    expect(withoutTime(inGuard("nft", "list", "table", "inet", "reflex"))).toBe(before);
    expect(before).toMatch(/counter packets [1-9]/);
    expect(await connector.listInForce?.()).toEqual({
      ok: true,
      value: [{ action: "block_ip", id: "192.0.2.2" }],
    });
    await connector.undo(call);
  });
  const withoutTime = (text: string): string => text.replace(/expires \S+/g, "");

  test("a table that somebody deleted is laid again by start, and the foreign rules beside it stay", async () => {
    inGuard("nft", "add", "table", "inet", "somebody");
    inGuard("nft", "delete", "table", "inet", "reflex");
    expect((await connector.verify(blockAttacker("192.0.2.2"))).kind).toBe("absent");
    expect((await connector.start()).ok).toBe(true);
    await connector.apply(blockAttacker("192.0.2.2"));
    expect(pings(attacker, "192.0.2.1")).toBe(false);
    expect(inGuard("nft", "list", "tables")).toContain("table inet somebody");
    await connector.undo(blockAttacker("192.0.2.2"));
  });

  test("a network that overlaps one in force is refused in words, and the one in force stays", async () => {
    const wide = newCall("block_range", { type: "network", value: "198.51.100.0/24" });
    const narrow = newCall("block_range", { type: "network", value: "198.51.100.0/25" });
    await connector.apply(wide);
    expect(await connector.apply(narrow)).toMatchObject({ kind: "refused", code: "connector-refused" });
    expect((await connector.undo(narrow)).kind).toBe("undone");
    expect((await connector.verify(wide)).kind).toBe("present");
    await connector.undo(wide);
  });

  test("a namespace that does not exist, and a table that is no name, are said so", async () => {
    const lost = createNftables({ name: "nftables", netns: "no-such-namespace" });
    expect(await lost.start()).toMatchObject({ ok: false, error: { code: "connector-failed" } });
    expect(() => createNftables({ name: "nftables", netns: "x; reboot" })).toThrow("namespace");
    expect(() => createNftables({ name: "nftables", table: "reflex; flush ruleset" })).toThrow("table");
  });
});
