import { decide } from "@reflex/policies/engine/decide";
import { gatherAssets } from "@reflex/policies/engine/facts";
import { cutSlice } from "@reflex/policies/engine/slice";
import { sealToken } from "@reflex/policies/engine/token";
import type { Decision } from "@reflex/protocol/decision";
import type { Detection } from "@reflex/protocol/detection";
import { entityKey } from "@reflex/protocol/entity";
import { newDecisionId } from "@reflex/protocol/ids";
import { timestampOf } from "@reflex/protocol/timestamp";
import type { Context, Token } from "@reflex/protocol/token";
import type { CommandRow, Crypto, DecidedRow, Random } from "../ports.ts";
import type { ActivePolicy, BrakeState } from "./active-policy.ts";
import type { Circuit } from "./circuit.ts";
import type { Counters } from "./counters.ts";
import type { History } from "./history.ts";
import type { Leases } from "./leases.ts";
import { planCommands } from "./plan.ts";
import type { Prior } from "./prior.ts";

export type DecideDeps = {
  readonly identity: { readonly org: string; readonly site: string; readonly agent: string };
  readonly random: Random;
  readonly crypto: Pick<Crypto, "sha256Hex">;
  readonly brakes: BrakeState;
  readonly history: History;
  readonly counters: Counters;
  readonly circuit: Circuit;
  readonly leases: Leases;
  readonly prior: Prior;
  /** Names of the connectors this agent has, sorted. */
  readonly connectors: readonly string[];
};

export type Decided = {
  readonly decision: Decision;
  readonly token: Token;
  readonly tokenJson: string;
  readonly row: DecidedRow;
  readonly commands: readonly CommandRow[];
};

/** Rule as history and prior outcomes know it. */
export const ruleKeyOf = (detection: Detection): string => `${detection.source.kind}|${detection.rule.id}`;

/** gather -> decide -> seal -> plan. Everything the decision looks at is gathered first and kept in the token. */
export const decideDetection = (
  deps: DecideDeps,
  policy: ActivePolicy,
  detection: Detection,
  arrival: {
    readonly contentHash: string;
    readonly nowMs: number;
    readonly previous: { readonly sequence: number; readonly hash: string };
  },
): Decided => {
  const { nowMs } = arrival;
  const context = gatherContext(deps, policy, detection, nowMs);
  const decisionId = newDecisionId(nowMs, deps.random.bytes(10));
  const result = decide({
    detection,
    context,
    limits: { used: (key) => deps.counters.used(key, nowMs) },
    compiled: policy.compiled,
    site: deps.identity.site,
    nowMs,
    decisionId,
  });
  const { token, json } = sealToken(
    {
      header: {
        ...deps.identity,
        sequence: arrival.previous.sequence + 1,
        decided_at: timestampOf(nowMs),
        bundle: policy.bundle,
        weights: policy.weights,
      },
      detection,
      context: { ...context, limits: result.limitsRead },
      slice: cutSlice(policy.compiled, result.matched, detection, context.assets),
      decision: result.decision,
      previous: arrival.previous.hash,
    },
    deps.crypto.sha256Hex,
  );
  const commands = planCommands(deps, result.decision, nowMs);
  const row: DecidedRow = {
    eventId: detection.event_id,
    contentHash: arrival.contentHash,
    atMs: nowMs,
    ruleKey: ruleKeyOf(detection),
    domain: detection.source.domain,
    entityKeys: entityKeysOf(detection),
    verdict: result.decision.verdict,
  };
  return { decision: result.decision, token, tokenJson: json, row, commands };
};

const entityKeysOf = (detection: Detection): string[] => [
  ...new Set(detection.entities.filter((entity) => entity.role !== "observer").map(entityKey)),
];

const gatherContext = (
  deps: DecideDeps,
  policy: ActivePolicy,
  detection: Detection,
  nowMs: number,
): Omit<Context, "limits"> => {
  const keys = entityKeysOf(detection);
  const { history, agreement } = deps.history.about(
    keys,
    detection.source.domain,
    nowMs,
    policy.settings.history_seconds * 1_000,
  );
  return {
    received_at: timestampOf(nowMs),
    mode: policy.settings.mode,
    killed: deps.brakes.killed(),
    lease_valid: deps.brakes.leaseValid(),
    connectors: [...deps.connectors],
    circuit_closed: deps.circuit.closed(nowMs, policy.settings.actions_per_minute_max),
    assets: gatherAssets(policy.compiled, detection),
    history,
    agreement,
    prior: deps.prior.of(ruleKeyOf(detection)),
    leases: deps.leases.on(keys),
  };
};
