import { entityText } from "@reflex/protocol/entity";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { type Connector, farEndId } from "../connectors/contract.ts";
import type { Clock, CommandRow, Journal, Log, Timers } from "../ports.ts";
import { eventWrite } from "../report/records.ts";
import { callWithin, detailOf } from "./calls.ts";
import { callOf } from "./entry.ts";
import type { Gate } from "./gate.ts";
import type { Lane } from "./lane.ts";

export type Drift = "repair" | "report";
/** How many leases had lost their entry, and how many of our entries had no lease. */
export type Reconciled = { readonly missing: number; readonly unowned: number };

export type ReconcileDeps = {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly callTimeoutMs: number;
  readonly journal: Pick<Journal, "write">;
  readonly log: Log;
  readonly drift: Drift;
  readonly gate: Gate;
  /** Entries without a lease that people have been told of: each is news once. Kept by the caller. */
  readonly told: Set<string>;
};

type Lease = { readonly lane: Lane; readonly row: CommandRow };

/** Names in one report; the count says how many there are. */
const namesMax = 10;
/** Single looks in one run, where the far end cannot list: its rate is for acting first. */
const looksMax = 64;

/**
 * Desired against actual at one connector. A lease whose entry is gone goes back to "in doubt", where it is verified and, if it
 * is really missing, applied again under the brakes; or it is only said, when policy wants that. An entry of ours without a
 * lease (left by a lost journal) is only said: taking back what we do not remember doing could undo somebody else's work. What
 * others made is never looked at.
 */
export const reconcileConnector = async (
  deps: ReconcileDeps,
  connector: Connector,
  lanes: readonly Lane[],
): Promise<Result<Reconciled, Refusal>> => {
  const leases = lanes
    .flatMap((lane) => lane.rows().map((row): Lease => ({ lane, row })))
    .filter(({ row }) => row.command.connector === connector.name);
  const compared =
    connector.listInForce === undefined
      ? await lookAtEach(deps, connector, leases)
      : await compareLists(deps, connector.listInForce, leases);
  if (!compared.ok) return compared;

  const { missing, unowned } = compared.value;
  const changed = missing.filter(({ lane, row }) => {
    const detail = "gone from the target system before its time";
    if (deps.drift === "report") return lane.noteDrift(row.command.command_id, detail);
    lane.doubt(row.command.command_id, detail);
    return true;
  });
  const told: Result<void, Refusal>[] = [];
  if (changed.length > 0) {
    const names = changed.map(({ row }) => `${row.command.action} ${entityText(row.command.target)}`);
    const what = deps.drift === "report" ? "left as it is, as policy says" : "verified and applied again";
    told.push(await tell(deps, "drift-missing", `gone from ${connector.name} before their time, ${what}`, names));
  }
  const news = unowned.filter((place) => !deps.told.has(place));
  if (news.length > 0)
    told.push(await tell(deps, "drift-unowned", `in force at ${connector.name} without a lease, check by hand`, news));
  deps.told.clear();
  for (const place of unowned) deps.told.add(place);
  return told.find((one) => !one.ok) ?? ok({ missing: missing.length, unowned: unowned.length });
};

type Compared = { readonly missing: readonly Lease[]; readonly unowned: readonly string[] };

const compareLists = async (
  deps: ReconcileDeps,
  list: NonNullable<Connector["listInForce"]>,
  leases: readonly Lease[],
): Promise<Result<Compared, Refusal>> => {
  const release = await deps.gate.take(false);
  const asked = await callWithin(deps.timers, deps.callTimeoutMs, list);
  release();
  if (asked.kind !== "answered") return err(refusal("connector-timeout", detailOf(asked)));
  if (!asked.answer.ok) return asked.answer;
  const actual = new Set(asked.answer.value.map(({ action, id }) => `${action} ${id}`));
  const owned = new Set(leases.map(({ row }) => placeOf(row)));
  return ok({
    missing: leases.filter(({ row }) => row.state === "in_force" && !actual.has(placeOf(row))),
    unowned: [...actual].filter((place) => !owned.has(place)),
  });
};

const lookAtEach = async (
  deps: ReconcileDeps,
  connector: Connector,
  leases: readonly Lease[],
): Promise<Result<Compared, Refusal>> => {
  const { actions } = connector.describe();
  const missing: Lease[] = [];
  const inForce = leases.filter(
    ({ row }) => row.state === "in_force" && actions[row.command.action]?.canVerify === true,
  );
  for (const lease of inForce.slice(0, looksMax)) {
    const nowMs = deps.clock.nowMs();
    const release = await deps.gate.take(false);
    const asked = await callWithin(deps.timers, deps.callTimeoutMs, () =>
      connector.verify(callOf(lease, lease.row.undoAtMs ?? nowMs, nowMs)),
    );
    release();
    if (asked.kind === "answered" && asked.answer.kind === "absent") missing.push(lease);
  }
  return ok({ missing, unowned: [] });
};

const placeOf = ({ command, resolved }: CommandRow): string =>
  `${command.action} ${farEndId({ target: command.target, ...(resolved === undefined ? {} : { resolved }) })}`;

const tell = async (
  deps: ReconcileDeps,
  name: string,
  what: string,
  places: readonly string[],
): Promise<Result<void, Refusal>> => {
  deps.log.warn({ count: places.length }, `${name}: ${what}`);
  const names = places.slice(0, namesMax).join(", ");
  return deps.journal.write([eventWrite(deps.clock, "warning", name, `${places.length} ${what}: ${names}`)]);
};
