import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMarks, type Marks } from "@reflex/edge-agent/policy/marks-port";
import type { Slots } from "@reflex/edge-agent/policy/slots-port";
import type { Clock, Journal, Timers } from "@reflex/edge-agent/ports";
import { openJournal, simulatedCrash } from "@reflex/edge-agent/store/journal";
import type { KillState } from "@reflex/protocol/kill";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Sim } from "./sim.ts";
import type { Owner } from "./time.ts";

/** The process that writes; dies when told to. */
export type Writer = Owner & { readonly crash: (point: string) => void };

/** One agent's disk. It outlives every process: what was written is there, what was not is not. */
export type Disk = {
  readonly slots: (writer: Writer) => Slots;
  readonly marks: (writer: Writer) => Marks;
  /** The real journal on a real file, with crashes and full disks around each commit. */
  readonly journal: (
    writer: Writer,
    parts: { readonly clock: Clock; readonly timers: Timers },
  ) => Result<Journal, Refusal>;
  readonly has: (slot: string) => boolean;
  readonly storedKills: () => readonly KillState[];
  readonly markOf: (key: string) => number;
  /** Forgets everything but the journal, as a disk that lies would. For proving that the checks see it. */
  readonly forget: (isForgotten: (name: string) => boolean) => void;
  readonly remove: () => void;
};

const quietLog = { info: () => undefined, warn: () => undefined, error: () => undefined };
const full = (what: string) => err(refusal("disk-full", what));

export const createDisk = (sim: Sim): Disk => {
  const { dice, weather } = sim;
  const memory = "/dev/shm";
  const folder = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), "reflex-simulate-"));
  const files = new Map<string, Uint8Array>();
  let marked: Readonly<Record<string, number>> | undefined;

  const isFailing = (): boolean => {
    if (!weather.isDiskFull && !dice.chance(weather.diskError)) return false;
    sim.happened({ kind: "trouble", with: "disk" });
    return true;
  };
  /** True when the process has died at this very point. */
  const dies = (writer: Writer, point: string): boolean => {
    if (!writer.isAlive) return true;
    if (!dice.chance(weather.crash)) return false;
    writer.crash(point);
    return true;
  };
  const never = <T>(): Promise<T> => new Promise(() => undefined);

  return {
    has: (slot) => files.has(slot),
    markOf: (key) => marked?.[key] ?? 0,
    storedKills: () =>
      ["kill.a", "kill.b"].flatMap((name) => {
        const bytes = files.get(name);
        return bytes === undefined ? [] : (JSON.parse(Buffer.from(bytes).toString().slice(64)) as KillState[]);
      }),
    forget: (isForgotten) => {
      for (const name of [...files.keys()]) if (isForgotten(name)) files.delete(name);
      marked = Object.fromEntries(Object.entries(marked ?? {}).filter(([key]) => !isForgotten(key)));
    },
    slots: (writer) => ({
      read: async (name, bytesMax) => {
        if (!writer.isAlive) return never();
        const bytes = files.get(name);
        return bytes !== undefined && bytes.length > bytesMax ? err(refusal("too-large", name)) : ok(bytes);
      },
      write: (name, bytes) =>
        new Promise((resolve) => {
          const content = Uint8Array.from(bytes);
          const delayMs = dice.chance(weather.slowDisk) ? dice.between(50, 4_000) : dice.between(0, 3);
          sim.time.after(writer, delayMs, () => {
            if (dies(writer, `before slot ${name}`)) return;
            if (isFailing()) return resolve(full(name));
            files.set(name, content);
            if (!dies(writer, `after slot ${name}`)) resolve(ok(undefined));
          });
        }),
    }),
    marks: (writer) =>
      createMarks({
        values: () => marked,
        raise: (values) => {
          if (dies(writer, "before marks")) return full("marks");
          if (isFailing()) return full("marks");
          marked = { ...marked, ...values };
          dies(writer, "after marks");
          return ok(undefined);
        },
      }),
    journal: (writer, { clock, timers }) => {
      mkdirSync(folder, { recursive: true });
      return openJournal({
        folder,
        clock,
        timers,
        log: quietLog,
        faults: {
          beforeCommit: () => {
            if (dies(writer, "before commit")) throw simulatedCrash;
            if (isFailing()) throw new Error("no space left on device");
          },
          afterCommit: () => {
            if (dies(writer, "after commit")) throw simulatedCrash;
          },
        },
      });
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
};

/**
 * The journal as one process holds it. To the code of a dead process, which may still run to its next wait, it is empty and
 * never answers.
 */
export const journalOf = (writer: Writer, journal: Journal): Journal => ({
  write: (writes) =>
    writer.isAlive
      ? journal.write(writes).then((result) => (writer.isAlive ? result : new Promise(() => undefined)))
      : new Promise(() => undefined),
  seen: (eventId) => (writer.isAlive ? journal.seen(eventId) : undefined),
  lastToken: () => (writer.isAlive ? journal.lastToken() : undefined),
  tokenJson: (decisionId) => (writer.isAlive ? journal.tokenJson(decisionId) : undefined),
  decidedSince: (sinceMs) => (writer.isAlive ? journal.decidedSince(sinceMs) : []),
  openCommands: () => (writer.isAlive ? journal.openCommands() : []),
  commandsSince: (sinceMs) => (writer.isAlive ? journal.commandsSince(sinceMs) : []),
  mark: (key) => (writer.isAlive ? journal.mark(key) : undefined),
  reports: (from, recordsMax, bytesMax) => (writer.isAlive ? journal.reports(from, recordsMax, bytesMax) : []),
  spool: () => (writer.isAlive ? journal.spool() : { first: 1, last: 0, bytes: 0 }),
  counts: () => (writer.isAlive ? journal.counts() : { decided: 0, deadLetters: 0, commandsByState: {} }),
  deadLetters: (limit) => (writer.isAlive ? journal.deadLetters(limit) : []),
  close: () => (writer.isAlive ? journal.close() : new Promise(() => undefined)),
});
