import { type CommandEvent, nextCommandState } from "@reflex/protocol/command-life";
import type { RefusalCode } from "@reflex/protocol/refusal";
import type { CommandRow, JournalWrite } from "../ports.ts";
import { commandWrite } from "../report/records.ts";

/** What a step may change about a command besides its state. A field set to undefined is removed. */
export type CommandChanges = {
  readonly undoAtMs?: number;
  readonly undoData?: string;
  readonly attempts?: number;
  readonly calledAtMs?: number;
  readonly undoAttempts?: number;
  readonly verified?: boolean;
  readonly code?: RefusalCode | undefined;
  readonly detail?: string | undefined;
};

/** Moves a command along its life. An illegal move is a bug: the process stops and starts again from its journal. */
export const moveCommand = (
  row: CommandRow,
  events: readonly CommandEvent[],
  atMs: number,
  changes: CommandChanges = {},
): CommandRow => {
  let state = row.state;
  for (const event of events) {
    const next = nextCommandState(state, event);
    if (!next.ok)
      throw new Error(`illegal transition: ${event} of command ${row.command.command_id} in state ${state}`);
    state = next.value;
  }
  return changeCommand(row, { state, atMs }, changes);
};

/** Another try in the same state. */
export const changeCommand = (
  row: CommandRow,
  moved: Pick<CommandRow, "state" | "atMs">,
  changes: CommandChanges,
): CommandRow => {
  const { code, detail, ...rest } = { code: row.code, detail: row.detail, ...changes };
  const { code: _code, detail: _detail, ...kept } = row;
  return {
    ...kept,
    ...moved,
    ...rest,
    ...(code === undefined ? {} : { code }),
    ...(detail === undefined ? {} : { detail: detail.slice(0, 512) }),
  };
};

/** The durable row and its report, always in one write, so that the controller hears of every step. */
export const commandStepWrites = (row: CommandRow): JournalWrite[] => [{ kind: "command", row }, commandWrite(row)];
