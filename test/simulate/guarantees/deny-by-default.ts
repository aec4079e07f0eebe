import { entityKey } from "@reflex/protocol/entity";
import type { Token } from "@reflex/protocol/token";
import type { CallSubject, Guarantee } from "../happening.ts";

/** Every call that acts is the doing of a stored decision that says `act` of this very action and target, by some permit. */
export const denyByDefault = (): Guarantee => {
  const calls = new Map<string, CallSubject>();
  return {
    name: "deny by default",
    note: (happening) => {
      if (happening.kind === "apply_started") calls.set(`${happening.key}|${happening.target}`, happening);
      return undefined;
    },
    atEnd: ({ rows, tokenJson }) => {
      const rowsByKey = new Map(rows.map((row) => [row.command.idempotency_key, row]));
      return [...calls.values()].flatMap(({ key, action, target }) => {
        const row = rowsByKey.get(key);
        const text = row === undefined ? undefined : tokenJson(row.command.decision_id);
        if (text === undefined) return [`${action} ${target} was done for no decision`];
        const { decision } = JSON.parse(text) as Token;
        const grant = decision.candidates.find(
          (candidate) => candidate.action === action && entityKey(candidate.target) === target,
        );
        if (decision.verdict === "act" && grant?.verdict === "act" && grant.permits.length > 0) return [];
        return [`${action} ${target} was done, the decision says ${grant?.verdict ?? "nothing of it"}`];
      });
    },
  };
};
