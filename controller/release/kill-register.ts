import { type KillState, killReaches, killScopeKey, strongerKillState } from "@reflex/protocol/kill";
import type { AgentAddress } from "@reflex/protocol/topics";

/** The strongest kill state known of each scope, in memory: a kill goes out and is answered with the database down. */
export type Kill = { readonly state: KillState; readonly envelope: string };
export type KillRegister = {
  /** False: what is known already is as strong or stronger. */
  readonly take: (kill: Kill) => boolean;
  readonly all: () => readonly Kill[];
  readonly reaching: (agent: AgentAddress) => readonly Kill[];
  /** For the head of a site: every scope that reaches one of its agents. */
  readonly epochsFor: (org: string, site: string) => Readonly<Record<string, number>>;
};

export const createKillRegister = (): KillRegister => {
  const byScope = new Map<string, Kill>();
  const all = (): readonly Kill[] => [...byScope.values()];
  return {
    take: (kill) => {
      const scope = killScopeKey(kill.state.aud);
      const known = byScope.get(scope);
      if (known !== undefined && strongerKillState(known.state, kill.state) === known.state) return false;
      byScope.set(scope, kill);
      return true;
    },
    all,
    reaching: (agent) => all().filter(({ state }) => killReaches(state.aud, agent)),
    epochsFor: (org, site) =>
      Object.fromEntries(
        all()
          .filter(({ state: { aud } }) => aud.org === org && (aud.site === "*" || aud.site === site))
          .map(({ state }) => [killScopeKey(state.aud), state.epoch]),
      ),
  };
};
