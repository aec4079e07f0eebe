import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDice } from "../../bench/random.ts";
import type { ActingPlan } from "../../fixtures/acting-plan.ts";
import { type CountedTarget, openFiveTargets } from "./five-targets.ts";

/** `REFLEX_KILLS=1000` for the long run; `REFLEX_SEED` repeats its dice, though never its timing. */
const kills = Number(process.env["REFLEX_KILLS"] ?? 12);
const seed = Number(process.env["REFLEX_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const isLong = kills > 100;
const ttlSeconds = isLong ? 30 : 15;
const commandsEach = isLong ? kills * 4 : 60;
const quietWithinMs = 300_000;

let folder = "";
let targets: readonly CountedTarget[] = [];
let ended: Readonly<Record<string, number>> = {};
const children = new Set<ChildProcess>();

const pause = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));

beforeAll(
  async () => {
    folder = mkdtempSync(join(tmpdir(), "reflex-five-"));
    targets = await openFiveTargets(folder, commandsEach);
    const plan: ActingPlan = {
      connectors: targets.map(({ config }) => config),
      work: targets.map(({ work }) => work),
      ttlSeconds,
      commandsEach,
      pauseMs: isLong ? 80 : 20,
    };
    const planFile = join(folder, "plan.json");
    writeFileSync(planFile, JSON.stringify(plan));
    const environment = Object.assign({}, process.env, ...targets.map(({ secrets }) => secrets), {
      NODE_COMPILE_CACHE: join(folder, "compiled"),
    });
    // One file that is read at once, as the binary is: a life should be spent acting, not loading.
    const script = join(folder, "acting.mjs");
    await build({
      entryPoints: [join(import.meta.dirname, "../../fixtures/acting-connectors.ts")],
      outfile: script,
      bundle: true,
      platform: "node",
      format: "esm",
      logLevel: "error",
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    });
    const live = (): ChildProcess => {
      const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script, folder, planFile], {
        stdio: ["ignore", "pipe", "inherit"],
        env: environment,
      });
      children.add(child);
      child.once("exit", () => children.delete(child));
      return child;
    };

    const dice = createDice(seed);
    const startedMs = performance.now();
    let rounds = 0;
    for (let life = 0; life < kills; life += 1) {
      const agent = live();
      // Some die while they start, most while they work.
      if (dice.chance(0.2)) await pause(dice.below(500));
      else {
        rounds = await begun(agent);
        // Some live long enough for what takes several looks at the far end.
        await pause(dice.below(dice.chance(0.2) ? 3_000 : 600));
      }
      agent.kill("SIGKILL");
      if (agent.exitCode === null && agent.signalCode === null) await once(agent, "exit");
      if (agent.exitCode !== null) throw new Error(`life ${life} ended by itself with ${agent.exitCode}`);
    }
    const killedMs = performance.now() - startedMs;
    const last = live();
    const gaveUp = setTimeout(() => last.kill("SIGKILL"), quietWithinMs);
    if (last.stdout === null) throw new Error("no output to read");
    for await (const line of createInterface({ input: last.stdout })) {
      const said = JSON.parse(line) as { inForce?: number; pending: number; states: Record<string, number> };
      if (said.inForce === undefined) continue;
      ended = said.states;
      if (said.inForce === 0 && said.pending === 0) break;
    }
    clearTimeout(gaveUp);
    if (last.signalCode !== null) throw new Error(`not quiet within ${quietWithinMs} ms: ${JSON.stringify(ended)}`);
    console.log(
      `seed ${seed}: ${kills} kills in ${Math.round(killedMs / 1_000)} s, ${rounds} of ${commandsEach} rounds begun by then; ${JSON.stringify(ended)}; ` +
        (await Promise.all(targets.map(describeTarget))).join("; "),
    );
  },
  120_000 + kills * 3_000 + quietWithinMs,
);

/** Rounds of the plan that the lives before it began. */
const begun = async (agent: ChildProcess): Promise<number> => {
  if (agent.stdout === null) throw new Error("no output to read");
  const lines = createInterface({ input: agent.stdout });
  const [line] = (await Promise.race([once(lines, "line"), once(agent, "exit").then(() => ["{}"])])) as [string];
  return Number((JSON.parse(line) as { begun?: string }).begun ?? 0);
};

const describeTarget = async (target: CountedTarget): Promise<string> => {
  const changes = await target.changes();
  const applied = changes.filter(({ verb }) => verb === "apply").length;
  return `${target.config.name}: ${applied} effects, ${changes.length - applied} undone`;
};

afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  for (const target of targets) await target.close();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

describe(`an agent with its connectors killed ${kills} times while it acts`, () => {
  test("no command is unaccounted for: each of them was undone, or failed without an effect", () => {
    expect((ended["undone"] ?? 0) + (ended["failed"] ?? 0), JSON.stringify(ended)).toBe(targets.length * commandsEach);
    expect(ended["undone"]).toBeGreaterThan((targets.length * commandsEach) / 2);
  });

  test("every lease is undone: nothing is in force at any far end", async () => {
    for (const target of targets) expect(await target.present(), target.config.name).toEqual([]);
  });

  test("never act twice, counted at the far end", async () => {
    for (const target of targets) {
      const states = new Map<string, "apply" | "undo">();
      const applied = new Map<string, number>();
      for (const { verb, key } of await target.changes()) {
        expect(
          states.get(key) ?? "undo",
          `${target.config.name}: ${verb} of ${key} changed what was so already`,
        ).not.toBe(verb);
        states.set(key, verb);
        if (verb === "apply") applied.set(key, (applied.get(key) ?? 0) + 1);
      }
      expect(applied.size, `${target.config.name} had effects`).toBeGreaterThan(0);
      const twice = [...applied].filter(([, times]) => times > target.commandsPerKey);
      expect(twice, `${target.config.name}: more effects than commands`).toEqual([]);
    }
  });
});
