import type { Feedback } from "@reflex/protocol/feedback";
import type { Refusal, RefusalCode } from "@reflex/protocol/refusal";
import type { AgentEvent, CommandReport, DeadLetterReport } from "@reflex/protocol/report";
import { timestampOf } from "@reflex/protocol/timestamp";
import type { Token } from "@reflex/protocol/token";
import type { Clock, CommandRow, Crypto, DecidedRow, JournalWrite, RawRecord } from "../ports.ts";

/** What is written for each thing that happened: the durable row and, in the same commit, the report to the controller. */

export const tokenWrites = (decided: {
  readonly token: Token;
  readonly tokenJson: string;
  readonly row: DecidedRow;
  readonly commands: readonly CommandRow[];
}): JournalWrite[] => [
  {
    kind: "decided",
    row: decided.row,
    sequence: decided.token.header.sequence,
    decisionId: decided.token.decision.decision_id,
    tokenHash: decided.token.hash,
    tokenJson: decided.tokenJson,
  },
  { kind: "report", reportKind: "token", bodyJson: decided.tokenJson },
  ...decided.commands.flatMap((row) => [{ kind: "command", row } as const, commandWrite(row)]),
];

export const commandWrite = (row: CommandRow): JournalWrite => {
  const report: CommandReport = {
    command: row.command,
    state: row.state,
    at: timestampOf(row.atMs),
    ...(row.undoAtMs === undefined ? {} : { undo_at: timestampOf(row.undoAtMs) }),
    attempts: row.attempts,
    ...(row.code === undefined ? {} : { code: row.code }),
    ...(row.detail === undefined ? {} : { detail: row.detail.slice(0, 512) }),
    verified: row.verified,
  };
  return { kind: "report", reportKind: "command", bodyJson: JSON.stringify(report) };
};

export const feedbackWrite = (feedback: Feedback): JournalWrite => ({
  kind: "report",
  reportKind: "feedback",
  bodyJson: JSON.stringify(feedback),
});

export const deadLetterWrites = (
  deps: { readonly wall: Clock; readonly crypto: Pick<Crypto, "sha256Hex"> },
  record: Pick<RawRecord, "bytes" | "source">,
  refusal: Refusal,
): JournalWrite[] => {
  const atMs = deps.wall.nowMs();
  const sha256 = deps.crypto.sha256Hex(record.bytes);
  const report: DeadLetterReport = {
    at: timestampOf(atMs),
    source: record.source.slice(0, 128),
    code: refusal.code,
    detail: refusal.detail.slice(0, 512),
    bytes: record.bytes.length,
    sha256,
  };
  return [
    {
      kind: "dead_letter",
      source: report.source,
      refusal,
      atMs,
      raw: record.bytes,
      bytes: record.bytes.length,
      sha256,
    },
    { kind: "report", reportKind: "dead_letter", bodyJson: JSON.stringify(report) },
  ];
};

export const eventWrite = (
  wall: Clock,
  level: AgentEvent["level"],
  name: string,
  detail: string,
  code?: RefusalCode,
  /** The order that this answers. */
  orderId?: string,
): JournalWrite => {
  const event: AgentEvent = {
    at: timestampOf(wall.nowMs()),
    level,
    name,
    ...(code === undefined ? {} : { code }),
    detail: detail.slice(0, 1_024),
    ...(orderId === undefined ? {} : { order_id: orderId }),
  };
  return { kind: "report", reportKind: "event", bodyJson: JSON.stringify(event) };
};
