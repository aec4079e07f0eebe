import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import type { SigningKey } from "@reflex/controller/release/signing-key";
import type { Signer } from "@reflex/edge-agent/report/reporter";
import { type Envelope, type PayloadKind, payloadTypes, preAuthEncoding } from "@reflex/protocol/envelope";
import type { Trust } from "@reflex/protocol/trust";

/** Real Ed25519 keys, the same in every run: a hash in the story must not depend on chance outside the seed. */
export type Key = { readonly keyid: string; readonly public: string; readonly privateKey: KeyObject };

/** Head of a PKCS#8 Ed25519 key (RFC 8410 §7); the seed follows. */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

const keyOf = (keyid: string): Key => {
  const seed = createHash("sha256").update(`simulated ${keyid}`).digest();
  const privateKey = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" });
  const raw = createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(-32);
  return { keyid, public: raw.toString("base64"), privateKey };
};
const keysOf = (role: string, count: number): [Key, ...Key[]] => [
  keyOf(`${role}-1`),
  ...Array.from({ length: count - 1 }, (_, index) => keyOf(`${role}-${index + 2}`)),
];

export const keys = {
  root: keysOf("root", 3),
  release: keysOf("release", 3),
  head: keysOf("head", 1),
  weights: keysOf("weights", 1),
  kill: keysOf("kill", 3),
  /** Nobody's role. */
  stranger: keysOf("stranger", 3),
  report: keysOf("report", 1),
};

export const signed = (kind: PayloadKind, payload: unknown, by: readonly Key[]): Envelope => {
  const bytes = Buffer.from(JSON.stringify(payload));
  const message = preAuthEncoding(payloadTypes[kind], bytes);
  return {
    payloadType: payloadTypes[kind],
    payload: bytes.toString("base64"),
    signatures: by.map(({ keyid, privateKey }) => ({ keyid, sig: sign(null, message, privateKey).toString("base64") })),
  };
};
export const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

export const reportSigner: Signer = {
  keyid: keys.report[0].keyid,
  sign: (message) => sign(null, message, keys.report[0].privateKey).toString("base64"),
};

export const headKey: SigningKey = {
  keyid: keys.head[0].keyid,
  public: keys.head[0].public,
  sign: (kind, payload) => ({
    payloadType: payloadTypes[kind],
    payload: Buffer.from(payload).toString("base64"),
    signatures: [
      {
        keyid: keys.head[0].keyid,
        sig: sign(null, preAuthEncoding(payloadTypes[kind], payload), keys.head[0].privateKey).toString("base64"),
      },
    ],
  }),
};

export const self = { org: "acme", site: "berlin", agent: "edge-1" } as const;
/** When a simulation begins, ms since 1970. */
export const startMs = Date.UTC(2026, 5, 1);

const roleOf = (role: readonly Key[], threshold: number) => ({
  threshold,
  keys: role.map(({ keyid, public: key }) => ({ keyid, public: key })),
});

export const trustOf = (version: number): Trust => ({
  v: 1,
  kind: "trust",
  org: self.org,
  version,
  issued_at: new Date(startMs).toISOString(),
  roles: {
    root: roleOf(keys.root, 2),
    release: roleOf(keys.release, 2),
    head: roleOf(keys.head, 1),
    weights: roleOf(keys.weights, 1),
    kill: roleOf(keys.kill, 1),
  },
  kill_release_threshold: 2,
});
