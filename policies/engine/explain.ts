import { actions } from "@reflex/protocol/action";
import type { Candidate, Decision } from "@reflex/protocol/decision";
import { textLengthMax } from "@reflex/protocol/limits";
import { refusals } from "@reflex/protocol/refusal";

type Explained = Pick<Decision, "verdict" | "score" | "confidence" | "candidates">;

/** Shown by name; the rest are counted, and all are listed in the candidate. */
const namedMax = 4;

/** One sentence an analyst can read aloud; the same decision always gives the same one. */
export const justify = (decision: Explained, decisive: Candidate | undefined): string => {
  const measured = `confidence ${percent(decision.confidence)}, score ${percent(decision.score)}`;
  if (decisive === undefined) return `Hold: no policy covers this detection, so an analyst decides; ${measured}.`;
  const deed = `${actions[decisive.action].sentence} ${decisive.target.type} ${decisive.target.value}`;
  const permits = named(decisive.permits.map(({ id }) => id));
  const others = decision.candidates.length > 1 ? ` (one of ${decision.candidates.length} candidates)` : "";
  const sentence = `${opening[decisive.verdict]} ${deed}${others}: ${permits} ${decisive.permits.length === 1 ? "permits" : "permit"} it${objection(decisive)}; ${measured}.`;
  return sentence.length > 2 * textLengthMax ? `${sentence.slice(0, 2 * textLengthMax - 1)}…` : sentence;
};

/** What taking it back will mean. */
export const explainUndo = (decision: Explained): string => {
  let acting = 0;
  let shortest = 0;
  for (const candidate of decision.candidates) {
    if (candidate.verdict !== "act" && candidate.verdict !== "ask") continue;
    acting += 1;
    if (shortest === 0 || candidate.ttl_seconds < shortest) shortest = candidate.ttl_seconds;
  }
  if (acting === 0) return "Nothing is done, so nothing has to be undone.";
  const when = decision.verdict === "act" ? "after" : "if approved, after";
  return acting === 1
    ? `The agent takes it back ${when} ${duration(shortest)}, or at once when an analyst asks.`
    : `The agent takes each of the ${acting} back when its time is up, the first ${when} ${duration(shortest)}, or at once when an analyst asks.`;
};

const opening = {
  act: "Act:",
  ask: "Ask a human before Reflex may",
  observe: "Observe: Reflex would",
  refuse: "Refuse to",
} as const;

const objection = (candidate: Candidate): string => {
  const { code, verdict } = candidate;
  if (code === undefined) return candidate.guards.length === 0 ? " and no guard applies" : " and no guard objects";
  const objecting = candidate.guards.filter((guard) => guard.code === code);
  const by =
    objecting.length === 0
      ? ""
      : ` (${named(objecting.map((guard) => (guard.detail === undefined ? guard.id : `${guard.id}, ${guard.detail}`)))})`;
  return `, ${verdict === "observe" ? "only" : "but"} ${refusals[code].meaning}${by}`;
};

const named = (ids: readonly string[]): string =>
  ids.length <= namedMax ? ids.join(", ") : `${ids.slice(0, namedMax).join(", ")} and ${ids.length - namedMax} more`;

/** 0.8234 -> `0.82`; rounded half up on the stored 1e-6 integer, so no locale and no binary surprise. */
const percent = (value: number): string => {
  const hundredths = Math.floor((Math.round(value * 1e6) + 5_000) / 10_000);
  return hundredths >= 100 ? "1.00" : `0.${hundredths < 10 ? "0" : ""}${hundredths}`;
};

const duration = (seconds: number): string => {
  if (seconds % 86_400 === 0) return seconds === 86_400 ? "1 day" : `${seconds / 86_400} days`;
  if (seconds % 3_600 === 0) return seconds === 3_600 ? "1 hour" : `${seconds / 3_600} hours`;
  if (seconds % 60 === 0) return seconds === 60 ? "1 minute" : `${seconds / 60} minutes`;
  return `${seconds} seconds`;
};
