import { type ActionName, isActionName } from "@reflex/protocol/action";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Clock } from "../../ports.ts";
import type { ActionTraits, Connector, ConnectorCall, InForce, UndoOutcome, VerifyOutcome } from "../contract.ts";
import type { HttpCalls } from "../http-call.ts";
import type { Secrets } from "../secrets-port.ts";
import { type Ask, createAsk } from "./ask.ts";
import type { Bindings } from "./bind.ts";
import { captureSettled } from "./capture-settled.ts";
import { applyChange, isSoBefore, type StepDeps, undoChange } from "./change-step.ts";
import { createCredentials } from "./credentials.ts";
import { createReader } from "./list-items.ts";
import type { Action, Change, Manifest } from "./manifest.ts";
import type { Answer } from "./read-answer.ts";
import { captureBefore, listIds, resolveTarget, verifyTarget } from "./read-step.ts";
import { checkSite, type Site } from "./site-settings.ts";
import { bindingsOfCall, capturedBindings } from "./target-bindings.ts";
import { createTurns } from "./turns.ts";
import type { Json } from "./value.ts";

export type RestOptions = {
  readonly name: string;
  readonly manifest: Manifest;
  readonly site: Site;
};
export type RestDeps = {
  readonly calls: HttpCalls;
  readonly secrets: Secrets;
  readonly clock: Clock;
  /** Between two reads of one state; left out: real time. */
  readonly pause?: (ms: number) => Promise<void>;
  /** For one step, with all its requests; left out: 4 500. */
  readonly stepMsMax?: number;
};

/** A connector that is nothing but a manifest, a site's settings and this engine. Refused where the two do not fit. */
export const createRest = (
  { name, manifest, site }: RestOptions,
  { calls, secrets, clock, pause, stepMsMax }: RestDeps,
): Result<Connector, Refusal> => {
  const checked = checkSite(manifest, site);
  if (!checked.ok) return checked;
  const { settings, baseUrl } = checked.value;
  const credentials = createCredentials(site.secrets ?? {}, secrets, settings);
  return ok(
    createManifestConnector({
      name,
      manifest,
      settings,
      clock,
      ...createAsk({ manifest, baseUrl, credentials, calls, clock }),
      isRevealedBy: credentials.isRevealedBy,
      ...(pause === undefined ? {} : { pause }),
      ...(stepMsMax === undefined ? {} : { stepMsMax }),
      start: async () => {
        const readable = credentials.bindings();
        return readable.ok ? ok(undefined) : readable;
      },
      stop: async () => calls.close(),
    }),
  );
};

/** What a manifest needs of the protocol its product speaks; `ask` sends one request and reads its answer. */
export type ManifestConnectorParts = Pick<Connector, "name" | "start" | "stop"> & {
  readonly manifest: Manifest;
  readonly settings: Bindings;
  readonly clock: Clock;
  readonly ask: Ask;
  /** An answer in words, for people, without anything secret. */
  readonly wordsOf: (answer: Answer) => string;
  readonly isRevealedBy: (text: string) => boolean;
  readonly pause?: (ms: number) => Promise<void>;
  readonly stepMsMax?: number;
};

/** The executor gives a call 5 s; ours ends first, so that it can say what it knows. */
const stepMsUsual = 4_500;
/** The reconciler is in no hurry, and a long list has many pages. */
const listMsMax = 30_000;

export const createManifestConnector = (parts: ManifestConnectorParts): Connector => {
  const { name, manifest, settings, clock, ask, wordsOf, pause } = parts;
  const reader = createReader(ask, wordsOf, clock.nowMs);
  const deps: StepDeps = {
    ask,
    wordsOf,
    reader,
    nowMs: () => clock.nowMs(),
    ...(pause === undefined ? {} : { pause }),
  };
  const until = (): number => clock.nowMs() + (parts.stepMsMax ?? stepMsUsual);

  type Place = { readonly action: Action; readonly bindings: Bindings };
  const placeOf = (call: ConnectorCall): Result<Place, Refusal> => {
    const place = placeToResolve(call);
    // Nothing was ever done to what was never found.
    return place.ok && place.value.action.resolve !== undefined && call.resolved === undefined
      ? err(refusal("target-unresolved", "the target was not resolved"))
      : place;
  };
  const placeToResolve = (call: ConnectorCall): Result<Place, Refusal> => {
    const action = manifest.actions[call.action];
    if (action === undefined) return err(refusal("connector-unknown", `${manifest.name} cannot ${call.action}`));
    const bindings = bindingsOfCall(call, action, settings, clock.nowMs());
    if (!bindings.ok) return bindings;
    return ok({ action, bindings: new Map<string, Json>([...bindings.value, ...capturedBindings(call.undoData)]) });
  };

  const verifyPlace = async ({ action, bindings }: Place, untilMs: number): Promise<VerifyOutcome> =>
    action.verify === undefined
      ? { kind: "unknown", detail: action.verifyNoneBecause ?? "the product cannot be asked" }
      : verifyTarget(deps, action.verify, bindings, untilMs);

  const resolve = async (call: ConnectorCall) => {
    const place = placeToResolve(call);
    if (!place.ok) return place;
    const { action, bindings } = place.value;
    // Beside actions that resolve, one whose target is its own id.
    if (action.resolve === undefined)
      return ok({ id: String(bindings.get("target.value") ?? ""), label: call.target.value, entities: [], groups: [] });
    return resolveTarget(deps, action.resolve, bindings, until());
  };
  const isResolving = Object.values(manifest.actions).some((action) => action.resolve !== undefined);

  const takeTurns = createTurns();
  /** Two of our own writes to one list would only be in each other's way; whoever waited too long has sent nothing. */
  const inTurn = async <T>(change: Change, untilMs: number, run: () => Promise<T>): Promise<T | Waited> => {
    const { guarded } = change;
    if (guarded === undefined || guarded.kind === "alone") return run();
    return takeTurns(async () => (clock.nowMs() < untilMs ? run() : waitedTooLong));
  };

  const undo = async (call: ConnectorCall): Promise<UndoOutcome> => {
    const place = placeOf(call);
    // What could never be put in force is not in force.
    if (!place.ok) return { kind: "undone" };
    const change = place.value.action.undo;
    if (change === undefined) return { kind: "undone", detail: "nothing stays that could be taken back" };
    const untilMs = until();
    return inTurn(change, untilMs, () =>
      undoChange(deps, change, place.value.bindings, untilMs, () => verifyPlace(place.value, untilMs)),
    );
  };

  const listInForce = async (): Promise<Result<readonly InForce[], Refusal>> => {
    const untilMs = clock.nowMs() + listMsMax;
    const all: InForce[] = [];
    for (const [action, { list }] of entriesOf(manifest)) {
      if (list === undefined) continue;
      const listed = await listIds(deps, list, settings, untilMs, action);
      if (!listed.ok) return listed;
      all.push(...listed.value);
    }
    return ok(all);
  };
  // Reconciling needs the whole truth: a connector that lists only some of its actions lists none.
  const canList = entriesOf(manifest).every(([, { list }]) => list !== undefined);

  return {
    name,
    describe: () => ({
      about: manifest.about,
      needs: manifest.needs,
      actions: Object.fromEntries(entriesOf(manifest).map(([action, rule]) => [action, traitsOf(rule)])),
      ...(manifest.rate === undefined
        ? {}
        : { rate: { perSecond: manifest.rate.perSecond, burst: manifest.rate.burst } }),
      ...(manifest.rate?.atOnce === undefined ? {} : { callsAtOnceMax: manifest.rate.atOnce }),
    }),
    start: parts.start,
    ...(isResolving ? { resolve } : {}),
    captureUndo: async (call) => {
      const place = placeOf(call);
      if (!place.ok) return place;
      const { action, bindings } = place.value;
      if (action.capture === undefined) return ok("");
      const { capture, apply, undo: undoing } = action;
      const untilMs = until();
      return captureSettled(
        () => captureBefore(deps, capture, bindings, untilMs, parts.isRevealedBy),
        (undoData) => {
          const known = new Map<string, Json>([...bindings, ...capturedBindings(undoData)]);
          return isSoBefore(apply, known) || (undoing !== undefined && isSoBefore(undoing, known));
        },
        pause,
      );
    },
    apply: async (call) => {
      const place = placeOf(call);
      if (!place.ok) return { kind: "refused", ...place.error };
      const untilMs = until();
      const { apply } = place.value.action;
      return inTurn(apply, untilMs, () =>
        applyChange(deps, apply, place.value.bindings, untilMs, () => verifyPlace(place.value, untilMs)),
      );
    },
    verify: async (call) => {
      const place = placeOf(call);
      return place.ok ? verifyPlace(place.value, until()) : { kind: "absent", detail: place.error.detail };
    },
    undo,
    ...(canList ? { listInForce } : {}),
    stop: parts.stop,
  };
};

const waitedTooLong = { kind: "retry", detail: "other changes of the same list came first" } as const;
type Waited = typeof waitedTooLong;

const entriesOf = ({ actions }: Manifest): readonly (readonly [ActionName, Action])[] =>
  Object.entries(actions).filter((entry): entry is [ActionName, Action] => isActionName(entry[0]));

const traitsOf = ({ targets, nativeTtl, verify, undo }: Action): ActionTraits => ({
  targets,
  nativeTtl,
  canVerify: verify !== undefined,
  canUndo: undo !== undefined,
});
