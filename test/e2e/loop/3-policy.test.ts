import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readKey } from "@reflex/controller/reflexctl/keys";
import type { Envelope } from "@reflex/protocol/envelope";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createWorld, org, patientMs, site, starterPolicies, until, untilTrue } from "../world.ts";
import { type Intruder, openIntruder } from "./compromised-controller.ts";
import { acting } from "./detections.ts";
import { hostileBundles, residentMb } from "./hostile-bundles.ts";

vi.setConfig(patientMs);

type AgentRow = {
  readonly bundle_version: number;
  readonly refused: { readonly version: number; readonly code: string; readonly hash: string } | null;
};

const world = createWorld("policy");
let intruder: Intruder | undefined;
const bundleFile = (version: number): string => join(world.folder, `bundle-${version}.json`);
const sign = (version: number) =>
  world.reflexctl(
    ...["bundle", "sign", starterPolicies, "--org", org, "--site", site, "--version", String(version)],
    ...["--key", world.key("release-1"), "--key", world.key("release-2"), "--out", bundleFile(version)],
  );
const publish = (version: number) => world.reflexctl("bundle", "publish", bundleFile(version));
const agentRow = async (): Promise<AgentRow> =>
  (await world.client().get<{ agents: AgentRow[] }>("/v1/agents")).agents[0] as AgentRow;
const runsVersion = (version: number) =>
  untilTrue(`the agent runs version ${version}`, async () => (await agentRow()).bundle_version === version);
const statusOf = async (pathOfTest: () => Promise<{ status: number; body: string }>) => (await pathOfTest()).status;

beforeAll(async () => {
  await world.startController();
  expect((await sign(1)).code).toBe(0);
  expect((await publish(1)).code).toBe(0);
  await world.startAgent();
});
afterAll(async () => {
  await intruder?.close();
  await world.close();
});

describe("4. nothing acts on unverified policy", () => {
  test("4.1 a newer bundle, signed and published with reflexctl, becomes active", async () => {
    await runsVersion(1);
    for (const done of [await sign(2), await publish(2)]) expect(done.code, done.stderr).toBe(0);
    await runsVersion(2);
    expect(await statusOf(() => world.send(acting("policy-before", "198.51.100.10")))).toBe(200);
  });

  const hostile = () => {
    const good = JSON.parse(readFileSync(bundleFile(2), "utf8")) as Envelope;
    return hostileBundles(good, [readKey(world.key("release-1")), readKey(world.key("release-2"))], 3);
  };

  test("4.2 the controller refuses each hostile bundle with its code, and a hundred megabytes without holding them", async () => {
    for (const { name, bytes, code } of hostile().filter((one) => one.isForAnotherSite !== true)) {
      const answer = await world.post("/v1/bundles", bytes);
      expect(answer.status, name).toBeGreaterThanOrEqual(400);
      expect(answer.body["code"], `${name}: ${JSON.stringify(answer.body)}`).toBe(code);
    }
    const before = residentMb(world.controller().pid);
    const answer = await world.post("/v1/bundles", new Uint8Array(100 * 1024 * 1024).fill(0x5b));
    expect(answer).toMatchObject({ status: 413, body: { code: "too-large" } });
    expect(residentMb(world.controller().pid) - before).toBeLessThan(60);
    const { bundles } = await world.client().get<{ bundles: { version: number }[] }>("/v1/bundles");
    expect(bundles.map((bundle) => bundle.version)).toStrictEqual([2, 1]);
  });

  test("4.3 past a controller that was broken into, the agent refuses each, says so, and the last good one stays", async () => {
    intruder = openIntruder(join(world.folder, "controller"), site);
    let announced = 100;
    for (const { name, bytes, code } of hostile()) {
      announced += 1;
      const hash = await intruder.offer(bytes, announced);
      const row = await until(`the agent refuses ${name}`, async () => {
        const now = await agentRow();
        return now.refused?.hash === hash ? now : undefined;
      });
      expect(row.refused?.code, name).toBe(code);
      expect(row.bundle_version, name).toBe(2);
    }
    await untilTrue("each refusal is an event with its code", async () => {
      const { events } = await world
        .client()
        .get<{ events: { name: string; code: string | null }[] }>("/v1/events?limit=500");
      const codes = events.filter((event) => event.name === "bundle-refused").map((event) => event.code);
      return hostile().every(({ code }) => codes.includes(code)) && codes.length === hostile().length;
    });
  });

  test("4.4 a hundred megabytes are refused by their length alone; forty are read and refused, again and again in the same memory", async () => {
    const offer = async (megabytes: number, version: number, code: string): Promise<number> => {
      const bytes = new Uint8Array(megabytes * 1024 * 1024).fill(0x5b);
      bytes[0] = version;
      const hash = await intruder?.offer(bytes, version);
      const row = await until(`${megabytes} MB are refused`, async () => {
        const now = await agentRow();
        return now.refused?.hash === hash ? now : undefined;
      });
      expect(row).toMatchObject({ bundle_version: 2, refused: { code } });
      return residentMb(world.agent().pid);
    };
    const before = residentMb(world.agent().pid);
    expect((await offer(100, 140, "too-large")) - before).toBeLessThan(30);
    const used: number[] = [];
    for (const version of [150, 151, 152]) used.push(await offer(40, version, "text-malformed"));
    // One at a time in memory, and the one before is let go: the last costs no more than the first.
    expect(Math.max(...used.slice(1)), `MB before: ${before}, after each: ${used}`).toBeLessThan(
      Math.max(...used.slice(0, 1)) + 40,
    );
    expect(Math.max(...used) - before, `MB before: ${before}, after each: ${used}`).toBeLessThan(200);
    console.log(
      `agent, MB resident before: ${before.toFixed(0)}, after each 40 MB: ${used.map((mb) => mb.toFixed(0)).join(", ")}`,
    );
  });

  test("4.5 it goes on deciding under the last good one, through a restart too, and takes the next genuine one", async () => {
    expect(await statusOf(() => world.send(acting("policy-after", "198.51.100.11")))).toBe(200);
    await world.agent().kill("SIGTERM");
    await world.startAgent();
    await runsVersion(2);
    for (const done of [await sign(1_000), await publish(1_000)]) expect(done.code, done.stderr).toBe(0);
    await runsVersion(1_000);
    expect((await agentRow()).refused).toBe(null);
    const { decisions } = await world
      .client()
      .get<{ decisions: { event_id: string; verdict: string }[] }>("/v1/decisions");
    expect(decisions.find((row) => row.event_id === "policy-after")?.verdict).toBe("act");
  });

  test("4.6 reflexctl says what is wrong before anything is signed or sent", async () => {
    const broken = join(world.folder, "broken");
    const huge = join(world.folder, "huge.json");
    writeFileSync(huge, new Uint8Array(100 * 1024 * 1024));
    writeFileSync(bundleFile(0), "not json");
    for (const args of [
      ["bundle", "publish", join(world.folder, "missing.json")],
      ["bundle", "publish", bundleFile(0)],
      ["bundle", "publish", huge],
      ["bundle", "sign", starterPolicies, "--org", org, "--site", site, "--version", "3", "--key", bundleFile(0)],
      ["bundle", "sign", broken, "--org", org, "--site", site, "--version", "3", "--key", world.key("release-1")],
      ["bundle", "sign", starterPolicies, "--org", org, "--site", site, "--version", "3"],
    ]) {
      const { code, stdout, stderr } = await world.reflexctl(...args);
      expect(code, args.join(" ")).toBe(1);
      expect(stdout).toBe("");
      expect(stderr.trim().split("\n"), stderr).toHaveLength(1);
    }
  });
});
