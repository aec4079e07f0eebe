import type { CommandState } from "@reflex/protocol/command-life";
import type { IngestRecord, IngestUnit } from "../link/ingest.ts";
import { toPostgresText } from "./postgres-text.ts";

/**
 * What each report becomes in the tables: one list of rows per table, ready for json_to_recordset. Column names are the
 * tables' own; `tables` says their types in SQL.
 */
export type ReportTable = keyof typeof reportColumns;
export type ReportRow = Readonly<Record<string, unknown>> & { readonly agent: string; readonly sequence: number };
export type ReportRows = { readonly [table in ReportTable]: ReportRow[] };

const position = "agent text, incarnation int, sequence bigint";
export const reportColumns = {
  records: `${position}, kind text`,
  tokens: `${position}, site text, decision_id text, hash text, previous text, decided_at timestamptz, verdict text, event_id text, score double precision, token jsonb, token_json text`,
  commands: `${position}, site text, command_id text, decision_id text, action text, target_type text, target_value text, connector text, state text, at timestamptz, undo_at timestamptz, attempts int, verified boolean, code text, detail text, command jsonb`,
  command_steps: `${position}, command_id text, state text, at timestamptz, code text, detail text`,
  feedback: `${position}, decision_id text, outcome text, verdict text, verdict_source text, analyst text, decided_at timestamptz, body jsonb`,
  dead_letters: `${position}, site text, at timestamptz, source text, code text, detail text, bytes bigint, sha256 text`,
  agent_events: `${position}, site text, at timestamptz, level text, name text, code text, detail text`,
  quarantine: `${position}, code text, detail text, content text`,
  siem_outbox: `${position}, site text, kind text, body text`,
  orders: `${position}, at timestamptz, order_id text, state text, code text, detail text`,
} as const;

/** Longer unreadable content is an attack; its hash is over what is kept. */
const quarantinedTextMax = 64 * 1024;

export const reportRows = (units: readonly IngestUnit[]): ReportRows => {
  const rows: ReportRows = {
    records: [],
    tokens: [],
    commands: [],
    command_steps: [],
    feedback: [],
    dead_letters: [],
    agent_events: [],
    quarantine: [],
    siem_outbox: [],
    orders: [],
  };
  const newestByCommand = new Map<string, ReportRow>();
  for (const unit of units) for (const record of unit.records) addRecord(rows, newestByCommand, unit, record);
  rows.commands.push(...newestByCommand.values());
  return rows;
};

/** Each command as it works or does not work out, and when it ends; steps on the way there tell a SIEM nothing. */
const mirroredStates: ReadonlySet<CommandState> = new Set([
  "in_force",
  "pending_verification",
  "undone",
  "failed",
  "stuck",
  "handed_over",
]);

const addRecord = (
  rows: ReportRows,
  newestByCommand: Map<string, ReportRow>,
  unit: IngestUnit,
  item: IngestRecord,
): void => {
  const at = { agent: unit.agent, incarnation: unit.incarnation, sequence: item.sequence };
  const here = { ...at, site: unit.site };
  if (item.kind === "unread") {
    rows.records.push({ ...at, kind: "unread" });
    const { code, detail } = item.refusal;
    rows.quarantine.push({ ...at, code, detail, content: item.json.slice(0, quarantinedTextMax) });
    return;
  }
  const { record, json } = item;
  rows.records.push({ ...at, kind: record.kind });
  switch (record.kind) {
    case "token": {
      const { decision, header, hash, previous } = record.body;
      rows.tokens.push({
        ...here,
        // The place in the token chain, which is not the place among the reports.
        chain_sequence: header.sequence,
        decision_id: decision.decision_id,
        hash,
        previous,
        decided_at: header.decided_at,
        verdict: decision.verdict,
        event_id: decision.event_id,
        score: decision.score,
        token: record.body,
        token_json: json,
      });
      return;
    }
    case "command": {
      const { command, undo_at, ...step } = record.body;
      const { command_id, decision_id, action, target, connector } = command;
      const { state, at: steppedAt, code, detail, attempts, verified } = step;
      rows.command_steps.push({ ...at, command_id, state, at: steppedAt, code, detail });
      if (mirroredStates.has(state)) rows.siem_outbox.push({ ...here, kind: "command", body: toPostgresText(json) });
      newestByCommand.set(`${unit.agent} ${command_id}`, {
        ...here,
        command_id,
        decision_id,
        action,
        target_type: target.type,
        target_value: target.value,
        connector,
        state,
        at: steppedAt,
        undo_at,
        attempts,
        verified,
        code,
        detail,
        command,
      });
      return;
    }
    case "feedback": {
      rows.siem_outbox.push({ ...here, kind: "feedback", body: toPostgresText(json) });
      const { decision_id, outcome, verdict, verdict_source, analyst, decided_at } = record.body;
      rows.feedback.push({
        ...at,
        decision_id,
        outcome,
        verdict,
        verdict_source,
        analyst,
        decided_at,
        body: record.body,
      });
      return;
    }
    case "dead_letter":
      rows.dead_letters.push({ ...here, ...record.body });
      return;
    case "event": {
      const { order_id, ...event } = record.body;
      rows.agent_events.push({ ...here, ...event });
      if (order_id === undefined || !(event.name === "order-done" || event.name === "order-refused")) return;
      const { at: answeredAt, code, detail } = event;
      const state = event.name === "order-done" ? "done" : "refused";
      rows.orders.push({ ...at, at: answeredAt, order_id, state, code, detail });
      return;
    }
    case "gap": {
      const { at: noticedAt, first, last, code } = record.body;
      const detail = `reports ${first} to ${last} were lost on the agent`;
      rows.agent_events.push({ ...here, at: noticedAt, level: "alarm", name: "gap", code, detail });
      return;
    }
  }
};
