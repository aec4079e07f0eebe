import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Trust } from "@reflex/protocol/trust";
import { checkTrust } from "@reflex/protocol/validate";
import type { Crypto } from "../ports.ts";
import type { Marks } from "./marks-port.ts";
import { createMirror } from "./mirror.ts";
import { envelopeBytesMax, openSigned, type Role, readEnvelope, readJson } from "./open-signed.ts";
import type { Slots } from "./slots-port.ts";

/** 5 roles of 16 keys are 15 kB. */
const trustBytesMax = 64 * 1024;
/** Rotations are yearly; what was accepted under older keys than these is re-issued long before. */
const chainMax = 8;

export type TrustStore = {
  /** Reads the pinned chain; `trust-missing` before enrolment. */
  readonly load: () => Promise<Result<Trust, Refusal>>;
  readonly current: () => Trust | undefined;
  /** 0 before enrolment; also of a document that is behind its mark and only good for verifying the next. */
  readonly newestVersion: () => number;
  /** Newest first: content accepted under an older document stays verifiable after a rotation and a restart. */
  readonly chain: () => readonly Trust[];
  /** First document, from the enrolment answer. One that is in the chain is fine, and so is its successor; another is refused. */
  readonly pin: (envelope: Uint8Array) => Promise<Result<Trust, Refusal>>;
  /** Next version, signed by the old and the new root threshold. */
  readonly advance: (envelope: Uint8Array) => Promise<Result<Trust, Refusal>>;
};

export type TrustDeps = {
  readonly crypto: Crypto;
  readonly slots: Slots;
  readonly marks: Marks;
  readonly org: string;
};

type Link = { readonly trust: Trust; readonly envelope: Uint8Array };

export const createTrustStore = (deps: TrustDeps): TrustStore => {
  const { crypto, marks } = deps;
  const mirror = createMirror(deps, "trust", chainMax * 2 * envelopeBytesMax(trustBytesMax));
  let links: readonly Link[] = [];

  const open = (envelope: Uint8Array, role: Role | undefined): Result<Trust, Refusal> => {
    // Its own root keys say who may sign it; that is why the caller must have pinned or chained it.
    const unverified = peek(crypto, envelope);
    if (!unverified.ok) return unverified;
    const own = openSigned(crypto, gate, envelope, [unverified.value.roles.root]);
    if (!own.ok) return own;
    if (role !== undefined) {
      const byOld = openSigned(crypto, gate, envelope, [role]);
      if (!byOld.ok) return byOld;
    }
    if (own.value.value.org !== deps.org) return err(refusal("audience-wrong", "trust of another organisation"));
    return ok(own.value.value);
  };

  const follow = (envelope: Uint8Array, before: Trust): Result<Link, Refusal> => {
    const opened = open(envelope, before.roles.root);
    if (!opened.ok) return opened;
    // One step at a time: a skipped version could hide a rotation whose keys never met the threshold.
    if (opened.value.version !== before.version + 1) {
      return err(refusal("version-rollback", `version ${opened.value.version} does not follow ${before.version}`));
    }
    return ok({ trust: opened.value, envelope });
  };

  const keep = async (next: readonly Link[]): Promise<Result<Trust, Refusal>> => {
    const kept = next.slice(-chainMax);
    const newest = kept.at(-1) as Link;
    const stored = await mirror.write(JSON.stringify(kept.map((link) => crypto.encodeBase64(link.envelope))));
    if (!stored.ok) return stored;
    const raised = marks.raise({ trust: newest.trust.version });
    if (!raised.ok) return raised;
    links = kept;
    return ok(newest.trust);
  };

  const readChain = (text: string): readonly Link[] => {
    const chain: Link[] = [];
    for (const encoded of JSON.parse(text) as readonly string[]) {
      const envelope = crypto.decodeBase64(encoded);
      if (envelope === undefined) return [];
      const before = chain.at(-1)?.trust;
      const opened = open(envelope, before?.roles.root);
      if (!opened.ok || (before !== undefined && opened.value.version !== before.version + 1)) return [];
      chain.push({ trust: opened.value, envelope });
    }
    return chain;
  };

  // Behind its own mark the document may name revoked keys: good enough to verify the next one, not to obey.
  const isCurrent = (): boolean => (links.at(-1)?.trust.version ?? -1) >= marks.get("trust");
  return {
    load: async () => {
      const { texts } = await mirror.read();
      const versionOf = (chain: readonly Link[]): number => chain.at(-1)?.trust.version ?? 0;
      links = texts.map(readChain).reduce((best, chain) => (versionOf(chain) > versionOf(best) ? chain : best), []);
      const newest = links.at(-1)?.trust;
      return newest === undefined ? err(refusal("trust-missing", "enrol the agent")) : ok(newest);
    },
    current: () => (isCurrent() ? links.at(-1)?.trust : undefined),
    newestVersion: () => links.at(-1)?.trust.version ?? 0,
    chain: () => (isCurrent() ? links.map((link) => link.trust).reverse() : []),
    pin: async (envelope) => {
      const opened = open(envelope, undefined);
      if (!opened.ok) return opened;
      const pinned = links.at(-1);
      if (pinned !== undefined) {
        const hash = crypto.sha256Hex(envelope);
        if (links.some((link) => crypto.sha256Hex(link.envelope) === hash)) return ok(pinned.trust);
        const next = follow(envelope, pinned.trust);
        if (next.ok) return keep([...links, next.value]);
        return err(refusal("conflict", "another trust document is pinned; remove the agent's data to enrol anew"));
      }
      if (opened.value.version < marks.get("trust")) {
        return err(refusal("version-rollback", `trust version ${opened.value.version}, seen ${marks.get("trust")}`));
      }
      return keep([{ trust: opened.value, envelope }]);
    },
    advance: async (envelope) => {
      const before = links.at(-1)?.trust;
      if (before === undefined) return err(refusal("trust-missing"));
      const next = follow(envelope, before);
      return next.ok ? keep([...links, next.value]) : next;
    },
  };
};

const gate = { kind: "trust", payloadBytesMax: trustBytesMax, check: checkTrust } as const;

/** Read without any signature, only to learn which keys to ask. */
const peek = (crypto: Crypto, bytes: Uint8Array): Result<Trust, Refusal> => {
  const envelope = readEnvelope(crypto, bytes, trustBytesMax);
  if (!envelope.ok) return envelope;
  const payload = crypto.decodeBase64(envelope.value.payload);
  return payload === undefined ? err(refusal("envelope-malformed")) : readJson(crypto, payload, checkTrust);
};
