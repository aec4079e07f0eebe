import type { Envelope } from "@reflex/protocol/envelope";
import type { KillState } from "@reflex/protocol/kill";
import { type KeyFile, signJson } from "./keys.ts";

export type KillRequest = {
  readonly org: string;
  readonly site: string;
  readonly agent: string;
  readonly state: KillState["state"];
  readonly epoch: number;
  readonly reason: string;
  readonly by: string;
  readonly issuedAt: string;
};

/** A kill state signed by the keys given: one is enough to engage, releasing needs two. */
export const signKill = (request: KillRequest, keys: readonly KeyFile[]): Envelope => {
  const state: KillState = {
    v: 1,
    kind: "kill",
    aud: { org: request.org, site: request.site, agent: request.agent },
    state: request.state,
    epoch: request.epoch,
    reason: request.reason,
    by: request.by,
    issued_at: request.issuedAt,
  };
  return signJson("kill", state, keys);
};
