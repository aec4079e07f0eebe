import { parseJson } from "@reflex/protocol/json";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { SyncRequest, SyncResponse } from "@reflex/protocol/sync";
import { checkEnvelope } from "@reflex/protocol/validate";
import type { KillRegister } from "../release/kill-register.ts";
import type { FleetStore } from "../store/fleet-store.ts";
import type { Heads } from "./heads.ts";
import type { IngestStore } from "./ingest.ts";

export type SyncDeps = {
  readonly org: string;
  readonly agents: Pick<IngestStore, "agent">;
  readonly fleet: Pick<FleetStore, "heard" | "skipLost">;
  readonly heads: Pick<Heads, "current">;
  readonly kills: Pick<KillRegister, "reaching">;
};

/** The truth for one agent, whatever its broker kept or lost: head, kill states, and how far its reports are stored. */
export const createAnswerSync =
  (deps: SyncDeps) =>
  async (agentName: string, request: SyncRequest): Promise<Result<SyncResponse, Refusal>> => {
    const agent = await deps.agents.agent(agentName);
    if (agent === undefined || agent.revoked) return err(refusal("unauthorised", "no such agent is enrolled"));
    if (request.org !== deps.org || request.site !== agent.site || request.agent !== agentName)
      return err(refusal("audience-wrong", "the request names another agent than its sender"));
    await deps.fleet.heard({
      agent: agentName,
      bootId: request.boot_id,
      engine: request.engine,
      bundle: request.bundle,
      weights: request.weights,
    });
    let { acknowledged } = agent;
    // Its spool begins after what we have (our database was restored from a backup): waiting would be for ever.
    if (request.spool.first > acknowledged + 1) {
      await deps.fleet.skipLost(agentName, agent.incarnation, request.spool.first);
      acknowledged = request.spool.first - 1;
    }
    const kills = deps.kills.reaching({ org: deps.org, site: agent.site, agent: agentName }).flatMap(({ envelope }) => {
      const parsed = parseJson(envelope);
      const checked = parsed.ok ? checkEnvelope(parsed.value) : parsed;
      return checked.ok ? [checked.value] : [];
    });
    return ok({ v: 1, boot_id: request.boot_id, head: await deps.heads.current(agent.site), kills, acknowledged });
  };
