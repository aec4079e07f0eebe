import { strict as assert } from "node:assert";
import { illegalText } from "./illegal-targets.ts";
import {
  added,
  applies,
  type CaseAnswer,
  ends,
  idAtFarEnd,
  isRestored,
  newCall,
  notApplicable,
  passed,
  prepared,
  type Stage,
  undoes,
  verifies,
} from "./stage.ts";

/** How a connector does when nothing goes wrong. */

export const applyTwiceIsOnce = async (stage: Stage): Promise<CaseAnswer> => {
  const connector = await stage.restart();
  const before = await stage.present();
  const call = await stage.prepare(connector, stage.subject.target);
  await applies(connector, call);
  const once = await stage.present();
  assert.equal(added(before, once).length, 1, `apply put ${JSON.stringify(added(before, once))} in force`);
  await applies(connector, call);
  assert.deepEqual(await stage.present(), once, "a second apply changed what is in force");
  const restarted = await stage.restart();
  await applies(restarted, call);
  assert.deepEqual(await stage.present(), once, "an apply after a restart changed what is in force");
  assert.equal((await stage.count("apply")) ?? 1, 1, "effects counted at the far end");
  await undoes(restarted, call);
  await isRestored(stage, before);
  return passed;
};

export const undoTwice = async (stage: Stage): Promise<CaseAnswer> => {
  const connector = await stage.restart();
  const before = await stage.present();
  const call = await stage.prepare(connector, stage.subject.target);
  await applies(connector, call);
  await undoes(connector, call);
  await undoes(connector, call);
  await undoes(await stage.restart(), call);
  await isRestored(stage, before);
  if (stage.traits.canUndo) assert.equal((await stage.count("undo")) ?? 1, 1, "undos counted at the far end");
  return passed;
};

export const undoOfNothing = async (stage: Stage): Promise<CaseAnswer> => {
  const connector = await stage.restart();
  const foreign = await stage.opened.addForeign?.();
  const other = await stage.prepare(connector, stage.subject.otherTarget);
  await applies(connector, other);
  const before = await stage.present();
  await undoes(connector, await stage.prepare(connector, stage.subject.target));
  assert.deepEqual(await stage.present(), before, "undoing what was never done changed what is in force");
  assert.equal((await stage.count("undo")) ?? 0, 0, "undos counted at the far end");
  if (foreign !== undefined) assert(before.includes(foreign));
  await undoes(connector, other);
  return passed;
};

export const undoRestores = async (stage: Stage): Promise<CaseAnswer> => {
  if (!stage.traits.canUndo) return notApplicable("it cannot be taken back, and says so");
  const before = await stage.present();
  // Twice, so that what the first one leaves behind would show in the second.
  for (const _ of [1, 2]) {
    const connector = await stage.restart();
    const call = await stage.prepare(connector, stage.subject.target);
    await applies(connector, call);
    assert.equal(added(before, await stage.present()).length, 1, "in force beside what was before");
    // Undo comes from another life of the agent, with nothing but what the journal keeps.
    await undoes(await stage.restart(), JSON.parse(JSON.stringify(call)) as typeof call);
    await isRestored(stage, before);
  }
  return passed;
};

export const sameBeforeStays = async (stage: Stage): Promise<CaseAnswer> => {
  if (stage.opened.addSame === undefined) return notApplicable("the subject cannot do the same as somebody else");
  await stage.opened.addSame();
  const connector = await stage.restart();
  const before = await stage.present();
  assert(before.length > 0, "addSame put nothing in force");
  const call = await stage.prepare(connector, stage.subject.target);
  await applies(connector, call);
  await verifies(stage, connector, call, "present");
  await undoes(connector, call);
  assert.deepEqual(await stage.present(), before, "what somebody else had done before us is gone");
  return passed;
};

export const verifyTellsTheTruth = async (stage: Stage): Promise<CaseAnswer> => {
  const connector = await stage.restart();
  const call = await stage.prepare(connector, stage.subject.target);
  const other = await stage.prepare(connector, stage.subject.otherTarget);
  await verifies(stage, connector, call, "absent");
  await applies(connector, call);
  await verifies(stage, connector, call, "present");
  await verifies(stage, connector, other, "absent");
  await verifies(stage, await stage.restart(), call, "present");
  const again = await stage.restart();
  await undoes(again, call);
  if (!stage.traits.canVerify) return notApplicable("it cannot verify: at most once, and every screen says so");
  if (stage.traits.canUndo) await verifies(stage, again, call, "absent");
  return passed;
};

export const othersUntouched = async (stage: Stage): Promise<CaseAnswer> => {
  if (stage.opened.addForeign === undefined)
    return notApplicable("the subject cannot put in an entry of somebody else");
  const foreign = await stage.opened.addForeign();
  const connector = await stage.restart();
  const before = await stage.present();
  assert(before.includes(foreign), `addForeign says ${foreign}, present() does not`);
  const call = await stage.prepare(connector, stage.subject.target);
  await applies(connector, call);
  assert((await stage.present()).includes(foreign), "apply took somebody else's entry away");
  await undoes(connector, call);
  assert((await stage.present()).includes(foreign), "undo took somebody else's entry away");
  await undoes(connector, call);
  await isRestored(stage, before);
  return passed;
};

/** Five rounds at once, with undo beside apply: whoever writes back a whole list loses an entry of another. */
export const manyAtOnce = async (stage: Stage): Promise<CaseAnswer> => {
  const { target, otherTarget } = stage.subject;
  const connector = await stage.restart();
  const foreign = await stage.opened.addForeign?.();
  const before = await stage.present();
  for (const _ of [1, 2, 3, 4, 5]) {
    const one = await stage.prepare(connector, target);
    const other = await stage.prepare(connector, otherTarget);
    await Promise.all([applies(connector, one), applies(connector, other)]);
    assert.equal(added(before, await stage.present()).length, 2, "two applied at once are not both in force");
    await Promise.all([verifies(stage, connector, one, "present"), verifies(stage, connector, other, "present")]);
    await undoes(connector, one);
    const again = await stage.prepare(connector, target);
    await Promise.all([applies(connector, again), undoes(connector, other)]);
    if (!stage.traits.canUndo) return passed;
    assert.equal(added(before, await stage.present()).length, 1, "an undo beside an apply lost one of them");
    await undoes(connector, again);
    await isRestored(stage, before);
  }
  if (foreign !== undefined) assert((await stage.present()).includes(foreign), "somebody else's entry is gone");
  return passed;
};

export const illegalRefused = async (stage: Stage): Promise<CaseAnswer> => {
  const { action, illegalTargets } = stage.subject;
  if (illegalTargets.length === 0) return notApplicable("the subject names no illegal target");
  await stage.opened.addForeign?.();
  const connector = await stage.restart();
  const before = await stage.present();
  for (const target of illegalTargets) {
    const said = illegalText(target);
    const call = newCall(action, target);
    // As the executor does: what cannot be resolved or captured is never applied. Then apply itself is asked all the same.
    const ready = await prepared(connector, call).catch(() => undefined);
    const outcome = await ends("apply", connector.apply(ready ?? call));
    assert.equal(outcome.kind, "refused", `apply to ${said} says ${JSON.stringify(outcome)}`);
    await undoes(connector, ready ?? call);
    assert.notEqual((await ends("verify", connector.verify(ready ?? call))).kind, "present", `verify of ${said}`);
    assert.deepEqual(await stage.present(), before, `${said} changed what is in force`);
  }
  assert.equal((await stage.count("apply")) ?? 0, 0, "effects counted at the far end");
  return passed;
};

export const listsOursAlone = async (stage: Stage): Promise<CaseAnswer> => {
  await stage.opened.addForeign?.();
  const connector = await stage.restart();
  const { listInForce } = connector;
  if (listInForce === undefined) return notApplicable("the far end cannot list what is ours");
  const ids = async (): Promise<string[]> => {
    const listed = await ends("listInForce", listInForce());
    assert(listed.ok, "it cannot list");
    return listed.value.map(({ action, id }) => `${action} ${id}`).sort();
  };
  assert.deepEqual(await ids(), [], "it lists what Reflex never put in force");
  const call = await stage.prepare(connector, stage.subject.target);
  await applies(connector, call);
  assert.deepEqual(await ids(), [`${call.action} ${idAtFarEnd(call)}`]);
  const other = await stage.prepare(connector, stage.subject.otherTarget);
  await applies(connector, other);
  assert.equal((await ids()).length, 2);
  await undoes(connector, call);
  await undoes(connector, other);
  if (stage.traits.canUndo) assert.deepEqual(await ids(), []);
  return passed;
};
