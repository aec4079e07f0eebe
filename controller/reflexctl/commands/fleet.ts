import { type Entity, entityText } from "@reflex/protocol/entity";
import type { Arguments } from "../arguments.ts";
import type { Client } from "../client.ts";
import { plain, tableText } from "../table.ts";

export type AgentRow = {
  readonly agent: string;
  readonly site: string;
  readonly last_heartbeat_at: string | null;
  readonly mode: string | null;
  readonly killed: boolean | null;
  readonly bundle_version: number | null;
  readonly refused: { readonly version: number; readonly code: string } | null;
  readonly acknowledged: number;
};

export const agentsList = async (args: Arguments, client: Client): Promise<string> => {
  const { agents } = await client.get<{ agents: AgentRow[] }>("/v1/agents");
  if (args.flag("json")) return JSON.stringify(agents);
  return tableText(
    ["agent", "site", "heard", "mode", "bundle", "refused", "reports"],
    agents.map((row) => [
      row.agent,
      row.site,
      row.last_heartbeat_at ?? "never",
      row.killed === true ? "killed" : (row.mode ?? "-"),
      String(row.bundle_version ?? "-"),
      row.refused === null ? "-" : `${row.refused.version} (${row.refused.code})`,
      String(row.acknowledged),
    ]),
  );
};

export type CommandRow = {
  readonly command_id: string;
  readonly agent: string;
  readonly action: string;
  readonly target: Entity;
  readonly connector: string;
  readonly state: string;
  readonly verified: boolean;
  readonly undo_at: string | null;
  readonly reason: string;
};

export const leasesList = async (args: Arguments, client: Client): Promise<string> => {
  const { commands } = await client.get<{ commands: CommandRow[] }>("/v1/leases");
  if (args.flag("json")) return JSON.stringify(commands);
  return tableText(
    ["command", "agent", "action", "target", "state", "undo due", "why"],
    commands.map((row) => [
      row.command_id,
      row.agent,
      row.action,
      plain(entityText(row.target)),
      row.verified ? row.state : `${row.state} (unverified)`,
      row.undo_at ?? "-",
      plain(row.reason).slice(0, 100),
    ]),
  );
};

export type DeadLetterRow = {
  readonly at: string;
  readonly agent: string;
  readonly source: string;
  readonly code: string;
  readonly detail: string;
  readonly bytes: number;
};

export const deadLettersList = async (args: Arguments, client: Client): Promise<string> => {
  const { dead_letters: rows } = await client.get<{ dead_letters: DeadLetterRow[] }>("/v1/dead-letters");
  if (args.flag("json")) return JSON.stringify(rows);
  return tableText(
    ["at", "agent", "source", "code", "bytes", "detail"],
    rows.map((row) => [row.at, row.agent, plain(row.source), row.code, String(row.bytes), plain(row.detail)]),
  );
};
