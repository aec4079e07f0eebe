import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { type Connector, farEndId } from "../connectors/contract.ts";
import type { Clock, CommandRow, Journal, Log, Timers } from "../ports.ts";
import { eventWrite } from "../report/records.ts";
import { callWithin, detailOf } from "./calls.ts";
import type { Lane } from "./lane.ts";

type ReconcileDeps = {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly callTimeoutMs: number;
  readonly journal: Pick<Journal, "write">;
  readonly connectors: ReadonlyMap<string, Connector>;
  readonly log: Log;
};

const placeOf = ({ command, resolved }: CommandRow): string =>
  `${command.action}|${farEndId({ target: command.target, ...(resolved === undefined ? {} : { resolved }) })}`;

/** Names in one report; the count says how many there are. */
const namesMax = 10;

/**
 * Desired against actual. A lease whose entry is gone goes back to "in doubt", where it is verified and, if it is really
 * missing, applied again under the brakes. An entry without a lease (left by a lost journal) is only reported: taking back
 * what we do not remember doing could undo somebody else's work.
 */
export const reconcileConnector = async (
  deps: ReconcileDeps,
  name: string,
  lanes: () => readonly Lane[],
): Promise<Result<{ readonly missing: number; readonly unowned: number }, Refusal>> => {
  const connector = deps.connectors.get(name);
  if (connector === undefined) return err(refusal("connector-unknown", name));
  const list = connector.listInForce;
  if (list === undefined) return ok({ missing: 0, unowned: 0 });
  const asked = await callWithin(deps.timers, deps.callTimeoutMs, list);
  if (asked.kind !== "answered") return err(refusal("connector-timeout", detailOf(asked)));
  const listed = asked.answer;
  if (!listed.ok) return listed;

  const actual = new Set(listed.value.map(({ action, id }) => `${action}|${id}`));
  const rows = lanes()
    .flatMap((lane) => lane.rows().map((row) => ({ lane, row })))
    .filter(({ row }) => row.command.connector === name);
  const owned = new Set(rows.map(({ row }) => placeOf(row)));

  const missing = rows.filter(({ row }) => row.state === "in_force" && !actual.has(placeOf(row)));
  for (const { lane, row } of missing)
    lane.doubt(row.command.command_id, "gone from the target system before its time");

  const unowned = listed.value.filter(({ action, id }) => !owned.has(`${action}|${id}`));
  if (unowned.length > 0) {
    const names = unowned.slice(0, namesMax).map(({ action, id }) => `${action} ${id}`);
    deps.log.warn({ connector: name, unowned: unowned.length }, "in force without a lease");
    const detail = `${unowned.length} in force at ${name} without a lease, check by hand: ${names.join(", ")}`;
    const stored = await deps.journal.write([eventWrite(deps.clock, "warning", "drift-unowned", detail)]);
    if (!stored.ok) return stored;
  }
  return ok({ missing: missing.length, unowned: unowned.length });
};
