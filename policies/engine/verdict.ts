import { actions } from "@reflex/protocol/action";
import type { Decision, Verdict } from "@reflex/protocol/decision";
import type { RefusalCode } from "@reflex/protocol/refusal";
import type { Context } from "@reflex/protocol/token";
import type { Draft } from "./candidates.ts";

export type CandidateVerdict = "act" | "ask" | "observe" | "refuse";
export type Exception = NonNullable<Decision["exception"]>;

/** Everything a candidate's verdict rests on. */
export type Grounds = {
  readonly enforced: boolean;
  /** The target is not exactly one thing, or cannot be read. */
  readonly unresolved: boolean;
  readonly neverTouch: "hit" | "doubt" | undefined;
  readonly deny: RefusalCode | undefined;
  readonly ask: RefusalCode | undefined;
  readonly contradicted: boolean;
  readonly tooMany: boolean;
  readonly routed: boolean;
};

export type Brakes = Pick<Context, "killed" | "mode" | "lease_valid" | "circuit_closed">;

/** The first line that holds decides: refusing before observing, observing before asking, asking before acting. */
export const candidateVerdict = (grounds: Grounds, brakes: Brakes): readonly [CandidateVerdict, RefusalCode?] => {
  if (grounds.neverTouch === "hit") return ["refuse", "never-touch"];
  if (grounds.unresolved) return ["refuse", "target-unresolved"];
  if (grounds.deny !== undefined) return ["refuse", grounds.deny];

  if (brakes.killed) return ["observe", "kill-engaged"];
  if (brakes.mode === "observe" || !grounds.enforced) return ["observe", "shadow"];

  if (grounds.tooMany) return ["ask", "too-many-candidates"];
  if (grounds.contradicted) return ["ask", "contradiction"];
  if (grounds.neverTouch === "doubt") return ["ask", "never-touch"];
  if (!grounds.routed) return ["ask", "connector-unknown"];
  if (grounds.ask !== undefined) return ["ask", grounds.ask];
  if (!brakes.lease_valid) return ["ask", "lease-lapsed"];
  if (!brakes.circuit_closed) return ["ask", "circuit-open"];
  if (brakes.mode === "approve") return ["ask", "approval-required"];
  return ["act"];
};

/** Why a human has to look, as learning counts it. `rests` = the guard that decided rests on unknown facts. */
export const exceptionOf = (code: RefusalCode | undefined, rests: "known" | "unknown"): Exception | undefined => {
  switch (code) {
    case "target-unresolved":
    case "connector-unknown":
    case "too-many-candidates":
      return "unexecutable";
    case "contradiction":
    case "limit-unknown":
      return "contradictory";
    case "forbidden":
    case "approval-required":
    case "limit-exceeded":
      return rests === "unknown" ? "contradictory" : undefined;
    default:
      return undefined;
  }
};

/**
 * Keys of drafts whose action excludes another one granted on the same thing. Grants count even where a guard refuses
 * them: otherwise a guard against one of the two would turn the other from `ask` into `act`, and guards never loosen.
 */
export const contradictedDrafts = (drafts: readonly Draft[]): ReadonlySet<Draft> => {
  if (drafts.length < 2) return none;
  const contradicted = new Set<Draft>();
  for (const draft of drafts) {
    const excludes: readonly string[] = actions[draft.action].excludes;
    if (excludes.length === 0 || !draft.enforced) continue;
    if (drafts.some((other) => other.enforced && other.thing === draft.thing && excludes.includes(other.action)))
      contradicted.add(draft);
  }
  return contradicted;
};
const none: ReadonlySet<Draft> = new Set();

const strength: readonly CandidateVerdict[] = ["act", "ask", "observe", "refuse"];

/** The strongest of the candidates, and the first candidate that has it; `hold` when nothing was granted. */
export const strongest = <T extends { readonly verdict: CandidateVerdict }>(
  candidates: readonly T[],
): readonly [Verdict, T?] => {
  for (const verdict of strength) {
    const first = candidates.find((candidate) => candidate.verdict === verdict);
    if (first !== undefined) return [verdict, first];
  }
  return ["hold"];
};
