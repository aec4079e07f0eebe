import type { Client } from "@reflex/controller/reflexctl/client";
import type { CommandRow } from "@reflex/edge-agent/ports";
import { openJournal } from "@reflex/edge-agent/store/journal";
import type { Token } from "@reflex/protocol/token";
import type { FarEndCall } from "../../fixtures/far-end.ts";

/** What the controller has stored about one agent. */
export type StoredCommand = {
  readonly command_id: string;
  readonly decision_id: string;
  readonly state: string;
  readonly target: { readonly value: string };
  readonly issued_at: string;
  readonly undo_at: string | null;
  readonly ttl: number;
};
export type Stored = {
  readonly tokens: readonly { readonly sequence: number; readonly text: string; readonly token: Token }[];
  readonly commands: readonly StoredCommand[];
};

const pageRows = 500;

export const readStored = async (client: Client, agent: string): Promise<Stored> => {
  const tokens: { sequence: number; text: string; token: Token }[] = [];
  for (;;) {
    const after = tokens.at(-1)?.sequence ?? 0;
    const page = await client.get<{ tokens: { sequence: number; token: string }[] }>(
      `/v1/tokens?agent=${agent}&after=${after}&limit=${pageRows}`,
    );
    if (page.tokens.length === 0) break;
    for (const { sequence, token: text } of page.tokens)
      tokens.push({ sequence, text, token: JSON.parse(text) as Token });
  }
  return { tokens, commands: await readAll<StoredCommand>(client, `/v1/commands?agent=${agent}`, "commands") };
};

/** Every page of a list. */
export const readAll = async <Row>(client: Client, path: string, name: string): Promise<readonly Row[]> => {
  const rows: Row[] = [];
  let cursor = "";
  for (;;) {
    const page = await client.get<Record<string, unknown>>(
      `${path}${path.includes("?") ? "&" : "?"}limit=${pageRows}${cursor}`,
    );
    rows.push(...(page[name] as Row[]));
    if (page["next"] === null) return rows;
    cursor = `&cursor=${encodeURIComponent(String(page["next"]))}`;
  }
};

/** What the agent itself has on its disk; only while no agent runs on it. */
export const readOwn = async (folder: string) => {
  const opened = openJournal({
    folder,
    clock: { nowMs: () => Date.now() },
    timers: { after: () => () => {}, soon: (run) => void setImmediate(run) },
    log: { info: () => {}, warn: () => {}, error: () => {} },
  });
  if (!opened.ok) throw new Error(`${opened.error.code} ${opened.error.detail}`);
  const journal = opened.value;
  const own = {
    spool: journal.spool(),
    counts: journal.counts(),
    lastToken: journal.lastToken(),
    open: journal.openCommands(),
    commands: journal.commandsSince(0),
  };
  await journal.close();
  return own;
};

export const keyOf = (row: CommandRow): string => row.command.idempotency_key;

/** Keys that were applied again after their own undo. */
export const appliedAfterUndo = (calls: readonly FarEndCall[]): readonly string[] => {
  const undone = new Set<string>();
  const again: string[] = [];
  for (const { verb, key } of calls) {
    if (verb === "undo") undone.add(key);
    else if (undone.has(key)) again.push(key);
  }
  return again;
};

/** From the call that put a target in force to the one that took it back; `untilMs` undefined: still there. */
export type TimeInForce = { readonly target: string; readonly fromMs: number; readonly untilMs: number | undefined };

export const timesInForce = (calls: readonly FarEndCall[]): readonly TimeInForce[] => {
  const since = new Map<string, number>();
  const times: TimeInForce[] = [];
  for (const { verb, target, atMs, hasEffect } of calls) {
    if (!hasEffect) continue;
    if (verb === "apply") since.set(target, atMs);
    else {
      times.push({ target, fromMs: since.get(target) ?? 0, untilMs: atMs });
      since.delete(target);
    }
  }
  for (const [target, fromMs] of since) times.push({ target, fromMs, untilMs: undefined });
  return times;
};
