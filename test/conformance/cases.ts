import { restartBetweenSteps, serverErrorStorm, staleRead } from "./cases-of-execution.ts";
import {
  expiredTokenRefreshed,
  partialAnswer,
  partialApply,
  slowBodyBounded,
  timeOutAfterSuccess,
  tlsMismatchRefused,
  waitsAsAsked,
} from "./cases-of-faults.ts";
import {
  applyTwiceIsOnce,
  illegalRefused,
  listsOursAlone,
  manyAtOnce,
  othersUntouched,
  sameBeforeStays,
  undoOfNothing,
  undoRestores,
  undoTwice,
  verifyTellsTheTruth,
} from "./cases-of-life.ts";
import { secretsStaySecret } from "./cases-of-secrets.ts";
import { type CaseAnswer, openStage, type Stage } from "./stage.ts";
import type { CaseName, Opened, Subject } from "./subject.ts";

const cases: Readonly<Record<CaseName, (stage: Stage) => Promise<CaseAnswer>>> = {
  "apply twice is once": applyTwiceIsOnce,
  "undo twice": undoTwice,
  "undo of nothing": undoOfNothing,
  "undo restores what was there": undoRestores,
  "what was so before stays so": sameBeforeStays,
  "verify tells the truth": verifyTellsTheTruth,
  "others untouched": othersUntouched,
  "many at once": manyAtOnce,
  "illegal targets refused": illegalRefused,
  "lists ours alone": listsOursAlone,
  "time-out after success": timeOutAfterSuccess,
  "429 waits as asked": waitsAsAsked,
  "partial apply": partialApply,
  "partial answer": partialAnswer,
  "stale read": staleRead,
  "expired token refreshed": expiredTokenRefreshed,
  "TLS name mismatch refused": tlsMismatchRefused,
  "slow body bounded": slowBodyBounded,
  "5xx storm": serverErrorStorm,
  "restart between steps": restartBetweenSteps,
  "secrets stay secret": secretsStaySecret,
};

export type CaseResult =
  | { readonly kind: "pass" }
  | { readonly kind: "not applicable"; readonly reason: string }
  /** The target cannot be had on this machine. */
  | { readonly kind: "missing"; readonly reason: string }
  | { readonly kind: "fail"; readonly detail: string };

/** Time limits of one call: short where the target never answers, long where a busy machine must not look like one. */
const waitedForMs = 3_000;
const neverWaitedForMs = 10_000;
const withSilence: ReadonlySet<CaseName> = new Set([
  "time-out after success",
  "slow body bounded",
  "restart between steps",
]);

/** One case on a target of its own. Never throws: whatever goes wrong is a failure of the case. */
export const runCase = async (subject: Subject, name: CaseName): Promise<CaseResult> => {
  const excuse = subject.notApplicable?.[name];
  if (excuse !== undefined) return { kind: "not applicable", reason: excuse };
  try {
    const opened = await subject.open({ callTimeoutMs: withSilence.has(name) ? waitedForMs : neverWaitedForMs });
    if (typeof opened === "string") return { kind: "missing", reason: opened };
    let stage: Stage | undefined;
    try {
      stage = await openStage(subject, opened);
      const answer = await cases[name](stage);
      return answer === undefined ? { kind: "pass" } : { kind: "not applicable", reason: answer.reason };
    } catch (cause) {
      return { kind: "fail", detail: [detailOf(cause), ...lastRequests(opened)].join("\n") };
    } finally {
      await stage?.close();
      await opened.close();
    }
  } catch (cause) {
    return { kind: "fail", detail: detailOf(cause) };
  }
};

const detailOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

const requestsShownMax = 15;
const lastRequests = ({ log }: Opened): readonly string[] => {
  const lines = log?.() ?? [];
  return lines.length === 0
    ? []
    : ["last at the far end:", ...lines.slice(-requestsShownMax).map((line) => `  ${line}`)];
};
