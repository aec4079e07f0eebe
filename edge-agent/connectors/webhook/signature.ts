import { createHmac, createPrivateKey, sign } from "node:crypto";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";

/**
 * Signatures as in standardwebhooks.com (specification 1.0): over `id.timestamp.body`, so that neither an old body under a new
 * id nor an old message at a later time is believed.
 */
export type SignedHeaders = {
  readonly "webhook-id": string;
  /** Seconds since 1970. */
  readonly "webhook-timestamp": string;
  /** `v1,<base64>`, or `v1a,<base64>` for ed25519. */
  readonly "webhook-signature": string;
};

/** Shorter keys can be guessed; longer ones are only hashed down by HMAC-SHA256. */
const keyBytes = { min: 24, max: 64 } as const;
const ed25519SeedBytes = 32;
/** RFC 8410 7: a private key of 32 bytes in PKCS #8. */
const pkcs8Ed25519 = Buffer.from("302e020100300506032b657004220420", "hex");

/** `whsec_<base64>`: shared key. `whsk_<base64>`: ed25519 private key (its seed, or seed and public key). */
export const signWebhook = (
  secret: string,
  message: { readonly id: string; readonly atMs: number; readonly body: string },
): Result<SignedHeaders, Refusal> => {
  const timestamp = String(Math.floor(message.atMs / 1_000));
  const signed = Buffer.from(`${message.id}.${timestamp}.${message.body}`);
  const signature = signatureOf(secret, signed);
  if (!signature.ok) return signature;
  return ok({
    "webhook-id": message.id,
    "webhook-timestamp": timestamp,
    "webhook-signature": signature.value,
  });
};

const signatureOf = (secret: string, signed: Buffer): Result<string, Refusal> => {
  const [, kind, text] = /^(whsec|whsk)_([A-Za-z0-9+/]+={0,2})$/.exec(secret) ?? [];
  if (text === undefined) return malformed("whsec_ or whsk_ and base64");
  const key = Buffer.from(text, "base64");
  if (kind === "whsk") {
    if (key.length !== ed25519SeedBytes && key.length !== 2 * ed25519SeedBytes) return malformed("whsk_ and 32 bytes");
    const privateKey = createPrivateKey({
      key: Buffer.concat([pkcs8Ed25519, key.subarray(0, ed25519SeedBytes)]),
      format: "der",
      type: "pkcs8",
    });
    return ok(`v1a,${sign(null, signed, privateKey).toString("base64")}`);
  }
  if (key.length < keyBytes.min || key.length > keyBytes.max) {
    return malformed(`whsec_ and ${keyBytes.min} to ${keyBytes.max} bytes`);
  }
  return ok(`v1,${createHmac("sha256", key).update(signed).digest("base64")}`);
};

const malformed = (wanted: string): Result<never, Refusal> =>
  err(refusal("schema-invalid", `the webhook secret must be ${wanted} in base64`));
