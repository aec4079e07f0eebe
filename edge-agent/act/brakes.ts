import type { NeverTouchList } from "@reflex/policies/engine/never-touch";
import type { Command } from "@reflex/protocol/command";
import { entityKey } from "@reflex/protocol/entity";
import type { Resolved } from "../connectors/contract.ts";
import type { ActivePolicy } from "../decide/active-policy.ts";
import type { Brakes } from "../ports.ts";

/** Asked right before each external call: what was true when the decision was made may not be any more. Cheapest first. */
export const createBrakes = (deps: {
  readonly killed: () => boolean;
  readonly policy: () => ActivePolicy | undefined;
  readonly leaseValid: () => boolean;
}): Brakes => ({
  check: (command, resolved) => {
    if (deps.killed()) return "kill-engaged";
    const active = deps.policy();
    if (active === undefined) return "no-bundle";
    if (!deps.leaseValid()) return "lease-lapsed";
    if (isNeverTouched(active.compiled.neverTouch, command, resolved)) return "never-touch";
    return active.settings.mode === "observe" ? "shadow" : undefined;
  },
});

/** The target as the detection names it, and everything it turned out to be at the far end: other names, addresses, groups. */
const isNeverTouched = (neverTouch: NeverTouchList, { target }: Command, resolved: Resolved | undefined): boolean => {
  if (neverTouch.check(target, undefined)?.kind === "hit") return true;
  if (resolved === undefined) return false;
  const asset = {
    entity: entityKey(target),
    matches: 1,
    groups: [...resolved.groups],
    also: resolved.entities.map(({ type, value }) => ({ type, value })),
  };
  return neverTouch.check(target, asset)?.kind === "hit";
};
