import type { ApplyOutcome, UndoOutcome, VerifyOutcome } from "../contract.ts";
import type { OpenC2Response } from "./message.ts";
import type { TransferFailure } from "./transfer.ts";

/** Language Specification 1.0 §3.3.2.1: 102, 200, 201 (1.1), 400, 401, 403, 404, 500, 501, 503. Anything else is nobody's clear answer. */
const isYes = (status: number): boolean => status === 200 || status === 201;
/** 503 is "currently unable to perform the command"; the others say that it never will. */
const isNo: ReadonlySet<number> = new Set([400, 401, 403, 404, 501]);

/** `unclear`: asking whether it is in force may tell more. */
export const applyOutcomeOf = (response: OpenC2Response): ApplyOutcome | "unclear" => {
  const detail = wordsOf(response);
  if (isYes(response.status)) return { kind: "applied", detail };
  if (isNo.has(response.status)) return { kind: "refused", code: "connector-refused", detail };
  if (response.status === 503) return { kind: "retry", detail };
  return response.status === 500 ? "unclear" : { kind: "unknown", detail };
};

export const undoOutcomeOf = (response: OpenC2Response): UndoOutcome | "unclear" => {
  const detail = wordsOf(response);
  if (isYes(response.status)) return { kind: "undone", detail };
  if (response.status === 404) return { kind: "undone", detail: "it was not there any more" };
  return response.status === 500 ? "unclear" : { kind: "retry", detail };
};

/** The rule is there only if its number comes back, and gone only if the consumer says it has no such thing. */
export const verifyOutcomeOf = (response: OpenC2Response, ruleNumber: number): VerifyOutcome => {
  const detail = wordsOf(response);
  if (isYes(response.status) && ruleNumberIn(response) === ruleNumber) return { kind: "present" };
  return response.status === 404 ? { kind: "absent" } : { kind: "unknown", detail };
};

/** `results: {"pf": {"rule_number": 1234}}`; undefined where it does not say. */
export const ruleNumberIn = ({ results }: OpenC2Response): number | undefined => {
  for (const profile of ["pf", "slpf"]) {
    const found = results?.[profile];
    if (typeof found !== "object" || found === null || !("rule_number" in found)) continue;
    if (typeof found.rule_number === "number") return found.rule_number;
  }
  return undefined;
};

export const failedApply = (failure: TransferFailure): ApplyOutcome => {
  switch (failure.kind) {
    case "unsent":
      return { ...failure, kind: "retry" };
    case "turned-away":
      return { kind: "refused", code: "connector-refused", detail: failure.detail };
    case "unknown":
      return failure;
  }
};
export const failedUndo = (failure: TransferFailure): UndoOutcome =>
  failure.kind === "unsent" ? { ...failure, kind: "retry" } : { kind: "retry", detail: failure.detail };

/** Their words go into journals and onto screens. */
export const wordsOf = ({ status, status_text: text = "" }: OpenC2Response): string =>
  `${status} ${text.replace(/[^\x20-\x7e]/g, " ").slice(0, 200)}`.trim();
