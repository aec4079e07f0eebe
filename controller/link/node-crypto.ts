import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import type { DecodeBase64, VerifySignature } from "@reflex/protocol/envelope";

/** What of node:crypto the pure parts ask for. */
export type Crypto = {
  readonly verify: VerifySignature;
  readonly decodeBase64: DecodeBase64;
  readonly sha256Hex: (bytes: Uint8Array | string) => string;
  readonly textOf: (bytes: Uint8Array) => string | undefined;
};

/** Head of a SubjectPublicKeyInfo for Ed25519 (RFC 8410 §4); the raw key follows. */
const ed25519Prefix = Buffer.from("302a300506032b6570032100", "hex");
const keysMax = 20_000; // an agent fleet and its roles; making a key object costs as much as a third of a verification

const keys = new Map<string, KeyObject>();

const keyOf = (publicKeyBase64: string): KeyObject | undefined => {
  const known = keys.get(publicKeyBase64);
  if (known !== undefined) return known;
  const raw = decodeBase64(publicKeyBase64);
  if (raw?.length !== 32) return undefined;
  const key = createPublicKey({ key: Buffer.concat([ed25519Prefix, raw]), format: "der", type: "spki" });
  if (keys.size >= keysMax) keys.clear();
  keys.set(publicKeyBase64, key);
  return key;
};

/** Strict: Node's own decoder skips what it does not know, and two spellings of one value are two values elsewhere. */
const decodeBase64: DecodeBase64 = (text) => {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
};

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const nodeCrypto: Crypto = {
  verify: (publicKeyBase64, message, signatureBase64) => {
    const key = keyOf(publicKeyBase64);
    const signature = decodeBase64(signatureBase64);
    return key !== undefined && signature?.length === 64 && verify(null, message, key, signature);
  },
  decodeBase64,
  sha256Hex: (bytes) => createHash("sha256").update(bytes).digest("hex"),
  textOf: (bytes) => {
    try {
      return utf8.decode(bytes);
    } catch {
      return undefined;
    }
  },
};
