import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Child } from "@reflex/installers/start/child";
import { replayToken } from "@reflex/policies/engine/replay";
import { firstPrevious } from "@reflex/protocol/token";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDice } from "../../bench/random.ts";
import type { FarEndCounts } from "../../fixtures/far-end.ts";
import { readCounts } from "../../fixtures/http-far-end.ts";
import { appliedAfterUndo, keyOf, readAll, readOwn, readStored, type Stored, timesInForce } from "./evidence.ts";
import { createSender, type Sender } from "./sender.ts";
import { killed, type Site, serves, startSite } from "./site.ts";

/** `REFLEX_KILLS=200` for the long run; `REFLEX_SEED` repeats its dice, though never its timing. */
const kills = Number(process.env["REFLEX_KILLS"] ?? 20);
const seed = Number(process.env["REFLEX_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ttlSeconds = 10;
const criticalTtlSeconds = 15;
/** Every so many lives one is left to do its work before it is killed: the one that must end what is overdue. */
const killsBetweenRests = 8;
const restMs = 9_000;
/** Once an agent lives, what is due or overdue has ended within this; less by far on a machine that is not busy. */
const slackMs = 8_000;
const quietWithinMs = 240_000;
const stopWithinMs = 20_000;
const hearingMs = 3_000;
const livesToHear = 5;
const killedWithinMs = 180_000 + kills * 8_000 + quietWithinMs;

let folder = "";
let site: Site;
let farEnd: ChildProcess;
let sender: Sender;
let counts: FarEndCounts;
let stored: Stored;
let own: Awaited<ReturnType<typeof readOwn>>;
/** When an agent was alive and left alone. */
const rests: { readonly fromMs: number; readonly untilMs: number }[] = [];

const pause = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));
const sha256Hex = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "reflex-killed-"));
  // Each life starts from the same sources; compiling them once makes room for more lives.
  process.env["NODE_COMPILE_CACHE"] = join(folder, "compiled");
  farEnd = spawn(process.execPath, [join(import.meta.dirname, "../../fixtures/far-end.ts"), "30"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let farEndUrl = "";
  for await (const port of createInterface({ input: farEnd.stdout as NodeJS.ReadableStream })) {
    farEndUrl = `http://127.0.0.1:${port}`;
    break;
  }
  site = await startSite({
    folder,
    policy: { connector: "far-end", ttlSeconds, criticalTtlSeconds },
    connectors: [],
    farEndUrl,
  });
  const first = site.startAgent();
  await serves(first);
  const dice = createDice(seed);
  sender = createSender(site.webhook, dice);
  sender.start();

  const startedMs = performance.now();
  await pause(dice.below(500));
  await killed(first);
  for (let life = 1; life < kills; life += 1) {
    const agent = site.startAgent();
    // A third dies while it starts, the others while they work.
    if (life % killsBetweenRests === 0) await rest(agent);
    else if (dice.chance(0.35)) await pause(dice.below(900));
    else {
      await serves(agent);
      await pause(dice.below(400));
    }
    await killed(agent);
  }
  const killingMs = performance.now() - startedMs;

  // Left alone at last: everything sent is acknowledged, everything in force ends, everything is reported.
  const last = site.startAgent();
  await serves(last);
  rests.push({ fromMs: Date.now(), untilMs: Number.POSITIVE_INFINITY });
  await within(sender.finish(), 30_000, () => `not everything is acknowledged: ${JSON.stringify(sender.figures())}`);
  await quiet(farEndUrl);
  await last.stop(stopWithinMs);
  own = await acknowledgedToTheLast();
  counts = await readCounts(farEndUrl);
  stored = await readStored(site.client, site.agent);
  const acting = Object.keys(counts.effects).length;
  const { records, repeats, requests, unanswered } = sender.figures();
  console.log(
    `seed ${seed}: ${kills} kills in ${Math.round(killingMs / 1_000)} s, ${Math.round((performance.now() - startedMs) / 1_000)} s with the quiet after; ` +
      `${records} detections and ${repeats} repeats in ${requests} requests (${unanswered} unanswered), ` +
      `${sender.acknowledged().size} acknowledged, ${stored.tokens.length} decisions and ${stored.commands.length} commands stored, ` +
      `${acting} effects, ${counts.calls.filter(({ verb, hasEffect }) => verb === "undo" && hasEffect).length} undos`,
  );
}, killedWithinMs);

afterAll(async () => {
  await site?.stop();
  farEnd?.kill("SIGKILL");
  delete process.env["NODE_COMPILE_CACHE"];
  if (process.env["REFLEX_KEEP"] === undefined) rmSync(folder, { recursive: true, force: true });
}, 60_000);

const rest = async (agent: Child): Promise<void> => {
  await serves(agent);
  const fromMs = Date.now();
  await pause(restMs);
  rests.push({ fromMs, untilMs: Date.now() });
};

/** What is due at this time has ended by then: on time while an agent lives, else soon after one is left to live. */
const endsBy = (dueMs: number): number => {
  const lasting = rests.find(({ untilMs }) => dueMs + slackMs <= untilMs);
  return Math.max(dueMs, lasting?.fromMs ?? Number.POSITIVE_INFINITY) + slackMs;
};

/** Nothing in force, no lease open, no report under way. */
const quiet = async (farEndUrl: string): Promise<void> => {
  const deadlineMs = performance.now() + quietWithinMs;
  for (;;) {
    const { present } = await readCounts(farEndUrl);
    const { commands } = await site.client.get<{ commands: unknown[] }>("/v1/leases");
    const acknowledged = sender.acknowledged().size;
    const { tokens } = await site.client.get<{ tokens: unknown[] }>(
      `/v1/tokens?agent=${site.agent}&after=${acknowledged - 1}&limit=1`,
    );
    if (present.length === 0 && commands.length === 0 && tokens.length > 0) return;
    if (performance.now() > deadlineMs) {
      const [example] = commands;
      throw new Error(
        `not quiet: ${present.length} in force, ${commands.length} leases such as ${JSON.stringify(example)}, the last of ${acknowledged} decisions ${tokens.length > 0 ? "stored" : "missing"}`,
      );
    }
    await pause(500);
  }
};

/** What the controller stored last may be acknowledged after the agent was told to stop: then the next life hears of it. */
const acknowledgedToTheLast = async (): Promise<typeof own> => {
  for (let lives = 0; ; lives += 1) {
    const read = await readOwn(site.journalFolder);
    if (read.spool.first > read.spool.last || lives === livesToHear) return read;
    const life = site.startAgent();
    await serves(life);
    await pause(hearingMs);
    await life.stop(stopWithinMs);
  }
};

const within = (promise: Promise<void>, limitMs: number, what: () => string): Promise<void> =>
  Promise.race([promise, pause(limitMs).then((): Promise<never> => Promise.reject(new Error(what())))]);

describe(`an agent killed ${kills} times while detections arrive`, () => {
  test("never lose a detection that was acknowledged", () => {
    expect(sender.surprises(), "fates of good records").toEqual([]);
    const decisionsByEvent = new Map<string, string[]>();
    for (const { token } of stored.tokens) {
      const { event_id: eventId } = token.detection;
      decisionsByEvent.set(eventId, [...(decisionsByEvent.get(eventId) ?? []), token.decision.decision_id]);
    }
    const { records } = sender.figures();
    expect(sender.acknowledged().size, "every detection was acknowledged in the end").toBe(records);
    for (const [eventId, { decisionIds }] of sender.acknowledged()) {
      const decisions = decisionsByEvent.get(eventId) ?? [];
      expect(decisions, `decisions about ${eventId}`).toHaveLength(1);
      for (const answered of decisionIds) expect(decisions, `what was answered about ${eventId}`).toContain(answered);
    }
    expect(decisionsByEvent.size, "nothing was decided that nobody sent").toBe(records);
  });

  test("one chain without a gap, and a replayed decision equals its token", () => {
    let previous = firstPrevious;
    for (const [index, { sequence, text, token }] of stored.tokens.entries()) {
      expect([sequence, token.header.sequence, token.previous]).toEqual([index + 1, index + 1, previous]);
      const report = replayToken(text, sha256Hex, { previous });
      expect(report.findings, `token ${sequence}`).toEqual([]);
      previous = token.hash;
    }
    expect(own.lastToken).toMatchObject({ sequence: stored.tokens.length, hash: previous });
  });

  test("never act twice", () => {
    const acting = stored.tokens.filter(({ token }) => token.decision.verdict === "act");
    expect(acting.length).toBeGreaterThan(0);
    const decisionIds = stored.commands.map((command) => command.decision_id).sort();
    expect(decisionIds, "one command for each decision to act").toEqual(
      acting.map(({ token }) => token.decision.decision_id).sort(),
    );
    expect(
      Object.entries(counts.effects).filter(([, times]) => times !== 1),
      "keys that had more than one effect",
    ).toEqual([]);
    expect(appliedAfterUndo(counts.calls), "keys applied again after their undo").toEqual([]);
    const known = new Set(own.commands.map(keyOf));
    expect(known.size).toBe(stored.commands.length);
    expect(
      counts.calls.filter(({ key }) => !known.has(key)),
      "calls nobody decided on",
    ).toEqual([]);
  });

  test("every lease is undone by its deadline or reported stuck", () => {
    expect(counts.present, "in force after every lease has ended").toEqual([]);
    // One that was cut off before its call got through, again and again, is given up, and says so: nothing of it was ever there.
    const effectless = new Set<string>(
      own.commands.filter((row) => counts.effects[keyOf(row)] === undefined).map(({ command }) => command.command_id),
    );
    expect(
      stored.commands.filter(
        ({ state, command_id }) => state !== "undone" && !(state === "failed" && effectless.has(command_id)),
      ),
      "commands that did not come to their end",
    ).toEqual([]);
    const late = timesInForce(counts.calls).flatMap(({ target, fromMs, untilMs = Number.POSITIVE_INFINITY }) => {
      // A target that is seen again has one lease more; the last of those that had begun by then sets the end.
      const leases = stored.commands.filter(
        (command) =>
          target === `block_ip ${command.target.value}` &&
          Date.parse(command.issued_at) <= untilMs &&
          // A call that set out in time may arrive a moment after it.
          Date.parse(command.undo_at ?? "") >= fromMs - slackMs,
      );
      const dueMs = Math.max(...leases.map(({ undo_at }) => Date.parse(undo_at ?? "")));
      return untilMs > endsBy(dueMs) ? [`${target}: ${untilMs - dueMs} ms after the end of ${leases.length}`] : [];
    });
    expect(late, "in force beyond the end of their leases").toEqual([]);
    // A deadline is set when the call sets out, so it is never later than the call's arrival and its time to live.
    const arrivedMs = new Map(counts.calls.filter(({ verb }) => verb === "apply").map(({ key, atMs }) => [key, atMs]));
    const moved = own.commands.filter((row) => {
      const calledMs = arrivedMs.get(keyOf(row));
      return calledMs !== undefined && (row.undoAtMs ?? 0) > calledMs + row.command.ttl * 1_000;
    });
    expect(moved, "deadlines that a restart moved").toEqual([]);
  });

  test("a record acknowledged is a record stored", async () => {
    expect(own.spool.first, "reports the controller has not acknowledged").toBe(own.spool.last + 1);
    expect(own.open).toEqual([]);
    expect(own.counts).toMatchObject({ decided: stored.tokens.length, deadLetters: 0 });
    const ownStates = new Map(own.commands.map(({ command, state }) => [command.command_id, state]));
    expect(new Map(stored.commands.map((command) => [command.command_id, command.state]))).toEqual(ownStates);
    expect(await readAll(site.client, "/v1/quarantine", "quarantine")).toEqual([]);
    expect(await readAll(site.client, "/v1/dead-letters", "dead_letters")).toEqual([]);
    const alarms = await readAll<{ name: string }>(site.client, "/v1/events?level=alarm", "events");
    expect(alarms).toEqual([]);
  });
});
