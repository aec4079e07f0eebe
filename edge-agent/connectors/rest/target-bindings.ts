import { actions as catalogue } from "@reflex/protocol/action";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { readBlockDomain, readBlockTarget } from "../block-target.ts";
import type { ConnectorCall } from "../contract.ts";
import type { Bindings } from "./bind.ts";
import type { Accepts, Action } from "./manifest.ts";
import type { Json } from "./value.ts";

/** What a call says, by reference. Refused where the target is none that this action can be done to. */
export const bindingsOfCall = (
  call: ConnectorCall,
  action: Action,
  settings: Bindings,
  nowMs: number,
): Result<Map<string, Json>, Refusal> => {
  const { target, resolved } = call;
  if (!action.targets.includes(target.type)) {
    return err(refusal("target-unresolved", `${call.action} is not done to a ${target.type} here`));
  }
  const read = readTarget(call);
  if (!read.ok) return read;
  if (!isAccepted(action.accepts, read.value)) {
    return err(refusal("target-unresolved", "the product does not take such a target"));
  }
  const all = new Map<string, Json>(settings);
  for (const [name, value] of Object.entries(read.value)) all.set(`target.${name}`, value);
  const issuedAtMs = timeOf(call.commandId) ?? nowMs;
  all.set("target.type", target.type);
  all.set("ttl_seconds", call.ttlSeconds);
  all.set("reason", call.reason);
  all.set("action", call.action);
  all.set("command.id", call.commandId);
  all.set("command.key", call.idempotencyKey);
  all.set("decision.id", call.decisionId);
  // The same at each try of one command, so that trying again sends the same bytes.
  all.set("issued_at", new Date(issuedAtMs).toISOString());
  all.set("now", new Date(nowMs).toISOString());
  all.set("expires_at", new Date(nowMs + call.ttlSeconds * 1_000).toISOString());
  if (resolved !== undefined) {
    all.set("resolved.id", resolved.id);
    all.set("resolved.label", resolved.label);
  }
  return ok(all);
};

type ReadTarget = {
  readonly value: string;
  readonly cidr?: string;
  readonly family?: 4 | 6;
  readonly prefix_bits?: number;
};

/** In its one spelling, and nothing that cuts a machine off from itself. */
const readTarget = ({ action, target }: ConnectorCall): Result<ReadTarget, Refusal> => {
  if (catalogue[action].domain === "firewall") {
    const read = readBlockTarget(target);
    if (!read.ok) return read;
    const { text, family, prefixBits } = read.value;
    return ok({
      value: text,
      family,
      prefix_bits: prefixBits,
      cidr: text.includes("/") ? text : `${text}/${prefixBits}`,
    });
  }
  if (action === "block_domain") {
    const read = readBlockDomain(target);
    return read.ok ? ok({ value: read.value }) : read;
  }
  return ok({ value: target.value });
};

const isAccepted = (accepts: readonly Accepts[], target: ReadTarget): boolean =>
  accepts.length === 0 ||
  accepts.some(
    ({ family, prefixBits, pattern }) =>
      (family === undefined || family === target.family) &&
      (prefixBits === undefined || (target.prefix_bits !== undefined && prefixBits.includes(target.prefix_bits))) &&
      (pattern === undefined || pattern.test(target.value)),
  );

/** When a UUIDv7 was made. */
const timeOf = (commandId: string): number | undefined => {
  const [, high, low] = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-/.exec(commandId) ?? [];
  return high === undefined || low === undefined ? undefined : Number.parseInt(`${high}${low}`, 16);
};

/** What was captured before acting, as undo and verify name it. */
export const capturedBindings = (undoData: string | undefined): ReadonlyMap<string, Json> => {
  if (undoData === undefined || undoData === "") return new Map();
  try {
    const { captured } = JSON.parse(undoData) as { readonly captured?: Readonly<Record<string, Json>> };
    return new Map(Object.entries(captured ?? {}).map(([name, value]) => [`captured.${name}`, value]));
  } catch {
    return new Map();
  }
};
