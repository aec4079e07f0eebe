import { isTerminal } from "@reflex/protocol/command-life";
import { entityKey } from "@reflex/protocol/entity";
import { timestampOf } from "@reflex/protocol/timestamp";
import type { Context } from "@reflex/protocol/token";
import type { CommandRow } from "../ports.ts";

/** Commands that may be in force, by target: what a decision is told about its targets. */
export type Leases = {
  readonly note: (row: CommandRow) => void;
  readonly on: (entityKeys: readonly string[]) => Context["leases"];
  readonly clear: () => void;
};

export const createLeases = (): Leases => {
  const rowsByTarget = new Map<string, Map<string, CommandRow>>();
  const note: Leases["note"] = (row) => {
    const target = entityKey(row.command.target);
    const rows = rowsByTarget.get(target) ?? new Map<string, CommandRow>();
    if (isTerminal(row.state)) rows.delete(row.command.command_id);
    else rows.set(row.command.command_id, row);
    if (rows.size === 0) rowsByTarget.delete(target);
    else rowsByTarget.set(target, rows);
  };
  const on: Leases["on"] = (entityKeys) => {
    const leases: Context["leases"] = [];
    for (const target of entityKeys) {
      for (const row of rowsByTarget.get(target)?.values() ?? []) {
        const untilMs = row.undoAtMs ?? row.atMs + row.command.ttl * 1_000;
        leases.push({ action: row.command.action, target, until: timestampOf(untilMs) });
      }
    }
    return leases.sort((a, b) => (a.target + a.action + a.until < b.target + b.action + b.until ? -1 : 1));
  };
  return { note, on, clear: () => rowsByTarget.clear() };
};
