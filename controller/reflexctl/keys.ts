import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Envelope, type PayloadKind, payloadTypes, preAuthEncoding } from "@reflex/protocol/envelope";
import type { Trust } from "@reflex/protocol/trust";
import nacl from "tweetnacl";
import { UsageError } from "./arguments.ts";

/** A signing key as kept in a file of mode 0600: Ed25519 seed, base64. Losing it means rotating the role. */
export type KeyFile = {
  readonly role: keyof Trust["roles"];
  readonly keyid: string;
  readonly public: string;
  readonly seed: string;
};

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

export const newKey = (role: KeyFile["role"], keyid: string): KeyFile => {
  const seed = nacl.randomBytes(32);
  return { role, keyid, public: base64(nacl.sign.keyPair.fromSeed(seed).publicKey), seed: base64(seed) };
};

export const readKey = (path: string): KeyFile => {
  if (!existsSync(path))
    throw new UsageError(`no key file ${path}; make keys with: reflexctl keys new --dir DIR --org ORG`);
  const key = JSON.parse(readFileSync(path, "utf8")) as KeyFile;
  if (typeof key.seed !== "string" || Buffer.from(key.seed, "base64").length !== 32)
    throw new UsageError(`${path} is not a key file of reflexctl`);
  return key;
};

/** DSSE over exactly these bytes, one signature per key. tweetnacl, so that the same code can sign where node:crypto is not. */
export const signBytes = (kind: PayloadKind, payload: Uint8Array, keys: readonly KeyFile[]): Envelope => {
  const message = preAuthEncoding(payloadTypes[kind], payload);
  return {
    payloadType: payloadTypes[kind],
    payload: base64(payload),
    signatures: keys.map((key) => ({
      keyid: key.keyid,
      sig: base64(nacl.sign.detached(message, nacl.sign.keyPair.fromSeed(Buffer.from(key.seed, "base64")).secretKey)),
    })),
  };
};

export const signJson = (kind: PayloadKind, value: unknown, keys: readonly KeyFile[]): Envelope =>
  signBytes(kind, Buffer.from(JSON.stringify(value), "utf8"), keys);

export type NewKeys = {
  readonly org: string;
  readonly dir: string;
  readonly releaseKeys: number;
  readonly releaseThreshold: number;
  readonly issuedAt: string;
};

const roleCounts = (request: NewKeys): readonly (readonly [KeyFile["role"], number, number])[] => [
  ["root", 1, 1],
  ["release", request.releaseKeys, request.releaseThreshold],
  ["head", 1, 1],
  ["weights", 1, 1],
  ["kill", 2, 1],
];

/**
 * Makes the keys of an organisation and the trust document that names them, signed by root.
 * root and release belong offline; only head and weights go to the controller; kill keys to whoever is on call.
 */
export const createKeys = (request: NewKeys): { readonly trust: Trust; readonly files: readonly string[] } => {
  if (existsSync(join(request.dir, "trust.json"))) {
    throw new UsageError(
      `${request.dir} already holds keys; choose an empty folder: overwriting keys would lock every agent out`,
    );
  }
  mkdirSync(request.dir, { recursive: true, mode: 0o700 });
  const files: string[] = [];
  const keysByRole = Object.fromEntries(
    roleCounts(request).map(([role, count]) => [
      role,
      Array.from({ length: count }, (_, index) => newKey(role, `${role}-${index + 1}`)),
    ]),
  ) as unknown as Record<KeyFile["role"], KeyFile[]>;
  const trust: Trust = {
    v: 1,
    kind: "trust",
    org: request.org,
    version: 1,
    issued_at: request.issuedAt,
    roles: Object.fromEntries(
      roleCounts(request).map(([role, , threshold]) => [
        role,
        { threshold, keys: keysByRole[role].map((key) => ({ keyid: key.keyid, public: key.public })) },
      ]),
    ) as Trust["roles"],
    kill_release_threshold: 2,
  };
  for (const key of Object.values(keysByRole).flat())
    files.push(writeSecret(join(request.dir, `${key.keyid}.key`), key));
  files.push(writeSecret(join(request.dir, "trust.json"), signJson("trust", trust, keysByRole.root)));
  return { trust, files };
};

const writeSecret = (path: string, value: unknown): string => {
  writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600, flag: "wx" });
  chmodSync(path, 0o600);
  return path;
};
