import { actions } from "@reflex/protocol/action";
import type { Condition, Guard, Limit, Permit, Policy } from "@reflex/protocol/policy";
import { operatorTable } from "./operators.ts";
import { durationWords } from "./quantities.ts";

/** One English sentence for reviews, approvals and the console: the same policy always gives the same one. */
export const explainPolicy = (policy: Policy): string => {
  const sentence = policy.kind === "permit" ? explainPermit(policy) : explainGuard(policy);
  return policy.shadow ? `${sentence.slice(0, -1)}; a trial, recorded and never acted on.` : sentence;
};

const explainPermit = (permit: Permit): string => {
  const { action, target, ttl_seconds } = permit.do;
  const words = `May ${actions[action].sentence} ${targetWords(target)} for ${durationWords(ttl_seconds)}`;
  return `${words}${conditionWords(permit.match, " when ")}${exceptionWords(permit.unless)}.`;
};

const effectWords = {
  deny: "Never",
  require_approval: "Ask a human before Reflex may",
  restrict: "Let Reflex",
} as const;

const explainGuard = (guard: Guard): string => {
  const chosen = guard.match.find(({ field, op }) => field === "action" && op === "in");
  const deed =
    chosen === undefined
      ? "do anything"
      : listWords(
          valuesOf(chosen).map((action) => action.replaceAll("_", " ")),
          "or",
        );
  const rest = guard.match.filter((condition) => condition !== chosen);
  const obligation = guard.ttl_max_seconds === undefined ? "" : ` for at most ${durationWords(guard.ttl_max_seconds)}`;
  const approval =
    guard.approval === undefined
      ? ""
      : ` (${guard.approval.quorum} from ${guard.approval.from}, within ${durationWords(guard.approval.expires_seconds)}; silence denies)`;
  const limit = guard.limit === undefined ? "" : ` ${limitWords(guard.limit)}`;
  const when = conditionWords(rest, " when ");
  return `${effectWords[guard.then]} ${deed}${limit}${obligation}${when}${approval}${exceptionWords(guard.unless)}.`;
};

const limitWords = ({ count, per, max, max_percent, window_seconds }: Limit): string => {
  const group = `one ${per.replace("_", " ")}`;
  const counted = max === undefined ? [] : [`${max} ${count} in ${group}`];
  const share = max_percent === undefined ? [] : [`${max_percent} % of ${group}`];
  return `beyond ${[...counted, ...share].join(" or ")} within ${durationWords(window_seconds)}`;
};

/** `attacker.address` -> `the attacker's address`. */
const targetWords = (selector: string): string => {
  const [role, type] = selector.split(".");
  return type === undefined ? `each ${role}` : `the ${role}'s ${type}`;
};

const conditionWords = (conditions: readonly Condition[], before: string): string =>
  conditions.length === 0 ? "" : `${before}${conditions.map(oneCondition).join(" and ")}`;

const exceptionWords = (blocks: readonly (readonly Condition[])[]): string =>
  blocks.map((block) => `, unless ${block.map(oneCondition).join(" and ")}`).join("");

const oneCondition = (condition: Condition): string => {
  const { field, op, value } = condition;
  if (op === "present") return `${field} ${value === true ? "is known" : "is not known"}`;
  return `${field} ${operatorTable[op].phrase} ${listWords(valuesOf(condition), op === "has_all" ? "and" : "or")}`;
};

const valuesOf = ({ value }: Condition): readonly string[] => (Array.isArray(value) ? value : [value]).map(String);

const namedMax = 5;
const listWords = (words: readonly string[], last: "and" | "or"): string => {
  const shown =
    words.length > namedMax ? [...words.slice(0, namedMax - 1), `${words.length - namedMax + 1} others`] : words;
  return shown.length < 2 ? (shown[0] ?? "nothing") : `${shown.slice(0, -1).join(", ")} ${last} ${shown.at(-1)}`;
};
