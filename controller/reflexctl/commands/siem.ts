import type { Arguments } from "../arguments.ts";
import type { Client } from "../client.ts";
import { plain, tableText } from "../table.ts";

type SiemState = {
  readonly is_configured: boolean;
  readonly waiting: Readonly<Record<string, { readonly rows: number; readonly oldest_seconds: number }>>;
  readonly dead_letters: number;
  readonly is_leading?: boolean;
  readonly refused?: Readonly<Record<string, string>>;
};

export const siemStatus = async (args: Arguments, client: Client): Promise<string> => {
  const state = await client.get<SiemState>("/v1/siem");
  if (args.flag("json")) return JSON.stringify(state);
  const who = !state.is_configured
    ? "this controller mirrors to no SIEM"
    : state.is_leading === true
      ? "this controller mirrors"
      : "another controller mirrors";
  const lines = Object.entries(state.waiting).map(
    ([stream, { rows, oldest_seconds }]) =>
      `${stream.padEnd(10)} ${rows} waiting${rows === 0 ? "" : `, the oldest for ${oldest_seconds} s`}${
        state.refused?.[stream] === undefined ? "" : `; refused: ${plain(state.refused[stream])}`
      }`,
  );
  return [who, ...lines, `${state.dead_letters} put aside`].join("\n");
};

export const siemDeadLetters = async (args: Arguments, client: Client): Promise<string> => {
  const limit = encodeURIComponent(args.text("limit") ?? "50");
  const { dead_letters: rows } = await client.get<{
    dead_letters: { refused_at: string; kind: string; agent: string | null; sequence: number | null; reason: string }[];
  }>(`/v1/siem/dead-letters?limit=${limit}`);
  if (args.flag("json")) return JSON.stringify(rows);
  return tableText(
    ["refused at", "kind", "agent", "report", "reason"],
    rows.map((row) => [
      row.refused_at,
      row.kind,
      row.agent ?? "controller",
      String(row.sequence ?? "-"),
      plain(row.reason),
    ]),
  );
};

export const siemRetry = async (client: Client): Promise<string> => {
  const { rows } = await client.post<{ rows: number }>("/v1/siem/retry", {});
  return `${rows} are tried again; see: reflexctl siem status`;
};

export const siemInstall = async (client: Client): Promise<string> =>
  (await client.post<{ installed: string[] }>("/v1/siem/templates", {})).installed.map(plain).join("\n");
