import { strict as assert } from "node:assert";
import type { CommandRow } from "@reflex/edge-agent/ports";
import { type ActingAgent, startActingAgent } from "./acting-agent.ts";
import { added, type CaseAnswer, cannotFail, faultsOf, isRestored, passed, type Stage, verifies } from "./stage.ts";

/** The connector under the executor and the journal as they ship: whatever happens, one effect and one undo. */

const ttlSeconds = 900;
/** More than any native TTL and late call: the lease is over, whoever asks. */
const pastTtlMs = (ttlSeconds + 60) * 1_000;
const settled: readonly CommandRow["state"][] = ["in_force", "failed", "undone", "stuck"];
const ended: readonly CommandRow["state"][] = ["undone", "failed"];

type Crashes = { readonly crashBefore?: ReadonlySet<number>; readonly crashAfter?: ReadonlySet<number> };

const withAgent = async (
  stage: Stage,
  crashes: Crashes,
  act: (agent: ActingAgent) => Promise<void>,
): Promise<number> => {
  const connector = await stage.restart();
  const agent = await startActingAgent({ connectorName: connector.name, connector: stage.restart, ...crashes });
  try {
    await act(agent);
    return agent.commits();
  } finally {
    await agent.close();
  }
};

const plan = (agent: ActingAgent, { subject }: Stage): Promise<string> =>
  agent.plan(subject.action, subject.target, ttlSeconds);

/** Where nothing can be verified, a call of unknown fate waits for its end. */
const comesToRest = ({ traits }: Stage): readonly CommandRow["state"][] =>
  traits.canVerify ? settled : [...settled, "pending_verification"];

const requestsBeforeApply = async (stage: Stage): Promise<number> => {
  const connector = await stage.restart();
  const atFirst = faultsOf(stage).calls();
  await stage.prepare(connector, stage.subject.target);
  return faultsOf(stage).calls() - atFirst;
};

export const serverErrorStorm = async (stage: Stage): Promise<CaseAnswer> => {
  const cannot = cannotFail(stage, "5xx before handling");
  if (cannot !== undefined) return cannot;
  const { faults } = stage.opened;
  const before = await stage.present();
  // From the very first request, and from the moment at which apply is called.
  for (const skip of [0, await requestsBeforeApply(stage)]) {
    const effects = (await stage.count("apply")) ?? 0;
    await withAgent(stage, {}, async (agent) => {
      faults?.set({ name: "5xx before handling", skip, times: 3 });
      const id = await plan(agent, stage);
      const row = await agent.reaches(id, comesToRest(stage));
      faults?.set({ name: "5xx before handling", times: 3 });
      if (stage.traits.canVerify) assert.equal(row.state, "in_force", `after three server errors: ${row.detail}`);
      agent.moveClock(pastTtlMs);
      await agent.reaches(id, ended);
      faults?.clear();
    });
    await isRestored(stage, before);
    const now = await stage.count("apply");
    if (now !== undefined) assert(now - effects <= 1, `${now - effects} effects of one command`);
  }
  if (cannotFail(stage, "5xx after handling") !== undefined) return passed;
  const effects = (await stage.count("apply")) ?? 0;
  // What cannot be taken back is still there from the lives before.
  const beforeLast = await stage.present();
  await withAgent(stage, {}, async (agent) => {
    faults?.set({ name: "5xx after handling", times: 3 });
    const id = await plan(agent, stage);
    const row = await agent.reaches(id, comesToRest(stage));
    faults?.clear();
    if (stage.traits.canVerify) assert.equal(row.state, "in_force", `after three server errors: ${row.detail}`);
    if (row.state === "in_force") assert.equal(added(beforeLast, await stage.present()).length, 1);
    faults?.set({ name: "5xx after handling", times: 3 });
    agent.moveClock(pastTtlMs);
    await agent.reaches(id, ended);
    faults?.clear();
  });
  await isRestored(stage, before);
  const now = await stage.count("apply");
  if (now !== undefined) assert(now - effects <= 1, `${now - effects} effects of one command`);
  return passed;
};

/** One, and as many as the executor takes for the truth. */
const staleReads = [1, 2];

export const staleRead = async (stage: Stage): Promise<CaseAnswer> => {
  const cannot = cannotFail(stage, "stale read");
  if (cannot !== undefined) return cannot;
  const { faults } = stage.opened;
  const before = await stage.present();
  // "Not there" for a while after it was applied, then "still there" for a while after it was taken back.
  for (const times of staleReads) {
    // Read once as things are, so that this is what stale reads say.
    const connector = await stage.restart();
    const call = await stage.prepare(connector, stage.subject.target);
    await verifies(stage, connector, call, "absent");
    const effects = (await stage.count("apply")) ?? 0;
    await withAgent(stage, {}, async (agent) => {
      faults?.set({ name: "stale read", times });
      const id = await plan(agent, stage);
      const row = await agent.reaches(id, settled);
      faults?.clear();
      const isThere = added(before, await stage.present()).length > 0;
      if (row.state === "in_force") assert(isThere, "in force, says the journal, and it is not there");
      else assert(!isThere, `${row.state}, says the journal, and it is there`);
      await verifies(stage, agent.connector(), call, isThere ? "present" : "absent");
      faults?.set({ name: "stale read", times });
      agent.moveClock(pastTtlMs);
      await agent.reaches(id, ended);
      faults?.clear();
    });
    await isRestored(stage, before);
    const now = await stage.count("apply");
    if (now !== undefined) assert(now - effects <= 1, `${now - effects} effects of one command`);
  }
  return passed;
};

/** Dies before and after each write to the disk, and once with the call under way. */
export const restartBetweenSteps = async (stage: Stage): Promise<CaseAnswer> => {
  const before = await stage.present();
  const live = async (crashes: Crashes, where: string): Promise<number> => {
    const effects = (await stage.count("apply")) ?? 0;
    const undos = (await stage.count("undo")) ?? 0;
    try {
      return await withAgent(stage, crashes, async (agent) => {
        const id = await plan(agent, stage);
        const row = await agent.reaches(id, comesToRest(stage));
        if (stage.traits.canVerify) assert.equal(row.state, "in_force", row.detail ?? "no detail");
        if (row.state === "in_force" && row.verified)
          assert.equal(added(before, await stage.present()).length, 1, "in force beside what was before");
        agent.moveClock(pastTtlMs);
        await agent.reaches(id, ended);
        await isRestored(stage, before);
        const [applied, undone] = [await stage.count("apply"), await stage.count("undo")];
        if (applied !== undefined && stage.traits.canVerify) assert.equal(applied - effects, 1, "effects");
        if (applied !== undefined) assert(applied - effects <= 1, "effects");
        if (undone !== undefined && stage.traits.canUndo)
          assert.equal(undone - undos, (applied ?? 0) - effects, "undos counted at the far end");
      });
    } catch (cause) {
      throw new Error(`${where}: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
  };
  const commits = await live({}, "no crash");
  for (let commit = 1; commit <= commits; commit += 1) {
    await live({ crashBefore: new Set([commit]) }, `killed before commit ${commit} of ${commits}`);
    await live({ crashAfter: new Set([commit]) }, `killed after commit ${commit} of ${commits}`);
  }
  if (cannotFail(stage, "timeout after success") === undefined) await killedDuringTheCall(stage, before);
  return passed;
};

const killedDuringTheCall = async (stage: Stage, before: readonly string[]): Promise<void> => {
  const { faults } = stage.opened;
  const effects = await stage.count("apply");
  if (effects === undefined || faults === undefined) return;
  await withAgent(stage, {}, async (agent) => {
    faults.set({ name: "timeout after success" });
    const id = await plan(agent, stage);
    await agent.waitFor("the far end has carried it out", async () => (await stage.count("apply")) === effects + 1);
    await agent.kill();
    faults.clear();
    const row = await agent.reaches(id, comesToRest(stage));
    if (stage.traits.canVerify) assert.equal(row.state, "in_force", "killed with the call under way");
    agent.moveClock(pastTtlMs);
    await agent.reaches(id, ended);
  });
  await isRestored(stage, before);
  assert.equal(await stage.count("apply"), effects + 1, "effects of a call that was under way when the agent died");
};
