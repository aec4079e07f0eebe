import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { exitCodeStateLocked } from "@reflex/edge-agent/store/state-lock";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readCounts } from "../../fixtures/http-far-end.ts";

const fixture = (name: string): string => join(import.meta.dirname, "../../fixtures", name);
const commands = 100;
const ttlSeconds = 12;

let folder = "";
let url = "";
const children = new Set<ChildProcess>();

const start = (name: string, ...args: string[]): ChildProcess => {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", fixture(name), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
};
const actingProcess = (): ChildProcess => start("acting-process.ts", folder, url, String(commands), String(ttlSeconds));
const linesOf = (child: ChildProcess): AsyncIterable<string> => {
  if (child.stdout === null) throw new Error("no output to read");
  return createInterface({ input: child.stdout });
};
const pause = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "reflex-kill-"));
  for await (const port of linesOf(start("far-end.ts", "20"))) {
    url = `http://127.0.0.1:${port}`;
    break;
  }
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

describe("an agent killed again and again", () => {
  test("never acts twice, loses no command, and undoes every lease", async () => {
    const delaysMs = Array.from({ length: 12 }, () => 120 + Math.floor(Math.random() * 500));
    console.log(`killed after ${delaysMs.join(", ")} ms`);
    for (const delayMs of delaysMs) {
      const agent = actingProcess();
      await pause(delayMs);
      agent.kill("SIGKILL");
      await once(agent, "exit");
    }
    // Left alone at last: everything planned is carried out, and everything in force ends on time.
    let ended: Readonly<Record<string, number>> = {};
    for await (const line of linesOf(actingProcess())) {
      const said = JSON.parse(line) as { inForce: number; pending: number; states: Record<string, number> };
      ended = said.states;
      if (said.inForce === 0 && said.pending === 0) break;
    }
    const { effects, undone, present } = await readCounts(url);
    expect(present, "in force after every lease has ended").toEqual([]);
    expect(
      Object.values(effects).filter((times) => times !== 1),
      "keys that had more than one effect",
    ).toEqual([]);
    expect(Object.keys(undone).sort(), "keys that were undone").toEqual(Object.keys(effects).sort());
    // One whose call was cut off may see its lease end while the call could still come: then nothing was done, and it says so.
    expect((ended.undone ?? 0) + (ended.failed ?? 0), "commands that came to their end").toBe(commands);
    expect(Object.keys(effects).length, "commands that had their effect").toBeGreaterThan(commands / 2);
  });

  test("a second agent on one state folder exits with 75 and disturbs nothing", async () => {
    const first = actingProcess();
    for await (const _ of linesOf(first)) break;
    const second = actingProcess();
    const [code] = await once(second, "exit");
    expect(code).toBe(exitCodeStateLocked);
    expect(first.exitCode).toBeNull();
    expect((await readCounts(url)).present).toHaveLength(commands);
  });
});
