import type { CommandReport } from "@reflex/protocol/report";
import type { Guarantee } from "../happening.ts";

/**
 * The controller acknowledges what it has stored and no more; the agent forgets only that. In the end the controller has every
 * report, without a gap, and its last word on each command is the agent's own.
 */
export const acknowledgedIsStored = (): Guarantee => ({
  name: "a record acknowledged is a record stored",
  note: (happening) =>
    happening.kind === "acknowledged" && happening.upTo > happening.storedUpTo
      ? `acknowledged up to ${happening.upTo}, stored up to ${happening.storedUpTo}`
      : undefined,
  atEnd: ({ stored, spool, rows, controllerAcknowledged, lostByController }) => {
    const breaches: string[] = [];
    stored.forEach(({ sequence }, index) => {
      if (sequence !== index + 1) breaches.push(`report ${sequence} is stored where ${index + 1} belongs`);
    });
    const last = stored.at(-1)?.sequence ?? 0;
    if (last !== spool.last) breaches.push(`the agent wrote ${spool.last} reports, the controller has ${last}`);
    if (controllerAcknowledged > last) breaches.push(`acknowledged ${controllerAcknowledged}, stored ${last}`);
    if (lostByController > 0) breaches.push("the controller had to give reports up for lost");
    if (stored.some(({ kind }) => kind === "gap")) breaches.push("a gap was reported where nothing was full");
    const told = new Map<string, string>();
    for (const { kind, bodyJson } of stored) {
      if (kind !== "command") continue;
      const report = JSON.parse(bodyJson) as CommandReport;
      told.set(report.command.command_id, report.state);
    }
    for (const { command, state } of rows) {
      const says = told.get(command.command_id);
      if (says !== state) breaches.push(`command ${command.command_id} is ${state}, the controller heard ${says}`);
    }
    return breaches.slice(0, 20);
  },
});
