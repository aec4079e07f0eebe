import type {
  ApplyOutcome,
  Connector,
  ConnectorCall,
  ConnectorDescription,
  UndoOutcome,
  VerifyOutcome,
} from "@reflex/edge-agent/connectors/contract";
import type { ActionName } from "@reflex/protocol/action";
import { type Entity, entityKey } from "@reflex/protocol/entity";
import { ok } from "@reflex/protocol/result";
import type { Writer } from "./disk.ts";
import type { CallSubject } from "./happening.ts";
import type { Sim } from "./sim.ts";

/** The systems that are acted on. They outlive every agent, know what really is in force, and answer as badly as the weather. */
export type FarEnd = {
  readonly connectors: (process: Writer) => ReadonlyMap<string, Connector>;
  readonly inForce: () => readonly (CallSubject & { readonly sinceMs: number })[];
  /** Calls the process had made; some of them still arrive. */
  readonly cutOff: (process: Writer) => void;
};

/** What a call of the agent becomes on its way; lets a proof of the checks act in the agent's name. */
export type Tamper = {
  readonly apply?: (subject: CallSubject) => CallSubject;
  readonly undo?: (subject: CallSubject) => "carry out" | "pretend";
};

const descriptions: Readonly<Record<string, ConnectorDescription>> = {
  firewall: {
    actions: { block_ip: { targets: ["address"], nativeTtl: false, canVerify: true, canUndo: true } },
    needs: [],
    about: "a firewall",
  },
  dns: {
    actions: { block_domain: { targets: ["domain"], nativeTtl: true, canVerify: true, canUndo: true } },
    needs: [],
    about: "a resolver whose entries expire",
  },
  edr: {
    actions: { isolate_host: { targets: ["host"], nativeTtl: false, canVerify: true, canUndo: true } },
    needs: [],
    about: "endpoint response",
  },
  directory: {
    actions: { disable_user: { targets: ["user"], nativeTtl: false, canVerify: false, canUndo: true } },
    needs: [],
    about: "a directory that cannot say",
  },
};
const expiresAt = (connector: string): boolean =>
  Object.values(descriptions[connector]?.actions ?? {}).some(({ nativeTtl }) => nativeTtl);
export const connectorNames = Object.keys(descriptions) as [string, ...string[]];

type Entry = CallSubject & { readonly sinceMs: number; untilMs: number; readonly entity: Entity };
type Fate = "well" | "request lost" | "answer lost" | "breaks before" | "breaks after" | "slow" | "late" | "no";

type Request = { isDropped: boolean; heldMs: number };
/** With the longest way there, still less than what the agent takes a late call to be able to last. */
const heldMsMax = 8_000;

export const createFarEnd = (sim: Sim, tamper: Tamper = {}): FarEnd => {
  const { dice, time, weather } = sim;
  const entries = new Map<string, Entry>();
  const inFlight = new Map<Writer, Set<Request>>();
  const idOf = ({ connector, action, target }: CallSubject): string => `${connector}|${action}|${target}`;

  const drawFate = (connector: string): Fate => {
    if (weather.deadConnectors.has(connector)) return dice.pick(["request lost", "breaks before"]);
    if (!dice.chance(weather.callTrouble)) return "well";
    return dice.pick(["request lost", "answer lost", "breaks before", "breaks after", "slow", "late", "no"]);
  };
  const requestMs = (fate: Fate): number => {
    if (fate === "slow") return dice.between(500, 4_500);
    return fate === "late" ? dice.between(5_000, 25_000) : dice.between(1, 120);
  };

  /** One call over the network: the request may be lost, late or carried out with nobody left to hear the answer. */
  const call = <Answer>(process: Writer, name: string, what: string, carryOut: () => Answer, no: Answer | undefined) =>
    new Promise<Answer>((resolve, reject) => {
      if (!process.isAlive) return;
      if (dice.chance(weather.crash)) return process.crash(`before ${what}`);
      const drawn = drawFate(name);
      const fate = drawn === "no" && no === undefined ? "well" : drawn;
      if (fate !== "well") sim.happened({ kind: "trouble", with: "connector" });
      if (fate !== "well") sim.count(`call: ${fate}`);
      const request: Request = {
        heldMs: 0,
        isDropped: fate === "request lost" || fate === "breaks before" || fate === "no",
      };
      const requests = inFlight.get(process) ?? new Set();
      inFlight.set(process, requests.add(request));
      const arrivesMs = requestMs(fate);
      const arrives = (): void => {
        requests.delete(request);
        if (request.heldMs > 0) {
          time.after(sim.world, request.heldMs, arrives);
          request.heldMs = 0;
          return;
        }
        const answer = request.isDropped ? undefined : carryOut();
        time.after(process, dice.between(1, 80), () => {
          if (fate === "no" && no !== undefined) resolve(no);
          else if (fate === "breaks before" || fate === "breaks after") reject(new Error("connection reset"));
          else if (answer !== undefined && fate !== "answer lost") {
            if (dice.chance(weather.crash)) return process.crash(`after ${what}`);
            resolve(answer);
          }
        });
      };
      time.after(sim.world, arrivesMs, arrives);
      if (dice.chance(weather.crash)) process.crash(`during ${what}`);
    });

  const carryOutApply = (subject: CallSubject, entity: Entity, ttlSeconds: number): ApplyOutcome => {
    const known = entries.get(idOf(subject));
    const expires = expiresAt(subject.connector);
    const untilMs = expires ? time.nowMs() + ttlSeconds * 1_000 : Number.POSITIVE_INFINITY;
    if (expires) time.after(sim.world, ttlSeconds * 1_000 + 1, () => expire(idOf(subject)));
    sim.tell(
      `far end: apply ${subject.action} ${subject.target} ${short(subject.key)}${known === undefined ? "" : " (already in force)"}`,
    );
    if (known !== undefined) {
      known.untilMs = Math.max(known.untilMs, untilMs);
      return { kind: "applied" };
    }
    entries.set(idOf(subject), { ...subject, entity, sinceMs: time.nowMs(), untilMs });
    sim.happened({ kind: "effect", ...subject });
    sim.count("effects");
    return { kind: "applied" };
  };

  const expire = (id: string): void => {
    const entry = entries.get(id);
    if (entry === undefined || entry.untilMs > time.nowMs()) return;
    entries.delete(id);
    sim.tell(`far end: ${entry.action} ${entry.target} expires`);
    sim.happened({ kind: "removed", by: "expiry", ...subjectOf(entry) });
  };

  const carryOutUndo = (subject: CallSubject): UndoOutcome => {
    if (tamper.undo?.(subject) === "pretend") return { kind: "undone" };
    sim.happened({ kind: "undo_executed", ...subject });
    const entry = entries.get(idOf(subject));
    sim.tell(
      `far end: undo ${subject.action} ${subject.target} ${short(subject.key)}${entry === undefined ? " (nothing there)" : ""}`,
    );
    if (entry === undefined) return { kind: "undone" };
    entries.delete(idOf(subject));
    sim.happened({ kind: "removed", by: "undo", ...subject });
    return { kind: "undone" };
  };

  const connectorOf = (process: Writer, name: string, description: ConnectorDescription): Connector => {
    const subjectFor = (called: ConnectorCall): CallSubject => ({
      connector: name,
      action: called.action,
      target: entityKey(called.target),
      key: called.idempotencyKey,
    });
    return {
      name,
      describe: () => description,
      start: async () => ok(undefined),
      captureUndo: (called) =>
        call(process, name, "capture", () => ok(`was ${entries.has(idOf(subjectFor(called)))}`), undefined),
      apply: (called) => {
        if (!process.isAlive) return new Promise(() => undefined);
        const meant = subjectFor(called);
        const subject = tamper.apply?.(meant) ?? meant;
        sim.tell(`agent: calls apply ${subject.action} ${subject.target} ${short(subject.key)}`);
        sim.happened({ kind: "apply_started", ...subject });
        const no: ApplyOutcome = dice.chance(0.5)
          ? { kind: "refused", code: "connector-refused", detail: "no" }
          : { kind: "retry", detail: "busy", retryAfterMs: dice.between(0, 5_000) };
        return call(process, name, "apply", () => carryOutApply(subject, called.target, called.ttlSeconds), no);
      },
      verify: (called) => {
        const no: VerifyOutcome = { kind: "unknown", detail: "cannot say" };
        const look = (): VerifyOutcome => {
          if (tamper.undo?.(subjectFor(called)) === "pretend") return { kind: "absent" };
          return { kind: entries.has(idOf(subjectFor(called))) ? "present" : "absent" };
        };
        return call(process, name, "verify", look, no);
      },
      undo: (called) => {
        sim.tell(`agent: calls undo ${called.action} ${entityKey(called.target)} ${short(called.idempotencyKey)}`);
        return call(process, name, "undo", () => carryOutUndo(subjectFor(called)), { kind: "retry", detail: "busy" });
      },
      listInForce: () =>
        call(
          process,
          name,
          "list",
          () =>
            ok(
              [...entries.values()]
                .filter(({ connector }) => connector === name)
                .map(({ entity, action }) => ({ id: entity.value, action: action as ActionName })),
            ),
          undefined,
        ),
      stop: async () => undefined,
    };
  };

  return {
    connectors: (process) =>
      new Map(Object.entries(descriptions).map(([name, about]) => [name, connectorOf(process, name, about)])),
    inForce: () => [...entries.values()].map((entry) => ({ ...subjectOf(entry), sinceMs: entry.sinceMs })),
    cutOff: (process) => {
      for (const request of inFlight.get(process) ?? []) {
        request.isDropped ||= dice.chance(0.5);
        // Whoever asked is gone; a proxy or a busy server on the way may not have noticed yet.
        if (dice.chance(0.4)) request.heldMs = dice.between(500, heldMsMax);
      }
      inFlight.delete(process);
    },
  };
};

const subjectOf = ({ connector, action, target, key }: CallSubject): CallSubject => ({
  connector,
  action,
  target,
  key,
});
export const short = (hash: string): string => hash.slice(0, 6);
