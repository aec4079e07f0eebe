import Type, { type Static } from "typebox";
import { bundleBytesMax, signaturesMax } from "./limits.ts";
import { type Refusal, refusal } from "./refusal.ts";
import { err, ok, type Result } from "./result.ts";

/**
 * DSSE v1.0.2 (github.com/secure-systems-lab/dsse, protocol.md): signatures are over bytes, bound to a payload type,
 * so a policy signature can never be read as a command and nothing has to be canonicalised to be verified.
 */
export const payloadTypes = {
  bundle: "application/vnd.reflex.bundle.v1+json",
  weights: "application/vnd.reflex.weights.v1+json",
  kill: "application/vnd.reflex.kill.v1+json",
  trust: "application/vnd.reflex.trust.v1+json",
  head: "application/vnd.reflex.head.v1+json",
  batch: "application/vnd.reflex.batch.v1+json",
  command: "application/vnd.reflex.command.v1+json",
  order: "application/vnd.reflex.order.v1+json",
} as const;
export type PayloadKind = keyof typeof payloadTypes;

export const Envelope = Type.Object(
  {
    payloadType: Type.String({ minLength: 1, maxLength: 128 }),
    /** Standard base64 with padding. */
    payload: Type.String({ maxLength: Math.ceil((bundleBytesMax * 4) / 3) + 4 }),
    signatures: Type.Array(
      // keyid is an unauthenticated hint (DSSE): it picks the key to try first and decides nothing.
      Type.Object(
        { keyid: Type.String({ maxLength: 128 }), sig: Type.String({ maxLength: 512 }) },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: signaturesMax },
    ),
  },
  { additionalProperties: false },
);
export type Envelope = Static<typeof Envelope>;

/** A public key of a role: Ed25519, raw 32 bytes in base64. */
export type RoleKey = { readonly keyid: string; readonly public: string };

/** Verifies one Ed25519 signature. Handed in: `node:crypto` on agents and controllers, tweetnacl in the browser. */
export type VerifySignature = (publicKeyBase64: string, message: Uint8Array, signatureBase64: string) => boolean;
export type DecodeBase64 = (text: string) => Uint8Array | undefined;

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));

/** Pre-authentication encoding: `DSSEv1 <len(type)> <type> <len(payload)> <payload>`. Payload types are ASCII. */
export const preAuthEncoding = (payloadType: string, payload: Uint8Array): Uint8Array => {
  const head = ascii(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `);
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  return bytes;
};

export type VerifyEnvelopeDeps = { readonly verify: VerifySignature; readonly decodeBase64: DecodeBase64 };

/** Payload bytes, if at least `threshold` distinct trusted keys signed exactly them as exactly this kind. */
export const openEnvelope = (
  deps: VerifyEnvelopeDeps,
  envelope: Envelope,
  kind: PayloadKind,
  trusted: { readonly keys: readonly RoleKey[]; readonly threshold: number },
): Result<Uint8Array, Refusal> => {
  if (envelope.payloadType !== payloadTypes[kind]) return err(refusal("payload-type-wrong", envelope.payloadType));
  if (trusted.threshold < 1) return err(refusal("threshold-not-met", "a role with threshold 0 trusts nobody"));
  const payload = deps.decodeBase64(envelope.payload);
  if (payload === undefined) return err(refusal("envelope-malformed", "payload is not base64"));
  const message = preAuthEncoding(envelope.payloadType, payload);
  // Distinct public keys, not key ids or signatures: one key under two names counts once.
  const signers = new Set<string>();
  for (const signature of envelope.signatures) {
    const hinted = trusted.keys.filter((key) => key.keyid === signature.keyid);
    const others = trusted.keys.filter((key) => key.keyid !== signature.keyid);
    const signer = [...hinted, ...others].find(
      (key) => !signers.has(key.public) && deps.verify(key.public, message, signature.sig),
    );
    if (signer !== undefined) signers.add(signer.public);
  }
  if (signers.size >= trusted.threshold) return ok(payload);
  if (signers.size === 0)
    return err(refusal("signature-invalid", `none of ${envelope.signatures.length} signatures is by a trusted key`));
  return err(refusal("threshold-not-met", `${signers.size} of ${trusted.threshold} distinct keys signed`));
};
