import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type ReplayReport, replayToken } from "@reflex/policies/engine/replay";
import { entityText } from "@reflex/protocol/entity";
import type { Token } from "@reflex/protocol/token";
import { type Arguments, UsageError } from "../arguments.ts";
import type { Client } from "../client.ts";
import { plain, tableText } from "../table.ts";

const sha256Hex = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

export type DecisionRow = {
  readonly decision_id: string;
  readonly decided_at: string;
  readonly agent: string;
  readonly verdict: string;
  readonly event_id: string;
  readonly justification: string;
};

export const decisionsList = async (args: Arguments, client: Client): Promise<string> => {
  const query = new URLSearchParams({ limit: args.text("limit") ?? "50" });
  const verdict = args.text("verdict");
  const agent = args.text("agent");
  if (verdict !== undefined) query.set("verdict", verdict);
  if (agent !== undefined) query.set("agent", agent);
  const { decisions } = await client.get<{ decisions: DecisionRow[] }>(`/v1/decisions?${query}`);
  if (args.flag("json")) return JSON.stringify(decisions);
  return tableText(
    ["decision", "decided at", "agent", "verdict", "why"],
    decisions.map((row) => [row.decision_id, row.decided_at, row.agent, row.verdict, plain(row.justification)]),
  );
};

const tokenTextOf = async (args: Arguments, client: () => Client): Promise<string> => {
  const file = args.text("file");
  // An editor or `show --json` ends a file with a newline, which is no part of the token.
  if (file !== undefined) return readFileSync(file, "utf8").replace(/\n$/, "");
  const id = args.words[2];
  if (id === undefined)
    throw new UsageError(
      "which decision? reflexctl decisions show ID (ids: reflexctl decisions list), or --file TOKEN.json",
    );
  // The exact text the agent sealed: digests are over text, so nothing may be re-serialised on the way.
  return client().getText(`/v1/decisions/${encodeURIComponent(id)}/token`);
};

export const decisionsShow = async (args: Arguments, client: () => Client): Promise<string> => {
  const text = await tokenTextOf(args, client);
  if (args.flag("json")) return text;
  const token = JSON.parse(text) as Token;
  const { decision, detection, header } = token;
  return [
    plain(decision.justification),
    "",
    `verdict     ${decision.verdict}${decision.code === undefined ? "" : ` (${decision.code})`}`,
    `decided     ${header.decided_at} by ${header.agent} at ${header.site}, bundle ${header.bundle.version}, weights ${header.weights.version}`,
    `detection   ${plain(detection.event_id)}: ${plain(detection.rule.name)} (${detection.severity}, confidence ${detection.confidence} ${detection.confidence_origin})`,
    `score       ${decision.score} (calibrated confidence ${decision.confidence})`,
    ...decision.factors.map(
      (factor) =>
        `  ${factor.log_odds >= 0 ? "+" : ""}${factor.log_odds.toFixed(3)}  ${factor.name}: ${plain(factor.value)}`,
    ),
    ...decision.candidates.flatMap((candidate) => [
      `candidate   ${candidate.action} ${plain(entityText(candidate.target))}: ${candidate.verdict}${candidate.code === undefined ? "" : ` (${candidate.code})`}, ${candidate.ttl_seconds} s through ${candidate.connector ?? "no connector"}`,
      ...[...candidate.permits, ...candidate.guards].map(
        (policy) =>
          `  ${policy.effect.padEnd(16)} ${policy.id}${policy.detail === undefined ? "" : `: ${plain(policy.detail)}`}`,
      ),
    ]),
    `undo        ${plain(decision.undo)}`,
    `hash        ${token.hash}`,
  ].join("\n");
};

/** Recomputes a decision from its token alone. Takes the text as sealed: digests are over text, so a re-serialised token would be another. */
export const replayText = (text: string): ReplayReport => replayToken(text, sha256Hex);

export const decisionsReplay = async (
  args: Arguments,
  client: () => Client,
): Promise<{ readonly text: string; readonly same: boolean }> => {
  const report = replayText(await tokenTextOf(args, client));
  if (args.flag("json")) return { text: JSON.stringify(report), same: report.same };
  if (report.same) return { text: "the replayed decision equals its token", same: true };
  const lines = report.findings.map(
    (finding) =>
      `${finding.code} at ${finding.path === "" ? "the token" : finding.path}: stored ${show(finding.stored)}, recomputed ${show(finding.recomputed)}`,
  );
  return {
    text: [`the token does not replay: ${report.findings.length} finding(s)`, ...lines].join("\n"),
    same: false,
  };
};

const show = (value: unknown): string =>
  plain((typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing")).slice(0, 300));
