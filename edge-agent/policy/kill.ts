import { type KillState, killReaches, killScopeKey, strongerKillState } from "@reflex/protocol/kill";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { checkKillState } from "@reflex/protocol/validate";
import type { Crypto, Log, Timers } from "../ports.ts";
import type { Tell } from "./activate.ts";
import type { Marks } from "./marks-port.ts";
import { createMirror } from "./mirror.ts";
import { openSigned } from "./open-signed.ts";
import type { Slots } from "./slots-port.ts";
import type { TrustStore } from "./trust.ts";

/** Scopes that reach one agent are its own, its site's and the organisation's; the rest is room for other spellings. */
const scopesMax = 16;
const killBytesMax = 8 * 1024;
const retryMs = 5_000;

/** Why nothing acts. `scope` is `<org>/<site>/<agent>`, `local` for the file, `unread` and `unheard` where the state is not known. */
export type Killed = {
  readonly engaged: true;
  readonly scope: string;
  readonly epoch: number;
  readonly reason: string;
  readonly by: string;
};

/**
 * The kill switch as this agent knows it. Engaging takes one key of the kill role and no clock; releasing takes
 * `kill_release_threshold` distinct keys and a higher epoch. States from every path merge to the highest epoch, engaged at a tie.
 */
export type KillSwitch = {
  readonly boot: () => Promise<void>;
  /** Asked before each external call; reads RAM and the presence of the local file. */
  readonly killed: () => Killed | undefined;
  /** A signed kill state from any path. In force from RAM at once; ok once it is durable. */
  readonly accept: (envelope: Uint8Array) => Promise<Result<{ readonly isNew: boolean }, Refusal>>;
  /** Epochs that a verified head names: a higher one than we know is a kill we missed, so nothing acts until it is heard. */
  readonly expect: (epochs: Readonly<Record<string, number>>) => void;
  readonly epochs: () => Readonly<Record<string, number>>;
  readonly onChange: (run: () => void) => void;
};

export type KillDeps = {
  readonly crypto: Crypto;
  readonly slots: Slots;
  readonly marks: Marks;
  readonly trust: Pick<TrustStore, "current">;
  readonly self: { readonly org: string; readonly site: string; readonly agent: string };
  /** Is the file `KILL` in the data folder? Anyone who can write there may stop the agent; no key, no clock. */
  readonly localFile: () => boolean;
  readonly timers: Timers;
  readonly tell: Tell;
  readonly log: Log;
};

export const createKillSwitch = (deps: KillDeps): KillSwitch => {
  const { crypto, marks, self, tell } = deps;
  const mirror = createMirror(deps, "kill", 4 * scopesMax * killBytesMax);
  const states = new Map<string, KillState>();
  const expected = new Map<string, number>();
  const listeners: (() => void)[] = [];
  const ownScopes = [`${self.org}/*/*`, `${self.org}/${self.site}/*`, `${self.org}/${self.site}/${self.agent}`];
  /** What was stored cannot be read: fail closed until a head's epochs are all known. */
  let isDamaged = false;
  /** True until booted, too: before the disk was read nobody knows. */
  let unread = true;
  let storing: Promise<Result<void, Refusal>> = Promise.resolve(ok(undefined));
  let retrying = false;

  const killed = (): Killed | undefined => {
    if (deps.localFile())
      return { engaged: true, scope: "local", epoch: 0, reason: "the file KILL is present", by: "local" };
    for (const [scope, state] of states) {
      if (state.state === "engaged")
        return { engaged: true, scope, epoch: state.epoch, reason: state.reason, by: state.by };
    }
    if (unread)
      return { engaged: true, scope: "unread", epoch: 0, reason: "stored kill states cannot be read", by: "agent" };
    for (const [scope, epoch] of expected) {
      if (epoch > epochOf(scope)) {
        return {
          engaged: true,
          scope: "unheard",
          epoch,
          reason: `a kill state of ${scope} was not heard`,
          by: "controller",
        };
      }
    }
    return undefined;
  };

  /** Keeps the stronger one; true when that changed what is known. */
  const merge = (state: KillState): boolean => {
    const scope = killScopeKey(state.aud);
    const known = states.get(scope);
    const kept = known === undefined ? state : strongerKillState(known, state);
    if (kept === known || (known !== undefined && known.epoch === kept.epoch && known.state === kept.state))
      return false;
    states.set(scope, kept);
    return true;
  };

  const accept = async (envelope: Uint8Array): Promise<Result<{ readonly isNew: boolean }, Refusal>> => {
    const verified = verify(envelope);
    if (!verified.ok) {
      deps.log.warn({ code: verified.error.code, detail: verified.error.detail }, "kill state refused");
      return verified;
    }
    const state = verified.value;
    const scope = killScopeKey(state.aud);
    if (!states.has(scope) && states.size >= scopesMax) return err(refusal("queue-full", "too many kill scopes"));
    // A mark above all known states means some were lost with the file: what is older than the mark proves nothing.
    if (state.state === "armed" && state.epoch < marks.get(`kill/${scope}`))
      return err(refusal("version-rollback", scope));
    const isNew = merge(state);
    if (isNew) {
      noteHeard();
      tell(
        state.state === "engaged" ? "alarm" : "info",
        `kill-${state.state}`,
        `${scope} epoch ${state.epoch} by ${state.by}: ${state.reason}`,
        ...(state.state === "engaged" ? (["kill-engaged"] as const) : []),
      );
      changed();
    }
    // A repeated state costs no write, but is only acknowledged when the first one is down.
    const stored = isNew || !(await storing).ok ? await store() : ok(undefined);
    return stored.ok ? ok({ isNew }) : stored;
  };

  const verify = (envelope: Uint8Array): Result<KillState, Refusal> => {
    const trust = deps.trust.current();
    if (trust === undefined) return err(refusal("trust-missing"));
    const gate = { kind: "kill", payloadBytesMax: killBytesMax, check: checkKillState } as const;
    const byOne = openSigned(crypto, gate, envelope, [{ keys: trust.roles.kill.keys, threshold: 1 }]);
    if (!byOne.ok) return byOne;
    const state = byOne.value.value;
    if (!isOneScope(state) || !killReaches(state.aud, self))
      return err(refusal("audience-wrong", killScopeKey(state.aud)));
    if (state.state === "engaged") return ok(state);
    const threshold = Math.max(trust.kill_release_threshold, trust.roles.kill.threshold);
    const byAll = openSigned(crypto, gate, envelope, [{ keys: trust.roles.kill.keys, threshold }]);
    return byAll.ok ? ok(state) : byAll;
  };

  // Writes queue up behind each other and each writes all that is known, so the last one always holds everything.
  const store = (): Promise<Result<void, Refusal>> => {
    storing = storing.then(async () => {
      // Marks first: a mark without its state reads as "unknown", and unknown means that nothing acts.
      const raised = raiseMarks();
      const written = await mirror.write(JSON.stringify([...states.values()]));
      const stored = raised.ok ? written : raised;
      if (!stored.ok && !retrying) {
        retrying = true;
        deps.log.error(
          { code: stored.error.code, detail: stored.error.detail },
          "kill state is in force but not stored",
        );
        deps.timers.after(retryMs, () => {
          retrying = false;
          void store();
        });
      }
      return stored;
    });
    return storing;
  };

  const raiseMarks = (): Result<void, Refusal> =>
    marks.raise(Object.fromEntries([...states].map(([scope, state]) => [`kill/${scope}`, state.epoch])));

  const boot = async (): Promise<void> => {
    const { texts, found } = await mirror.read();
    for (const text of texts) for (const state of readStates(text)) merge(state);
    const isAmnesia = marks.isLost() && deps.trust.current() !== undefined;
    isDamaged = isAmnesia || (found > 0 && texts.length === 0);
    noteUnread();
    if (unread)
      tell(
        "alarm",
        "kill-unread",
        "stored kill states are damaged; nothing acts until the controller says them again",
        "kill-engaged",
      );
    else if (found > texts.length) await store();
    const by = killed();
    if (by !== undefined) deps.log.warn({ scope: by.scope, epoch: by.epoch }, "starting with the kill switch engaged");
  };

  /** A mark above the state we know means that the state was lost; no file at all and no marks means a new agent. */
  const noteUnread = (): void => {
    unread = isDamaged || ownScopes.some((scope) => marks.get(`kill/${scope}`) > epochOf(scope));
  };

  const epochOf = (scope: string): number => states.get(scope)?.epoch ?? 0;

  let isHeadHeard = false;
  const noteHeard = (): void => {
    if (isHeadHeard && [...expected].every(([scope, epoch]) => epochOf(scope) >= epoch)) isDamaged = false;
    noteUnread();
  };

  const changed = (): void => {
    for (const run of listeners) run();
  };

  return {
    boot,
    killed,
    accept,
    expect: (epochs) => {
      const before = killed();
      isHeadHeard = true;
      for (const [scope, epoch] of Object.entries(epochs)) {
        const aud = audienceOf(scope);
        if (aud !== undefined && killReaches(aud, self) && expected.size < scopesMax) {
          expected.set(scope, Math.max(epoch, expected.get(scope) ?? 0));
        }
      }
      noteHeard();
      if (killed()?.scope !== before?.scope) changed();
    },
    epochs: () => Object.fromEntries([...states].map(([scope, state]) => [scope, state.epoch])),
    onChange: (run) => {
      listeners.push(run);
    },
  };
};

/** `*` as site means the whole organisation, and then it cannot mean one agent: an agent name may exist on two sites. */
const isOneScope = ({ aud }: KillState): boolean => aud.site !== "*" || aud.agent === "*";

const audienceOf = (scope: string): KillState["aud"] | undefined => {
  const [org, site, agent, ...more] = scope.split("/");
  return org === undefined || site === undefined || agent === undefined || more.length > 0
    ? undefined
    : { org, site, agent };
};

/** Written by this agent after verifying; the digest around it finds damage, and a rotated key must not revive anything. */
const readStates = (text: string): readonly KillState[] => {
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed)) return [];
  return parsed.flatMap((each) => {
    const checked = checkKillState(each);
    return checked.ok ? [checked.value] : [];
  });
};
