import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type Envelope, type PayloadKind, payloadTypes, preAuthEncoding } from "@reflex/protocol/envelope";
import type { Trust } from "@reflex/protocol/trust";

/** A private key the controller holds: head, and weights where it recalibrates by itself. Never release, kill or root. */
export type SigningKey = {
  readonly keyid: string;
  /** Raw Ed25519, base64. */
  readonly public: string;
  readonly sign: (kind: PayloadKind, payload: Uint8Array) => Envelope;
};

/** Key file as `reflexctl keys new` writes it: the 32-byte seed in base64. */
type KeyFile = {
  readonly role: keyof Trust["roles"];
  readonly keyid: string;
  readonly public: string;
  readonly seed: string;
};

/** Head of a PKCS#8 Ed25519 key (RFC 8410 §7); the seed follows. */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

export const readSigningKey = (file: string, role: "head" | "weights"): SigningKey => {
  const stored: Partial<KeyFile> = JSON.parse(readFileSync(file, "utf8"));
  const seed = Buffer.from(stored.seed ?? "", "base64");
  if (seed.length !== 32 || stored.keyid === undefined) throw new Error(`${file} is not a key file of reflexctl`);
  if (stored.role !== role) throw new Error(`${file} is a ${stored.role} key; a ${role} key is needed here`);
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" });
  return {
    keyid: stored.keyid,
    public: rawPublic(key),
    sign: (kind, payload) => signed(key, stored.keyid ?? "", kind, payload),
  };
};

/** Makes the file when there is none: its public half then goes into the trust document, which root signs offline. */
export const makeSigningKey = (file: string, role: "head" | "weights", keyid: string): void => {
  if (existsSync(file)) return;
  const { privateKey } = generateKeyPairSync("ed25519");
  const seed = privateKey.export({ format: "der", type: "pkcs8" }).subarray(pkcs8Prefix.length).toString("base64");
  const stored: KeyFile = { role, keyid, public: rawPublic(privateKey), seed };
  writeFileSync(file, `${JSON.stringify(stored, undefined, 2)}\n`, { mode: 0o600, flag: "wx" });
};

const rawPublic = (key: KeyObject): string =>
  createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32).toString("base64");

const signed = (key: KeyObject, keyid: string, kind: PayloadKind, payload: Uint8Array): Envelope => ({
  payloadType: payloadTypes[kind],
  payload: Buffer.from(payload).toString("base64"),
  signatures: [{ keyid, sig: sign(null, preAuthEncoding(payloadTypes[kind], payload), key).toString("base64") }],
});
