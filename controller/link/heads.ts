import type { Envelope } from "@reflex/protocol/envelope";
import type { Head } from "@reflex/protocol/sync";
import type { KillRegister } from "../release/kill-register.ts";
import type { SigningKey } from "../release/signing-key.ts";
import type { ReleaseStore } from "../store/release-store.ts";

/** Signed heads of the sites. Hearing one renews an agent's right to act, so a head is never older than five minutes. */
export type Heads = {
  /** As it stands, or a new one where that is too old. Rejects when the database cannot give a sequence. */
  readonly current: (site: string) => Promise<Envelope>;
  /** Signs anew because something in it changed. */
  readonly refresh: (site: string) => Promise<Envelope>;
};

export type HeadDeps = {
  readonly org: string;
  readonly key: SigningKey;
  readonly store: Pick<ReleaseStore, "nextHeadSequence" | "desired" | "storeHead">;
  readonly kills: Pick<KillRegister, "epochsFor">;
  readonly trustVersion: () => number;
  readonly nowMs: () => number;
};

/** Half of what is promised: an agent that syncs just before the next round still hears a fresh one. */
export const headAgeMsMax = 150_000;

export const createHeads = (deps: HeadDeps): Heads => {
  const newest = new Map<string, { readonly envelope: Envelope; readonly signedMs: number }>();
  const signing = new Map<string, Promise<Envelope>>();

  const signNow = async (site: string): Promise<Envelope> => {
    const sequence = await deps.store.nextHeadSequence(site);
    // Read after the sequence is taken: whoever changes something later also signs later, under a higher one.
    const desired = await deps.store.desired(site);
    const signedMs = deps.nowMs();
    const head: Head = {
      v: 1,
      kind: "head",
      aud: { org: deps.org, site },
      sequence,
      issued_at: new Date(signedMs).toISOString(),
      ...desired,
      trust_version: deps.trustVersion(),
      kill_epochs: deps.kills.epochsFor(deps.org, site),
    };
    const envelope = deps.key.sign("head", Buffer.from(JSON.stringify(head)));
    newest.set(site, { envelope, signedMs });
    await deps.store.storeHead(site, sequence, JSON.stringify(envelope));
    return envelope;
  };

  const refresh = (site: string): Promise<Envelope> => {
    // After the one under way, which may have read before the change; a thousand agents asking at once share one.
    const next = (signing.get(site) ?? Promise.resolve(undefined)).then(
      () => signNow(site),
      () => signNow(site),
    );
    signing.set(site, next);
    const clear = (): void => {
      if (signing.get(site) === next) signing.delete(site);
    };
    next.then(clear, clear);
    return next;
  };

  return {
    refresh,
    current: (site) => {
      const known = newest.get(site);
      if (known !== undefined && deps.nowMs() - known.signedMs < headAgeMsMax) return Promise.resolve(known.envelope);
      return signing.get(site) ?? refresh(site);
    },
  };
};
