import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RecordResult } from "@reflex/edge-agent/listen/webhook";
import type { Child } from "@reflex/installers/start/child";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readAll, readStored } from "./evidence.ts";
import { attackerAddress, type Cable, layCable, packetObstacle } from "./namespaces.ts";
import { killed, type Site, serves, startSite } from "./site.ts";

const obstacle = packetObstacle();
if (obstacle !== undefined) console.log(`packets through a killed agent are skipped: ${obstacle}`);

const ttlSeconds = 10;
/** Long enough to be alive through a restart on a slow machine. */
const criticalTtlSeconds = 25;

describe.skipIf(obstacle !== undefined)("from a detection to packets that do not arrive", () => {
  let folder = "";
  let cable: Cable;
  let site: Site;
  let agent: Child;
  let sent = 0;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "reflex-packets-"));
    cable = layCable();
    site = await startSite({
      folder,
      policy: { connector: "nftables", ttlSeconds, criticalTtlSeconds },
      connectors: [{ kind: "nftables", name: "nftables", netns: cable.guard }],
    });
    agent = site.startAgent();
    await serves(agent);
  }, 120_000);
  afterAll(async () => {
    await site?.stop();
    cable?.remove();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  const detect = async (severity: "high" | "critical", value = attackerAddress): Promise<RecordResult | undefined> => {
    sent += 1;
    const answer = await fetch(site.webhook, {
      method: "POST",
      body: JSON.stringify({
        event_id: `packets:${sent}`,
        timestamp: new Date().toISOString(),
        confidence: 0.97,
        severity,
        tags: [],
        rule: { id: "scan", name: "a scan", origin: "signature" },
        entities: [{ type: "address", value, role: "attacker" }],
        source: { kind: "native", domain: "network" },
      }),
    });
    return ((await answer.json()) as { results: RecordResult[] }).results[0];
  };
  const eventually = async (what: string, holds: () => boolean | Promise<boolean>, withinMs = 60_000) => {
    const deadlineMs = performance.now() + withinMs;
    while (!(await holds())) {
      if (performance.now() > deadlineMs) throw new Error(`not within ${withinMs} ms: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  const blocked = () => eventually("the attacker is blocked", () => !cable.isReachable());
  const open = () => eventually("the attacker is let through again", () => cable.isReachable());
  const stateOf = async (decisionId: string | undefined) =>
    (await readStored(site.client, site.agent)).commands.find(({ decision_id }) => decision_id === decisionId)?.state;
  const reaches = (decisionId: string | undefined, state: string) =>
    eventually(`the command is ${state}`, async () => (await stateOf(decisionId)) === state);

  test("a certain detection stops the packets, and the agent lets them through again at the deadline", async () => {
    await open();
    const decided = await detect("high");
    expect(decided).toMatchObject({ fate: "decided", verdict: "act" });
    await blocked();
    await reaches(decided?.decision_id, "in_force");
    await reaches(decided?.decision_id, "undone");
    expect(cable.isReachable()).toBe(true);
  }, 90_000);

  test("the kernel ends the block on time with no agent alive, and the next life records its end", async () => {
    const decided = await detect("high");
    await blocked();
    await killed(agent);
    expect(cable.isReachable(), "dying changes nothing that is enforced").toBe(false);
    await open();
    agent = site.startAgent();
    await serves(agent);
    await reaches(decided?.decision_id, "undone");
    expect(cable.isReachable()).toBe(true);
  }, 120_000);

  test("restart changes nothing enforced", async () => {
    const short = await detect("high");
    const long = await detect("critical");
    await blocked();
    await reaches(short?.decision_id, "in_force");
    await reaches(long?.decision_id, "in_force");
    const before = withoutTimes(cable.ruleset());
    expect(before).toContain(attackerAddress);
    await killed(agent);
    const dead = withoutTimes(cable.ruleset());
    agent = site.startAgent();
    await serves(agent);
    expect(dead).toBe(before);
    expect(withoutTimes(cable.ruleset())).toBe(before);
    expect(cable.isReachable()).toBe(false);
    // The shorter lease ends and the longer one keeps the target; then the agent ends that one, too.
    await reaches(short?.decision_id, "undone");
    expect(await stateOf(long?.decision_id)).toBe("in_force");
    expect(cable.isReachable(), "a lease that ended beside a longer one").toBe(false);
    await reaches(long?.decision_id, "undone");
    expect(cable.isReachable()).toBe(true);
    expect(withoutTimes(cable.ruleset())).not.toContain(attackerAddress);
    expect(await readAll(site.client, "/v1/events?level=alarm", "events")).toEqual([]);
  }, 120_000);
});

/** What is left of an element's time runs on, and packets that are dropped are counted; nothing else may differ. */
const withoutTimes = (ruleset: string): string =>
  ruleset.replaceAll(/expires \S+/g, "").replaceAll(/counter packets \d+ bytes \d+/g, "");
