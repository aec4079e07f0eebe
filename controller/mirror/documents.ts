import { createHash } from "node:crypto";
import { isIP } from "node:net";
import { actions } from "@reflex/protocol/action";
import type { CommandState } from "@reflex/protocol/command-life";
import { entityText } from "@reflex/protocol/entity";
import type { Feedback } from "@reflex/protocol/feedback";
import { parseJson } from "@reflex/protocol/json";
import { refusals } from "@reflex/protocol/refusal";
import { CommandReport } from "@reflex/protocol/report";
import { err, ok, type Result } from "@reflex/protocol/result";
import { checkFeedback, checkOf } from "@reflex/protocol/validate";
import type { MirrorKind, OutboxRow } from "../store/mirror-store.ts";

/** A document of the SIEM: field names of the Elastic Common Schema, our own below `reflex`. `text` is its JSON. */
export type SiemDocument = { readonly stream: string; readonly id: string; readonly text: string };
export type SiemPlace = { readonly org: string; readonly namespace: string };

const datasets: Readonly<Record<MirrorKind, string>> = { command: "reflex.actions", feedback: "reflex.feedback" };
export const streamOf = (kind: MirrorKind, { namespace }: SiemPlace): string => `logs-${datasets[kind]}-${namespace}`;

const checkCommandReport = checkOf(CommandReport);

/** Err: the row is not a report, with the reason. */
export const documentOf = (row: OutboxRow, place: SiemPlace): Result<SiemDocument, string> => {
  const parsed = parseJson(row.body);
  if (!parsed.ok) return err(parsed.error.code);
  const read = row.kind === "command" ? checkCommandReport(parsed.value) : checkFeedback(parsed.value);
  if (!read.ok) return err(`${read.error.code}: ${read.error.detail}`);
  const fields =
    row.kind === "command" ? commandFields(read.value as CommandReport) : feedbackFields(read.value as Feedback);
  const id = idOf(row, place);
  const { event, reflex, ...more } = fields;
  const document = {
    ...more,
    ecs: { version: ecsVersion },
    data_stream: { type: "logs", dataset: datasets[row.kind], namespace: place.namespace },
    event: { kind: "event", module: "reflex", dataset: datasets[row.kind], id, ...sequenceOf(row), ...event },
    organization: { name: place.org },
    observer: {
      vendor: "Reflex",
      product: "Reflex",
      type: "response",
      ...(row.agent === null ? {} : { name: row.agent }),
    },
    reflex: { ...reflex, ...(row.site === null ? {} : { site: row.site }) },
  };
  return ok({ stream: streamOf(row.kind, place), id, text: JSON.stringify(document) });
};

const ecsVersion = "8.17.0";

/** The same report is the same document, however often it is sent; content counts, so a controller that begins anew never reuses one. */
const idOf = ({ agent, incarnation, sequence, body }: OutboxRow, { org }: SiemPlace): string =>
  createHash("sha256")
    .update([org, agent ?? "", incarnation ?? "", sequence ?? "", body].join("\n"))
    .digest("hex")
    .slice(0, 40);

const sequenceOf = ({ sequence }: OutboxRow) => (sequence === null ? {} : { sequence });

type Fields = {
  readonly "@timestamp": string;
  readonly message: string;
  readonly event: Readonly<Record<string, unknown>>;
  readonly reflex: Readonly<Record<string, unknown>>;
} & Readonly<Record<string, unknown>>;

/** ECS allows success, failure and unknown. What nobody knows is said to be unknown. */
const outcomes: Partial<Readonly<Record<CommandState, "success" | "failure">>> = {
  in_force: "success",
  undone: "success",
  handed_over: "success",
  failed: "failure",
  stuck: "failure",
};
const types: Partial<Readonly<Record<CommandState, readonly string[]>>> = {
  in_force: ["creation"],
  undone: ["deletion"],
  handed_over: ["change"],
};
const categories: Readonly<Record<string, readonly string[]>> = {
  firewall: ["configuration", "network"],
  dns: ["configuration", "network"],
  edr: ["configuration", "host"],
  identity: ["configuration", "iam"],
  cloud: ["configuration", "iam"],
  notify: ["configuration"],
};

const commandFields = ({ command, state, at, undo_at, attempts, verified, code, detail }: CommandReport): Fields => ({
  "@timestamp": at,
  message: `${command.action} ${entityText(command.target)} through ${command.connector}: ${state}`,
  event: {
    action: command.action,
    outcome: outcomes[state] ?? "unknown",
    category: categories[actions[command.action].domain] ?? ["configuration"],
    type: types[state] ?? ["info"],
    code: state,
    reason: command.reason,
  },
  ...relatedTo(command.target),
  ...(code === undefined ? {} : { error: { code, message: detail ?? refusals[code].meaning } }),
  reflex: {
    command_id: command.command_id,
    decision_id: command.decision_id,
    idempotency_key: command.idempotency_key,
    state,
    connector: command.connector,
    target: { type: command.target.type, value: command.target.value },
    ttl_seconds: command.ttl,
    issued_at: command.issued_at,
    attempts,
    verified,
    ...(undo_at === undefined ? {} : { undo_at }),
    ...(detail === undefined ? {} : { detail }),
  },
});

/** Only what surely is one: a field of type ip refuses a whole document over one bad value. */
const relatedTo = ({ type, value }: CommandReport["command"]["target"]): Readonly<Record<string, unknown>> => {
  switch (type) {
    case "address":
      return isIP(value) === 0 ? {} : { related: { ip: [value] } };
    case "host":
    case "domain":
      return { related: { hosts: [value] } };
    case "user":
      return { related: { user: [value] }, user: { target: { name: value } } };
    case "file":
      return { related: { hash: [value] } };
    default:
      return {};
  }
};

const nanosecondsPerMs = 1_000_000;

const feedbackFields = (feedback: Feedback): Fields => {
  const { analyst, execution_latency_ms: latencyMs, outcome, verdict } = feedback;
  return {
    "@timestamp": feedback.verdict_at ?? feedback.decided_at,
    message: `decision ${feedback.decision_id}: ${outcome}, ${verdict}`,
    event: {
      action: "feedback",
      outcome: outcome === "overridden" ? "unknown" : outcome,
      ...(latencyMs === undefined ? {} : { duration: Math.round(latencyMs * nanosecondsPerMs) }),
    },
    ...(analyst === undefined ? {} : { user: { name: analyst }, related: { user: [analyst] } }),
    reflex: {
      decision_id: feedback.decision_id,
      outcome,
      verdict,
      verdict_source: feedback.verdict_source,
      analyst_override: feedback.analyst_override,
      confidence_adjustment: feedback.confidence_adjustment,
      decided_at: feedback.decided_at,
      policy_version: feedback.policy_version,
      policy_hash: feedback.policy_hash,
      weights_version: feedback.weights_version,
      propensity: feedback.propensity,
    },
  };
};
