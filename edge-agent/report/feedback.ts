import type { Feedback } from "@reflex/protocol/feedback";
import { parseJson } from "@reflex/protocol/json";
import { timestampOf } from "@reflex/protocol/timestamp";
import type { Token } from "@reflex/protocol/token";
import { ruleKeyOf } from "../decide/decide-detection.ts";
import type { Prior } from "../decide/prior.ts";
import type { CommandRow, Journal, JournalWrite, Log } from "../ports.ts";
import { feedbackWrite } from "./records.ts";

/**
 * What came of a command, written in the commit that holds its outcome. It says whether the connector worked;
 * whether acting was right (`verdict`) is for people, so it stays undetermined here.
 */
export const createFeedbackWriter =
  (journal: Pick<Journal, "tokenJson">, prior: Prior, log: Log) =>
  (
    row: CommandRow,
    outcome: { readonly outcome: "success" | "failure"; readonly latencyMs: number },
  ): readonly JournalWrite[] => {
    const text = journal.tokenJson(row.command.decision_id);
    const parsed = text === undefined ? undefined : parseJson(text);
    if (parsed?.ok !== true) {
      log.warn({ decisionId: row.command.decision_id }, "no token for the outcome of a command; no feedback written");
      return [];
    }
    const { header, detection } = parsed.value as Token;
    const feedback: Feedback = {
      decision_id: row.command.decision_id,
      outcome: outcome.outcome,
      execution_latency_ms: outcome.latencyMs,
      analyst_override: false,
      confidence_adjustment: 0,
      verdict: "undetermined",
      verdict_source: "implicit",
      decided_at: header.decided_at,
      verdict_at: timestampOf(row.atMs),
      policy_version: header.bundle.version,
      policy_hash: header.bundle.hash,
      weights_version: header.weights.version,
      propensity: 1,
    };
    return [
      feedbackWrite(feedback),
      prior.note(ruleKeyOf(detection), outcome.outcome === "success" ? "confirmed" : "failed"),
    ];
  };
