import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { signKill } from "@reflex/controller/reflexctl/kill";
import type { RecordResult } from "@reflex/edge-agent/listen/webhook";
import { openMarks } from "@reflex/edge-agent/store/marks";
import type { Child } from "@reflex/installers/start/child";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCounts } from "../../fixtures/http-far-end.ts";
import { appliedAfterUndo, readStored } from "./evidence.ts";
import { killed, type Site, serves, startSite } from "./site.ts";
import { mountSmallDisk, type SmallDisk, smallDiskObstacle } from "./small-disk.ts";

const obstacle = smallDiskObstacle();
if (obstacle !== undefined) console.log(`a full disk is skipped: ${obstacle}`);

const ttlSeconds = 10;

describe.skipIf(obstacle !== undefined)("an agent whose disk is full", () => {
  let folder = "";
  let disk: SmallDisk;
  let farEnd: ChildProcess;
  let farEndUrl = "";
  let site: Site;
  let agent: Child;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "reflex-full-"));
    const agentFolder = join(folder, "agent");
    disk = mountSmallDisk(agentFolder, 16);
    farEnd = spawn(process.execPath, [join(import.meta.dirname, "../../fixtures/far-end.ts"), "5"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    for await (const port of createInterface({ input: farEnd.stdout as NodeJS.ReadableStream })) {
      farEndUrl = `http://127.0.0.1:${port}`;
      break;
    }
    const policy = { connector: "far-end", ttlSeconds, criticalTtlSeconds: 15 };
    site = await startSite({ folder, agentFolder, policy, connectors: [], farEndUrl });
    agent = site.startAgent();
    await serves(agent);
  }, 120_000);
  afterAll(async () => {
    await site?.stop();
    farEnd?.kill("SIGKILL");
    disk?.remove();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  const eventually = async (what: string, holds: () => boolean | Promise<boolean>, withinMs = 60_000) => {
    const deadlineMs = performance.now() + withinMs;
    while (!(await holds())) {
      if (performance.now() > deadlineMs) throw new Error(`not within ${withinMs} ms: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  type Answer = { readonly status: number; readonly result: RecordResult | undefined };
  const detect = async (number: number): Promise<Answer> => {
    const answer = await fetch(site.webhook, {
      method: "POST",
      body: JSON.stringify({
        event_id: `full:${number}`,
        timestamp: new Date(startedMs + number).toISOString(),
        confidence: 0.97,
        severity: "high",
        tags: [],
        rule: { id: "scan", name: "a scan", origin: "signature" },
        entities: [{ type: "address", value: addressOf(number), role: "attacker" }],
        source: { kind: "native", domain: "network" },
      }),
    });
    const { results = [] } = (await answer.json()) as { results?: RecordResult[] };
    return { status: answer.status, result: results[0] };
  };
  const startedMs = Date.now();
  const addressOf = (number: number): string => `203.0.113.${number}`;
  const isInForce = async (number: number): Promise<boolean> =>
    (await readCounts(farEndUrl)).present.includes(`block_ip ${addressOf(number)}`);
  const callsAbout = async (number: number) =>
    (await readCounts(farEndUrl)).calls.filter(({ target }) => target === `block_ip ${addressOf(number)}`);
  const killSwitch = (state: "engaged" | "armed", epoch: number, ...keyids: readonly string[]) =>
    site.client.post(
      "/v1/kill",
      signKill(
        {
          ...{ org: site.org, site: site.name, agent: "*", state, epoch },
          ...{ reason: "the disk is full", by: "test", issuedAt: new Date().toISOString() },
        },
        site.keys(...keyids),
      ),
    );
  const saysKilled = async (): Promise<boolean | null> =>
    (await site.client.get<{ killed: boolean | null }>(`/v1/agents/${site.agent}`)).killed;

  test("acknowledges nothing and acts on nothing it cannot write down, and still ends its leases", async () => {
    expect(await detect(1)).toMatchObject({ status: 200, result: { fate: "decided", verdict: "act" } });
    await eventually("the first block is in force", () => isInForce(1));
    disk.fill();
    for (const number of [2, 3, 2, 3]) {
      expect(await detect(number)).toMatchObject({ status: 503, result: { fate: "not_taken", code: "disk-full" } });
    }
    await eventually("the first block is undone on time", async () => !(await isInForce(1)));
    expect([...(await callsAbout(2)), ...(await callsAbout(3))]).toEqual([]);
  }, 90_000);

  test("a kill switch that is engaged now is heard now", async () => {
    expect(await saysKilled()).not.toBe(true);
    await killSwitch("engaged", 1, "kill-1");
    await eventually("the agent says that it is killed", async () => (await saysKilled()) === true);
    expect(await detect(2), "the disk is still full").toMatchObject({ status: 503 });
  }, 90_000);

  test("goes on by itself when there is space, still killed until two keys release it", async () => {
    disk.free();
    await eventually("detections are taken again", async () => (await detect(2)).status === 200);
    const { result } = await detect(3);
    expect(result?.fate).toBe("decided");
    expect(result?.verdict).not.toBe("act");
    expect(agent.process.exitCode, "the same process").toBeNull();

    await killSwitch("armed", 2, "kill-1", "kill-2");
    await eventually("the agent says that it is armed", async () => (await saysKilled()) === false);
    expect(await detect(4)).toMatchObject({ status: 200, result: { verdict: "act" } });
    await eventually("it acts again", () => isInForce(4));
    expect([...(await callsAbout(2)), ...(await callsAbout(3))], "decided while killed").toEqual([]);
  }, 120_000);

  test("killed -9 on a full disk it acts twice on nothing, and ends its leases", async () => {
    await detect(5);
    await eventually("the block is in force", () => isInForce(5));
    disk.fill();
    await killed(agent);
    // As a supervisor does it: started again whenever it has ended.
    agent = site.startAgent();
    await Promise.race([serves(agent).catch(() => undefined), agent.ended]);
    const isFullTaken = await detect(6).then(
      ({ status }) => status === 200,
      () => false,
    );
    expect(isFullTaken, "acknowledged on a full disk").toBe(false);
    disk.free();
    if (agent.process.exitCode !== null) {
      agent = site.startAgent();
      await serves(agent);
    }
    await eventually("detections are taken again", async () => (await detect(6)).status === 200);
    await eventually("everything has ended", async () => (await readCounts(farEndUrl)).present.length === 0);
    await eventually("every lease is reported as ended", async () => {
      const { commands } = await site.client.get<{ commands: unknown[] }>("/v1/leases");
      return commands.length === 0;
    });
    const counts = await readCounts(farEndUrl);
    expect(Object.values(counts.effects).filter((times) => times !== 1)).toEqual([]);
    expect(appliedAfterUndo(counts.calls)).toEqual([]);
    const { tokens, commands } = await readStored(site.client, site.agent);
    expect(tokens.map(({ token }) => token.detection.event_id)).toEqual([1, 2, 3, 4, 5, 6].map((n) => `full:${n}`));
    expect(commands.map(({ state }) => state)).toEqual(commands.map(() => "undone"));
  }, 120_000);
});

describe.skipIf(obstacle !== undefined)("marks on a full disk", () => {
  test("what does not fit is refused, and what was kept is still kept", () => {
    const folder = mkdtempSync(join(tmpdir(), "reflex-marks-"));
    const disk = mountSmallDisk(folder, 1);
    try {
      const valuesOf = (count: number): Record<string, number> =>
        Object.fromEntries(Array.from({ length: count }, (_, at) => [`kill/org/site/agent-${at}`, 7]));
      const marks = openMarks(join(folder, "marks"));
      expect(marks.raise(valuesOf(200))).toMatchObject({ ok: true });
      disk.fill();
      expect(marks.raise(valuesOf(800))).toMatchObject({ ok: false, error: { code: "disk-full" } });
      expect(openMarks(join(folder, "marks")).values()).toEqual(valuesOf(200));
      disk.free();
      expect(marks.raise(valuesOf(800))).toMatchObject({ ok: true });
      expect(openMarks(join(folder, "marks")).values()).toEqual(valuesOf(800));
    } finally {
      disk.remove();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
