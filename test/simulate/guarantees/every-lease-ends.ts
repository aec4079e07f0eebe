import type { CommandRow } from "@reflex/edge-agent/ports";
import { entityKey } from "@reflex/protocol/entity";
import type { CallSubject, Guarantee } from "../happening.ts";

/** The longest back-off of an undo, a call before it and one beside it, and the wait for a late one. */
const graceMs = 120_000 + 5_000 + 25_000 + 30_000 + 60_000;
/** A start that may write for so long has written what it saw. */
const writtenWithinMs = 15_000;
/** A call that is still on its way may land after its command has ended, and is taken back by nobody but the next look. */
const landingMs = 90_000;

/**
 * Nothing stays in force beyond its time unless somebody is told that it is stuck. Judged against true time: trouble (a crash,
 * a dead disk or connector) delays an undo by no more than the grace after it is over.
 */
export const everyLeaseEnds = (): Guarantee => {
  const dueMs = new Map<string, number>();
  /** Without any time that the clock has lost since. */
  const endsMs = new Map<string, number>();
  let lostMs = 0;
  const ttlMs = new Map<string, number>();
  /** Of the last life: since when it could write. */
  let couldWriteMs = 0;
  let couldWriteDown = true;
  let troubleMs = 0;
  let isUp = false;
  const placeOf = ({ connector, action, target }: CallSubject): string => `${connector} ${action} ${target}`;
  const placeOfRow = ({ command }: CommandRow): string =>
    `${command.connector} ${command.action} ${entityKey(command.target)}`;

  return {
    name: "every lease is undone by its deadline or reported stuck",
    note: (happening, atMs) => {
      switch (happening.kind) {
        case "crashed":
        case "stopped":
          isUp = false;
          troubleMs = atMs;
          couldWriteDown = atMs - couldWriteMs > writtenWithinMs;
          return undefined;
        case "trouble":
          troubleMs = atMs;
          if (happening.with === "disk") couldWriteMs = atMs;
          return undefined;
        case "booted":
          isUp = true;
          troubleMs = atMs;
          couldWriteMs = atMs;
          // A clock that was set back while the agent was away makes a lease longer by that, and no longer than its ttl from
          // the first start that could write down what it saw.
          lostMs += happening.clockLostMs;
          if (lostMs === 0 || (couldWriteDown && happening.clockLostMs === 0)) return undefined;
          for (const [id, ms] of ttlMs) {
            const latestMs = (endsMs.get(id) ?? 0) + lostMs;
            dueMs.set(id, Math.max(dueMs.get(id) ?? 0, Math.min(latestMs, atMs + ms)));
          }
          return undefined;
        case "inspected": {
          for (const { command, state } of happening.rows) {
            if (state === "planned" || dueMs.has(command.command_id)) continue;
            ttlMs.set(command.command_id, command.ttl * 1_000);
            endsMs.set(command.command_id, atMs + command.ttl * 1_000 - lostMs);
            dueMs.set(command.command_id, atMs + command.ttl * 1_000);
          }
          if (!isUp) return undefined;
          for (const entry of happening.inForce) {
            const rows = happening.rows.filter((row) => placeOfRow(row) === placeOf(entry));
            if (rows.some(({ state }) => state === "stuck")) continue;
            const due = Math.max(...rows.map(({ command }) => dueMs.get(command.command_id) ?? atMs));
            if (rows.length > 0 && atMs - Math.max(due, troubleMs) > graceMs)
              return `${placeOf(entry)} is in force ${Math.round((atMs - due) / 1_000)} s after its time`;
            if (rows.length === 0 && atMs - Math.max(entry.sinceMs, troubleMs) > landingMs)
              return `${placeOf(entry)} is in force and nobody owes its undo`;
          }
          return undefined;
        }
        default:
          return undefined;
      }
    },
    atEnd: ({ inForce, rows }) => {
      const open = rows.filter(({ state }) => state !== "undone" && state !== "failed");
      return [
        ...inForce.map((entry) => `${placeOf(entry)} is in force for ever`),
        ...open.map((row) => `${placeOfRow(row)} (command ${row.command.command_id}) is still ${row.state}`),
      ];
    },
  };
};
