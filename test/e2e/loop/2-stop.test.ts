import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Summary } from "@reflex/installers/start/summary";
import { afterAll, describe, expect, test, vi } from "vitest";
import {
  makeFolder,
  type Program,
  patientMs,
  processesOf,
  removeFolder,
  root,
  startProgram,
  startProgramAt,
  untilTrue,
} from "../world.ts";
import { recording } from "./detections.ts";

vi.setConfig(patientMs);

const folder = makeFolder("stop");
afterAll(() => removeFolder(folder));

const count = 6_000;
const feed = join(folder, "long.ndjson");
writeFileSync(feed, recording(count, "long"));

const start = (data: string, more: readonly string[] = []): Program =>
  startProgramAt([startProgram, "--data", data, "--port-base", "0", "--feed", feed, ...more]);
const isDeciding = (program: Program) =>
  untilTrue("the feed plays", () => / records/.test(program.stderr() + program.stdout()));
const isGone = (data: string) =>
  untilTrue(`nothing of ${data} is left running`, () => processesOf(data).length === 0, 25_000);

describe("3. stopping and starting again", () => {
  test("3.1 SIGINT in the middle of a feed ends everything within seconds; the next start goes on where this one was", async () => {
    const data = join(folder, "interrupted");
    const program = start(data);
    await isDeciding(program);
    const ended = await program.kill("SIGINT");
    expect(ended.code, ended.stderr).toBe(0);
    expect(processesOf(data)).toStrictEqual([]);

    const second = await start(data, ["--once", "--json"]).ended;
    expect(second.code, second.stderr).toBe(0);
    const summary = JSON.parse(second.stdout) as Summary;
    expect(summary).toMatchObject({ lines: count, dead_letters: 0, not_detections: 0 });
    expect(summary.duplicates).toBeGreaterThan(0);
    expect(summary.detections).toBeGreaterThan(0);
    expect(summary.duplicates + summary.detections).toBe(count);
  });

  test("3.2 kill -9 of the start program leaves no orphans, and nothing decided is lost or decided twice", async () => {
    const data = join(folder, "killed");
    const program = start(data);
    await isDeciding(program);
    await program.kill("SIGKILL");
    await isGone(data);
    const second = await start(data, ["--once", "--json"]).ended;
    expect(second.code, second.stderr).toBe(0);
    const summary = JSON.parse(second.stdout) as Summary;
    expect(summary.duplicates + summary.detections).toBe(count);
    expect(summary.duplicates).toBeGreaterThan(0);
    await isGone(data);
  });

  test("3.3 a part killed with -9 is named, and the rest ends", async () => {
    const data = join(folder, "part");
    const program = start(data);
    await isDeciding(program);
    const agent = processesOf(data).find(({ command }) => command.includes("edge-agent/main.ts"));
    process.kill(agent?.pid ?? 0, "SIGKILL");
    const ended = await program.ended;
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain("the agent ended by itself");
    await isGone(data);
  });

  test("3.4 two side by side do not know of each other", async () => {
    const ends = await Promise.all(
      ["left", "right"].map((name) => {
        const data = join(folder, name);
        return startProgramAt([startProgram, "--once", "--json", "--data", data, "--port-base", "0"]).ended;
      }),
    );
    for (const ended of ends) {
      expect(ended.code, ended.stderr).toBe(0);
      expect((JSON.parse(ended.stdout) as Summary).replay.mismatches).toBe(0);
    }
  });

  test("3.5 a second start on a folder in use is refused, with --fresh too, and the first goes on", async () => {
    const data = join(folder, "used");
    const first = startProgramAt([startProgram, "--data", data, "--port-base", "0"]);
    await untilTrue("the first is up", () => first.stdout().includes("API "));
    for (const more of [[], ["--fresh"]]) {
      const second = await startProgramAt([startProgram, "--data", data, "--port-base", "0", "--once", ...more]).ended;
      expect(second.code).toBe(1);
      expect(second.stderr).toMatch(/another start .*uses/);
      expect(existsSync(join(data, "keys/trust.json"))).toBe(true);
    }
    expect(first.process.exitCode).toBe(null);
    expect((await first.kill("SIGINT")).code).toBe(0);
    expect(processesOf(data)).toStrictEqual([]);
  });

  test("3.6 kill -9 of the wrapper that npm runs leaves no orphans either", async () => {
    const data = join(folder, "wrapper");
    const program = startProgramAt([
      join(root, "installers/run.mjs"),
      startProgram,
      "--data",
      data,
      "--port-base",
      "0",
      "--feed",
      feed,
    ]);
    await isDeciding(program);
    await program.kill("SIGKILL");
    await isGone(data);
  });
});
