import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readKey } from "@reflex/controller/reflexctl/keys";
import { signKill } from "@reflex/controller/reflexctl/kill";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  agentName,
  createWorld,
  org,
  patientMs,
  processesOf,
  site,
  starterPolicies,
  until,
  untilTrue,
} from "../world.ts";
import { acting } from "./detections.ts";

vi.setConfig(patientMs);

type AgentRow = {
  readonly killed: boolean;
  readonly mode: string;
  readonly online: boolean;
  readonly bundle_version: number;
};
type DecisionRow = { readonly event_id: string; readonly verdict: string; readonly code: string | null };

const world = createWorld("kill");
const agentRow = async (): Promise<AgentRow> =>
  (await world.client().get<{ agents: AgentRow[] }>("/v1/agents")).agents[0] as AgentRow;
const killedIs = (isKilled: boolean) =>
  untilTrue(`the controller hears killed = ${isKilled}`, async () => (await agentRow()).killed === isKilled);
const decided = (eventId: string): Promise<DecisionRow> =>
  until(`the decision about ${eventId} is stored`, async () => {
    const { decisions } = await world.client().get<{ decisions: DecisionRow[] }>(`/v1/decisions?event=${eventId}`);
    return decisions[0];
  });
let address = 10;
const send = async (eventId: string): Promise<void> => {
  address += 1;
  const answer = await world.send(acting(eventId, `198.51.100.${address}`));
  expect(answer.status, answer.body).toBe(200);
};
const verdictOn = async (eventId: string): Promise<string> => {
  await send(eventId);
  return (await decided(eventId)).verdict;
};
const kill = (what: "engage" | "release", ...keys: readonly string[]) =>
  world.reflexctl(
    "kill",
    what,
    "--site",
    site,
    "--reason",
    "a drill",
    ...keys.flatMap((key) => ["--key", world.key(key)]),
  );
const signed = (state: "engaged" | "armed", epoch: number, keys: readonly string[]): string =>
  JSON.stringify(
    signKill(
      { org, site, agent: "*", state, epoch, reason: "replayed", by: "kill-1", issuedAt: new Date().toISOString() },
      keys.map((key) => readKey(world.key(key))),
    ),
  );

beforeAll(async () => {
  await world.startController();
  const bundle = join(world.folder, "bundle.json");
  const sign = ["bundle", "sign", starterPolicies, "--org", org, "--site", site, "--version", "1", "--out", bundle];
  await world.reflexctl(...sign, "--key", world.key("release-1"), "--key", world.key("release-2"));
  expect((await world.reflexctl("bundle", "publish", bundle)).code).toBe(0);
  await world.startAgent();
});
afterAll(() => world.close());

describe("5. killed means killed", () => {
  test("5.1 one key engages it with reflexctl, and the next detection is observed, not acted on", async () => {
    expect(await verdictOn("before-kill")).toBe("act");
    const engaged = await kill("engage", "kill-1");
    expect(engaged.code, engaged.stderr).toBe(0);
    await killedIs(true);
    await send("killed-1");
    expect(await decided("killed-1")).toMatchObject({ verdict: "observe", code: "kill-engaged" });
  });

  test("5.2 it stays engaged through kill -9 of the agent, with the controller away", async () => {
    await world.controller().kill("SIGKILL");
    await world.agent().kill("SIGKILL");
    await world.startAgent();
    await send("killed-2");
    await world.startController();
    expect((await decided("killed-2")).verdict).toBe("observe");
    await killedIs(true);
    const { commands } = await world.client().get<{ commands: { reason: string }[] }>("/v1/commands");
    expect(commands).toHaveLength(1);
  });

  test("5.3 one key does not release it, nor one key twice, nor a stranger's; two do", async () => {
    for (const keys of [["kill-1"], ["kill-1", "kill-1"], ["kill-1", "release-1"]]) {
      const refused = await kill("release", ...keys);
      expect(refused.code, keys.join()).toBe(1);
      expect(refused.stderr).toMatch(/two keys|threshold-not-met/);
    }
    expect(await verdictOn("killed-3")).toBe("observe");
    const released = await kill("release", "kill-1", "kill-2");
    expect(released.code, released.stderr).toBe(0);
    await killedIs(false);
    expect(await verdictOn("released-1")).toBe("act");
  });

  test("5.4 an older engage or release changes nothing", async () => {
    for (const old of [signed("engaged", 1, ["kill-1"]), signed("armed", 2, ["kill-1", "kill-2"])])
      expect((await world.post("/v1/kill", old)).body["code"]).toBe("version-rollback");
    expect(await verdictOn("released-2")).toBe("act");
    expect((await kill("engage", "kill-2")).code).toBe(0);
    await killedIs(true);
    expect((await world.post("/v1/kill", signed("armed", 2, ["kill-1", "kill-2"]))).body["code"]).toBe(
      "version-rollback",
    );
    expect(await verdictOn("killed-4")).toBe("observe");
    expect((await kill("release", "kill-1", "kill-2")).code).toBe(0);
    await killedIs(false);
  });

  test("5.5 a file named KILL in the agent's folder stops it with no key, no clock and no controller", async () => {
    const file = join(world.folder, "agent/KILL");
    writeFileSync(file, "");
    expect(await verdictOn("killed-5")).toBe("observe");
    rmSync(file);
    expect(await verdictOn("released-3")).toBe("act");
  });
});

describe("6. parts that die come back, and nothing is stored twice or not at all", () => {
  const tokens = async () => {
    const found: { sequence: number; token: string }[] = [];
    for (let after = 0; ; ) {
      const page = await world
        .client()
        .get<{ tokens: { sequence: number; token: string }[] }>(
          `/v1/tokens?agent=${agentName}&after=${after}&limit=500`,
        );
      if (page.tokens.length === 0) return found;
      found.push(...page.tokens);
      after = page.tokens.at(-1)?.sequence ?? after;
    }
  };

  test("6.1 a broker killed with -9 is started again, the agent finds it, and reports go on", async () => {
    const broker = processesOf(world.folder).find(({ command }) => command.includes("broker/main.ts"));
    expect(broker).toBeDefined();
    process.kill(broker?.pid ?? 0, "SIGKILL");
    expect(await verdictOn("broker-gone")).toBe("act");
    const now = processesOf(world.folder).find(({ command }) => command.includes("broker/main.ts"));
    expect(now?.pid).not.toBe(broker?.pid);
    expect((await kill("engage", "kill-1")).code).toBe(0);
    await killedIs(true);
    expect((await kill("release", "kill-1", "kill-2")).code).toBe(0);
    await killedIs(false);
  });

  test("6.2 with the controller killed with -9 in the middle the agent goes on, and every token is stored exactly once", async () => {
    const before = (await tokens()).length;
    const count = 600;
    const sent = (async () => {
      for (let index = 0; index < count; index += 20)
        await Promise.all(
          Array.from({ length: 20 }, async (_, offset) => {
            const number = index + offset;
            const host = `203.0.${113 + (number % 3)}.${1 + (number % 250)}`;
            const answer = await world.send(acting(`flood-${number}`, host));
            expect(answer.status).toBe(200);
          }),
        );
    })();
    await untilTrue("some are stored", async () => (await tokens()).length > before + 50);
    await world.controller().kill("SIGKILL");
    await sent;
    await world.startController();
    await untilTrue("all are stored", async () => (await tokens()).length >= before + count, 60_000);
    const stored = await tokens();
    expect(stored.map(({ sequence }) => sequence)).toStrictEqual(stored.map((_, index) => index + 1));
    const events = stored.map(
      ({ token }) => (JSON.parse(token) as { detection: { event_id: string } }).detection.event_id,
    );
    expect(new Set(events).size).toBe(events.length);
    expect(events.filter((id) => id.startsWith("flood-"))).toHaveLength(count);
    const hashes = stored.map(({ token }) => JSON.parse(token) as { previous: string; hash: string });
    for (const [index, { previous }] of hashes.entries()) if (index > 0) expect(previous).toBe(hashes[index - 1]?.hash);
  });
});
