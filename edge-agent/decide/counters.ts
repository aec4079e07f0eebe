import { entityKey } from "@reflex/protocol/entity";
import type { Limit } from "@reflex/protocol/policy";
import type { CommandRow } from "../ports.ts";

/** Uses kept per limit group; a cap above this is not a cap, and reading it then counts as exceeded. */
const usesMax = 20_000;

type Use = { readonly atMs: number; readonly target: string; readonly commandId: string };

export type Counters = {
  /** Reserves: counted from the moment the command is planned, before anything leaves the agent. */
  readonly reserve: (row: CommandRow) => void;
  /** Gives back what was provably not done. */
  readonly release: (row: CommandRow) => void;
  /** Use of `<policy>|<group>` within the limit's window; undefined when the policy has no limit. */
  readonly used: (key: string, nowMs: number) => number | undefined;
  readonly clear: () => void;
};

const policyOf = (key: string): string => key.slice(0, key.indexOf("|"));

/** Rolling use of limit groups. In memory; rebuilt from the journal's commands at start. */
export const createCounters = (limitOf: (policyId: string) => Limit | undefined): Counters => {
  const usesByKey = new Map<string, Use[]>();

  const reserve: Counters["reserve"] = (row) => {
    // From the decision on, not from the row's last step: rebuilt after a restart, it must be the same use at the same time.
    const atMs = Date.parse(row.command.issued_at);
    const use = { atMs, target: entityKey(row.command.target), commandId: row.command.command_id };
    for (const key of row.limits) {
      const uses = usesByKey.get(key) ?? [];
      if (uses.length === 0) usesByKey.set(key, uses);
      if (uses.length < usesMax) uses.push(use);
    }
  };

  const release: Counters["release"] = (row) => {
    for (const key of row.limits) {
      const uses = usesByKey.get(key);
      const index = uses?.findIndex((use) => use.commandId === row.command.command_id) ?? -1;
      if (index >= 0) uses?.splice(index, 1);
    }
  };

  const used: Counters["used"] = (key, nowMs) => {
    const limit = limitOf(policyOf(key));
    if (limit === undefined) return undefined;
    const uses = usesByKey.get(key);
    if (uses === undefined) return 0;
    const sinceMs = nowMs - limit.window_seconds * 1_000;
    const current = uses.filter((use) => use.atMs > sinceMs);
    if (current.length === 0) usesByKey.delete(key);
    else if (current.length < uses.length) usesByKey.set(key, current);
    if (current.length >= usesMax) return Number.MAX_SAFE_INTEGER;
    return limit.count === "targets" ? new Set(current.map((use) => use.target)).size : current.length;
  };

  return { reserve, release, used, clear: () => usesByKey.clear() };
};
