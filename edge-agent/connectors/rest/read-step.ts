import { type Entity, type EntityType, entityTypes } from "@reflex/protocol/entity";
import { entityValueLengthMax } from "@reflex/protocol/limits";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { InForce, Resolved, VerifyOutcome } from "../contract.ts";
import { failureOfAnswer, failureOfRead, refusalOf } from "./ask.ts";
import type { Bindings } from "./bind.ts";
import type { StepDeps } from "./change-step.ts";
import type { ActionList, Clauses, Description, ReadFirst, Resolve, Verify } from "./manifest.ts";
import { areComparable, hasStatus, holdsAny, isAnswered, itemsAt, keptOf } from "./match.ts";
import { canonicalNet } from "./matcher-test.ts";
import { valuesAt } from "./pointer.ts";
import type { Answer } from "./read-answer.ts";
import type { Json } from "./value.ts";

/** A person belongs to a few hundred groups; a directory that answers more answers something else. */
const describedMax = 2_048;

/** Exactly one thing, with everything it is called. */
export const resolveTarget = async (
  { reader }: StepDeps,
  resolve: Resolve,
  bindings: Bindings,
  untilMs: number,
): Promise<Result<Resolved, Refusal>> => {
  const items = await reader.readItems(resolve, bindings, untilMs);
  if (!items.ok) {
    const isNone = items.error.status === 404;
    return err(isNone ? refusal("target-unresolved", "the product does not know the target") : refusalOf(items.error));
  }
  const [item, ...others] = items.value;
  if (item === undefined) return err(refusal("target-unresolved", "the product does not know the target"));
  if (others.length > 0)
    return err(refusal("target-unresolved", `${others.length + 1} things there are called so; it must be exactly one`));
  const id = resolve.id === "target" ? bindings.get("target.value") : valuesAt(item, resolve.id)[0];
  if ((typeof id !== "string" && typeof id !== "number") || id === "")
    return err(refusal("target-unresolved", "what was found has no id"));

  const described = new Map<string, Json>([...bindings, ["resolved.id", id]]);
  const parts = [partsOf(resolve, [item])];
  described.set("resolved.label", parts[0]?.label ?? String(id));
  for (const step of resolve.then) {
    const pages = await reader.readPages(step, described, untilMs);
    if (!pages.ok) return err(refusalOf(pages.error));
    const things = pages.value.flatMap(({ content }) =>
      step.item === undefined ? [content] : valuesAt(content, step.item),
    );
    // Without its details nobody could tell whether it may be touched.
    if (things.length === 0) return err(refusal("target-unresolved", "the product has no details of what was found"));
    parts.push(partsOf(step, things));
  }
  if (parts.some((part) => part === undefined))
    return err(refusal("target-unresolved", "what was found is called more things than can be checked"));
  const whole = parts.filter((part) => part !== undefined);
  return ok({
    id: String(id),
    label: whole.find(({ label }) => label !== undefined)?.label ?? String(id),
    entities: whole.flatMap(({ entities }) => entities),
    groups: whole.flatMap(({ groups }) => groups),
  });
};

type Parts = {
  readonly label: string | undefined;
  readonly entities: readonly Entity[];
  readonly groups: readonly string[];
};

const partsOf = ({ label, also, groups }: Description, things: readonly unknown[]): Parts | undefined => {
  const named = label === undefined ? [] : things.flatMap((thing) => texts(valuesAt(thing, label)));
  const entities = also.flatMap(([type, pointer]) =>
    things.flatMap((thing) => texts(valuesAt(thing, pointer)).map((value) => ({ type, value }))),
  );
  const belongs = groups.flatMap((group) => things.flatMap((thing) => texts(valuesAt(thing, group))));
  if (entities.length > describedMax || belongs.length > describedMax) return undefined;
  return { label: named[0]?.slice(0, 256), entities: entities.filter(isEntity), groups: belongs };
};

/** A list at the end of a pointer is as good as a pointer to its entries. */
const texts = (found: readonly unknown[]): string[] =>
  found
    .flat()
    .filter((one) => typeof one === "string" || typeof one === "number")
    .map(String)
    .filter((one) => one.trim() !== "");

const isEntity = ({ type, value }: { readonly type: EntityType; readonly value: string }): boolean =>
  entityTypes.includes(type) && value.length <= entityValueLengthMax;

/** Undo data as one small JSON text. */
const undoDataBytesMax = 64 * 1024;

export const captureBefore = async (
  { ask, wordsOf, nowMs }: StepDeps,
  capture: ReadFirst,
  bindings: Bindings,
  untilMs: number,
  isRevealedBy: (text: string) => boolean,
): Promise<Result<string, Refusal>> => {
  const answer = await ask({ template: capture.request, bindings, untilMs, isList: true });
  if (!answer.ok) return err(refusalOf(failureOfRead(answer.error)));
  if (!isAnswered(capture.answered, answer.value, bindings))
    return err(refusalOf(failureOfAnswer(answer.value, wordsOf(answer.value), nowMs())));
  const kept = keptOf(capture.keep, answer.value, bindings);
  if ("missing" in kept)
    return err(refusal("connector-refused", `the answer has no ${kept.missing}, which undo needs`));
  const text = JSON.stringify({ captured: Object.fromEntries(kept.kept) });
  if (Buffer.byteLength(text) > undoDataBytesMax)
    return err(refusal("too-large", `undo would need more than ${undoDataBytesMax} bytes`));
  if (isRevealedBy(text)) return err(refusal("connector-refused", "what undo needs holds a secret, which is not kept"));
  return ok(text);
};

/** A clear yes, a clear no, or neither. */
export const verifyTarget = async (
  { reader }: StepDeps,
  verify: Verify,
  bindings: Bindings,
  untilMs: number,
): Promise<VerifyOutcome> => {
  const clauses = [verify.answered, verify.present, verify.absent];
  if (!clauses.every((one) => areComparable(one, bindings))) {
    return { kind: "unknown", detail: "what the answer is compared with is not known" };
  }
  // Whatever came as an answer is judged by the clauses: 404 may well mean absent.
  const anyStatus: Clauses = [
    { at: verify.request.at, status: everyStatus, where: [], only: false, first: false, empty: false },
  ];
  const answers = await reader.readPages({ ...verify, answered: anyStatus }, bindings, untilMs);
  if (!answers.ok) return { kind: "unknown", detail: answers.error.detail };
  const isBelieved = (answer: Answer): boolean =>
    verify.answered === undefined || holdsAny(verify.answered, answer, bindings);
  if (!answers.value.every(isBelieved)) return { kind: "unknown", detail: statusesOf(answers.value) };
  const isPresent = answers.value.some((answer) => holdsAny(verify.present, answer, bindings));
  const isAbsent = answers.value.every((answer) => saysAbsent(verify, answer, bindings, isPresent));
  if (isPresent === isAbsent)
    return { kind: "unknown", detail: `${statusesOf(answers.value)} says neither yes nor no` };
  return { kind: isPresent ? "present" : "absent" };
};

const everyStatus = Array.from({ length: 500 }, (_, index) => 100 + index);
const statusesOf = (answers: readonly Answer[]): string =>
  `HTTP ${[...new Set(answers.map(({ status }) => status))].join(", ")}`;

const saysAbsent = ({ present, absent }: Verify, answer: Answer, bindings: Bindings, isPresent: boolean): boolean => {
  if (absent !== undefined) return holdsAny(absent, answer, bindings);
  const [listed] = present;
  if (listed?.items === undefined) return false;
  return !isPresent && hasStatus(listed, answer) && itemsAt(answer, listed.items) !== undefined;
};

/** The ids that are in force there and ours. */
export const listIds = async (
  { reader }: StepDeps,
  list: ActionList,
  bindings: Bindings,
  untilMs: number,
  action: InForce["action"],
): Promise<Result<readonly InForce[], Refusal>> => {
  const items = await reader.readItems(list, bindings, untilMs);
  if (!items.ok) return err(refusalOf(items.error));
  const ids = items.value.map((item) => valuesAt(item, list.id)[0]);
  if (!ids.every((id) => typeof id === "string" || typeof id === "number")) {
    return err(refusal("connector-refused", `an entry of the list has no ${list.id.text}`));
  }
  const named = ids.flatMap((id) => idAs(String(id), list.idAs) ?? []);
  return ok([...new Set(named)].map((id) => ({ action, id })));
};

/** One address as itself, a network with its prefix; what is the other of the two belongs to another action. */
const idAs = (id: string, kind: ActionList["idAs"]): string | undefined => {
  if (kind === "text") return id;
  const net = canonicalNet(id);
  if (net === undefined) return undefined;
  const [address = "", bits] = net.split("/");
  const isOne = Number(bits) === (address.includes(":") ? 128 : 32);
  return kind === "address" ? (isOne ? address : undefined) : isOne ? undefined : net;
};
