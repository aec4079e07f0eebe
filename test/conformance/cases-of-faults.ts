import { strict as assert } from "node:assert";
import type { ApplyOutcome, Connector, ConnectorCall } from "@reflex/edge-agent/connectors/contract";
import {
  added,
  applies,
  type CaseAnswer,
  cannotFail,
  ends,
  faultsOf,
  isRestored,
  newCall,
  notApplicable,
  passed,
  prepared,
  type Stage,
  undoes,
  verifies,
} from "./stage.ts";
import { type FaultName, retryAfterSeconds } from "./subject.ts";

/** What a connector says when something goes wrong, and that it says no more than it knows. */

const said = (outcome: unknown): string => JSON.stringify(outcome);

/** After a call of unknown fate: verified, applied again without a second effect, and taken back. */
const isOneEffect = async (stage: Stage, connector: Connector, call: ConnectorCall, before: readonly string[]) => {
  await verifies(stage, connector, call, "present");
  if (stage.traits.canVerify) await applies(connector, call);
  assert.equal(added(before, await stage.present()).length, 1, "in force beside what was before");
  assert.equal((await stage.count("apply")) ?? 1, 1, "effects counted at the far end");
  await undoes(connector, call);
  await isRestored(stage, before);
};

export const timeOutAfterSuccess = async (stage: Stage): Promise<CaseAnswer> => {
  const cannot = cannotFail(stage, "timeout after success");
  if (cannot !== undefined) return cannot;
  const connector = await stage.restart();
  const before = await stage.present();
  const call = await stage.prepare(connector, stage.subject.target);
  const outcome = await stage.during({ name: "timeout after success" }, () => ends("apply", connector.apply(call)));
  assert.equal(outcome.kind, "unknown", `it was carried out and never answered, and apply says ${said(outcome)}`);
  await isOneEffect(stage, connector, call, before);
  return passed;
};

export const partialAnswer = async (stage: Stage): Promise<CaseAnswer> => {
  const cannot = cannotFail(stage, "partial answer");
  if (cannot !== undefined) return cannot;
  const connector = await stage.restart();
  const before = await stage.present();
  const call = await stage.prepare(connector, stage.subject.target);
  const outcome = await stage.during({ name: "partial answer" }, () => ends("apply", connector.apply(call)));
  assert.equal(outcome.kind, "unknown", `half an answer came, and apply says ${said(outcome)}`);
  await isOneEffect(stage, connector, call, before);
  return passed;
};

export const waitsAsAsked = async (stage: Stage): Promise<CaseAnswer> => {
  const cannot = cannotFail(stage, "429");
  if (cannot !== undefined) return cannot;
  const connector = await stage.restart();
  const before = await stage.present();
  const call = await stage.prepare(connector, stage.subject.target);
  await stage.during({ name: "429" }, async () => {
    const applied = await ends("apply", connector.apply(call));
    assert(applied.kind === "retry", `turned away, and apply says ${said(applied)}`);
    assert.equal(applied.retryAfterMs, retryAfterSeconds * 1_000, "what Retry-After asks for");
    const verified = await ends("verify", connector.verify(call));
    assert.equal(verified.kind, "unknown", `turned away, and verify says ${said(verified)}`);
    if (!stage.traits.canUndo) return;
    const undone = await ends("undo", connector.undo(call));
    assert(undone.kind === "retry", `turned away, and undo says ${said(undone)}`);
    assert.equal(undone.retryAfterMs, retryAfterSeconds * 1_000, "what Retry-After asks for");
  });
  assert.deepEqual(await stage.present(), before, "nothing was carried out");
  await applies(connector, call);
  await undoes(connector, call);
  await isRestored(stage, before);
  return passed;
};

/** The call is broken at each of its requests in turn, before and after the far end carried that one out. */
export const partialApply = async (stage: Stage): Promise<CaseAnswer> => {
  const breaks = (["reset before handling", "reset after handling"] as const).filter(
    (name) => cannotFail(stage, name) === undefined,
  );
  if (breaks.length === 0) return cannotFail(stage, "reset before handling");
  const requests = await requestsOfOneLife(stage);
  for (const name of breaks) {
    for (let skip = 0; skip < requests.apply; skip += 1) await brokenApply(stage, name, skip);
    for (let skip = 0; skip < requests.undo; skip += 1) await brokenUndo(stage, name, skip);
  }
  return passed;
};

const requestsOfOneLife = async (stage: Stage): Promise<{ readonly apply: number; readonly undo: number }> => {
  const { calls } = faultsOf(stage);
  const call = await stage.prepare(await stage.restart(), stage.subject.target);
  const applier = await stage.restart();
  const atFirst = calls();
  await applies(applier, call);
  const applied = calls();
  const undoer = await stage.restart();
  const atLast = calls();
  await undoes(undoer, call);
  return { apply: applied - atFirst, undo: calls() - atLast };
};

const brokenApply = async (stage: Stage, name: FaultName, skip: number): Promise<void> => {
  const where = `${name}, request ${skip + 1} of apply`;
  // What cannot be taken back is still there from the life before.
  const before = await stage.present();
  const effects = (await stage.count("apply")) ?? 0;
  const call = await stage.prepare(await stage.restart(), stage.subject.target);
  const connector = await stage.restart();
  const outcome = await stage.during({ name, skip, times: 1 }, () => ends("apply", connector.apply(call)));
  const isThere = added(before, await stage.present()).length > 0;
  isHonest(outcome, isThere, where);
  if (stage.traits.canVerify && outcome.kind === "unknown") {
    const verified = await ends("verify", connector.verify(call));
    assert.equal(verified.kind, isThere ? "present" : "absent", `${where}: verify says ${said(verified)}`);
  }
  if (stage.traits.canVerify || !isThere) await applies(connector, call);
  assert.equal(added(before, await stage.present()).length, 1, where);
  const now = await stage.count("apply");
  if (now !== undefined) assert.equal(now - effects, 1, `${where}: effects counted at the far end`);
  await undoes(connector, call);
  await isRestored(stage, before);
};

const isHonest = (outcome: ApplyOutcome, isThere: boolean, where: string): void => {
  if (outcome.kind === "applied") assert(isThere, `${where}: applied, it says, and it is not there`);
  if (outcome.kind === "retry" || outcome.kind === "refused")
    assert(!isThere, `${where}: ${said(outcome)}, it says, and it is there`);
};

const brokenUndo = async (stage: Stage, name: FaultName, skip: number): Promise<void> => {
  const where = `${name}, request ${skip + 1} of undo`;
  const before = await stage.present();
  const first = await stage.restart();
  const call = await stage.prepare(first, stage.subject.target);
  await applies(first, call);
  const connector = await stage.restart();
  const outcome = await stage.during({ name, skip, times: 1 }, () => ends("undo", connector.undo(call)));
  if (outcome.kind === "undone" && stage.traits.canUndo)
    assert.deepEqual(added(before, await stage.present()), [], `${where}: undone, it says, and it is there`);
  await undoes(connector, call);
  await isRestored(stage, before);
};

export const expiredTokenRefreshed = async (stage: Stage): Promise<CaseAnswer> => {
  const expire = stage.opened.faults?.expireTokens;
  if (expire === undefined) return notApplicable("its credentials do not expire");
  const connector = await stage.restart();
  const before = await stage.present();
  const call = await stage.prepare(connector, stage.subject.target);
  expire();
  await applies(connector, call);
  expire();
  await verifies(stage, connector, call, "present");
  expire();
  await undoes(connector, call);
  await isRestored(stage, before);
  expire();
  const again = await stage.prepare(connector, stage.subject.otherTarget);
  await applies(connector, again);
  await undoes(connector, again);
  assert.equal((await stage.count("apply")) ?? 2, 2, "effects counted at the far end");
  return passed;
};

const heardAfterMs = 400;

export const tlsMismatchRefused = async (stage: Stage): Promise<CaseAnswer> => {
  const cannot = cannotFail(stage, "TLS name mismatch");
  if (cannot !== undefined) return cannot;
  const before = await stage.present();
  const call = await stage.prepare(await stage.restart(), stage.subject.target);
  const connector = await stage.restart();
  await stage.during({ name: "TLS name mismatch" }, async () => {
    const calls = faultsOf(stage).calls();
    // Connections that were open before are cut. A call that goes onto one before this side has heard of it is honestly unknown.
    let applied = await ends("apply", connector.apply(call));
    for (let tries = 1; applied.kind === "unknown" && tries < 10; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, heardAfterMs));
      applied = await ends("apply", connector.apply(call));
    }
    assert.equal(applied.kind, "retry", `nothing can have been sent, and apply says ${said(applied)}`);
    const verified = await ends("verify", connector.verify(call));
    assert.equal(verified.kind, "unknown", `nobody was asked, and verify says ${said(verified)}`);
    if (stage.traits.canUndo) {
      const undone = await ends("undo", connector.undo(call));
      assert.equal(undone.kind, "retry", `nobody was asked, and undo says ${said(undone)}`);
    }
    assert.equal(faultsOf(stage).calls(), calls, "requests that reached a server with the wrong name");
  });
  assert.deepEqual(await stage.present(), before);
  await applies(connector, call);
  await undoes(connector, call);
  return passed;
};

export const slowBodyBounded = async (stage: Stage): Promise<CaseAnswer> => {
  const cannot = cannotFail(stage, "slow body");
  if (cannot !== undefined) return cannot;
  const connector = await stage.restart();
  const before = await stage.present();
  const call = await stage.prepare(connector, stage.subject.target);
  const fresh = newCall(stage.subject.action, stage.subject.otherTarget);
  await stage.during({ name: "slow body" }, async () => {
    const [applied, verified, ready] = await Promise.all([
      ends("apply", connector.apply(call)),
      ends("verify", connector.verify(call)),
      ends("resolve and captureUndo", prepared(connector, fresh)).catch(() => undefined),
    ]);
    assert.notEqual(applied.kind, "refused", `the answer never ended, and apply says ${said(applied)}`);
    isHonest(applied, added(before, await stage.present()).length > 0, "slow body");
    assert.notEqual(verified.kind, "absent", `the answer never ended, and verify says ${said(verified)}`);
    assert(ready === undefined || ready.undoData === "", "undo data was captured from an answer that never ended");
  });
  await applies(connector, call);
  await undoes(connector, call);
  await isRestored(stage, before);
  assert.equal((await stage.count("apply")) ?? 1, 1, "effects counted at the far end");
  return passed;
};
