// A small world to sign in, for tests and the simulator: real keys, real signatures, disks and marks in memory that can fail.
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { Bundle } from "@reflex/protocol/bundle";
import { defaultSettings } from "@reflex/protocol/bundle";
import { type Envelope, type PayloadKind, payloadTypes, preAuthEncoding } from "@reflex/protocol/envelope";
import type { KillState } from "@reflex/protocol/kill";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok } from "@reflex/protocol/result";
import type { Head } from "@reflex/protocol/sync";
import type { Trust } from "@reflex/protocol/trust";
import type { Weights } from "@reflex/protocol/weights";
import { createMarks, type MarkStore, type Marks } from "./marks-port.ts";
import type { Slots } from "./slots-port.ts";

export type TestKey = { readonly keyid: string; readonly public: string; readonly privateKey: KeyObject };

export const makeKey = (keyid: string): TestKey => {
  const { privateKey } = generateKeyPairSync("ed25519");
  const raw = Buffer.from(privateKey.export({ format: "jwk" }).x ?? "", "base64url").toString("base64");
  return { keyid, public: raw, privateKey };
};

export const signEnvelope = (kind: PayloadKind, payload: unknown, keys: readonly TestKey[]): Envelope => {
  const bytes = Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload));
  const message = preAuthEncoding(payloadTypes[kind], bytes);
  return {
    payloadType: payloadTypes[kind],
    payload: bytes.toString("base64"),
    signatures: keys.map((key) => ({ keyid: key.keyid, sig: sign(null, message, key.privateKey).toString("base64") })),
  };
};

export const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
export const signBytes = (kind: PayloadKind, payload: unknown, keys: readonly TestKey[]): Uint8Array =>
  bytesOf(signEnvelope(kind, payload, keys));

export const testSelf = { org: "acme", site: "berlin", agent: "edge-1" } as const;
export const testTime = "2026-06-01T00:00:00.000Z";

export const makeKeys = () => ({
  root: [makeKey("root-1"), makeKey("root-2"), makeKey("root-3")],
  release: [makeKey("release-1"), makeKey("release-2"), makeKey("release-3")],
  head: [makeKey("head-1")],
  weights: [makeKey("weights-1")],
  kill: [makeKey("kill-1"), makeKey("kill-2"), makeKey("kill-3")],
});
export type TestKeys = ReturnType<typeof makeKeys>;

const roleOf = (keys: readonly TestKey[], threshold: number) => ({
  threshold,
  keys: keys.map(({ keyid, public: key }) => ({ keyid, public: key })),
});

export const trustOf = (keys: TestKeys, version = 1): Trust => ({
  v: 1,
  kind: "trust",
  org: testSelf.org,
  version,
  issued_at: testTime,
  roles: {
    root: roleOf(keys.root, 2),
    release: roleOf(keys.release, 2),
    head: roleOf(keys.head, 1),
    weights: roleOf(keys.weights, 1),
    kill: roleOf(keys.kill, 1),
  },
  kill_release_threshold: 2,
});

export const bundleOf = (version: number, changes: Partial<Bundle> = {}): Bundle => ({
  v: 1,
  kind: "bundle",
  aud: { org: testSelf.org, sites: [testSelf.site] },
  version,
  issued_at: testTime,
  engine: "reflex/1",
  changelog: `version ${version}`,
  policies: [],
  cases: [],
  lists: {},
  inventory: { assets: [], users: [], subnets: [] },
  never_touch: [],
  routing: [],
  settings: defaultSettings,
  ...changes,
});

export const weightsOf = (version: number, cells: Weights["cells"] = {}): Weights => ({
  v: 1,
  kind: "weights",
  aud: { org: testSelf.org, sites: ["*"] },
  version,
  issued_at: testTime,
  prior_strength: 5,
  cells,
});

export const killOf = (state: KillState["state"], epoch: number, aud: Partial<KillState["aud"]> = {}): KillState => ({
  v: 1,
  kind: "kill",
  aud: { org: testSelf.org, site: testSelf.site, agent: "*", ...aud },
  state,
  epoch,
  reason: "a drill",
  by: "the analyst on duty",
  issued_at: testTime,
});

export const headOf = (sequence: number, changes: Partial<Head> = {}): Head => ({
  v: 1,
  kind: "head",
  aud: { org: testSelf.org, site: testSelf.site },
  sequence,
  issued_at: testTime,
  trust_version: 1,
  kill_epochs: {},
  ...changes,
});

/** Whole files in memory. `fail` makes the next writes refuse, before or after the bytes are down, as a crash would. */
export type MemorySlots = Slots & {
  readonly files: Map<string, Uint8Array>;
  readonly fail: (next: (name: string) => "before" | "after" | undefined) => void;
};

export const createMemorySlots = (): MemorySlots => {
  const files = new Map<string, Uint8Array>();
  let failing: (name: string) => "before" | "after" | undefined = () => undefined;
  const full: Refusal = refusal("disk-full", "as the test wants");
  return {
    files,
    fail: (next) => {
      failing = next;
    },
    read: async (name, bytesMax) => {
      const bytes = files.get(name);
      return bytes !== undefined && bytes.length > bytesMax ? err(refusal("too-large", name)) : ok(bytes);
    },
    write: async (name, bytes) => {
      const when = failing(name);
      if (when !== "before") files.set(name, Uint8Array.from(bytes));
      return when === undefined ? ok(undefined) : err(full);
    },
  };
};

/** Marks that survive a restart of what uses them, as the files do. */
export const createMemoryMarks = (): Marks & {
  readonly lose: () => void;
  readonly fail: (isFull: boolean) => void;
} => {
  let values: Readonly<Record<string, number>> | undefined;
  let isFull = false;
  const store: MarkStore = {
    values: () => values,
    raise: (raised) => {
      if (isFull) return err(refusal("disk-full", "marks, as the test wants"));
      values = { ...values, ...raised };
      return ok(undefined);
    },
  };
  return {
    ...createMarks(store),
    lose: () => {
      values = undefined;
    },
    fail: (full) => {
      isFull = full;
    },
  };
};
