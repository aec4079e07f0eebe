// Bundles that must not be taken, each with the code that says why. All but the first few are signed by the real release keys.
import { readFileSync } from "node:fs";
import { type KeyFile, newKey, signBytes } from "@reflex/controller/reflexctl/keys";
import type { Bundle } from "@reflex/protocol/bundle";
import type { Envelope } from "@reflex/protocol/envelope";

export type HostileBundle = {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly code: string;
  /** The controller serves other sites too and takes this one. */
  readonly isForAnotherSite?: true;
};

export const hostileBundles = (good: Envelope, keys: readonly KeyFile[], newer: number): readonly HostileBundle[] => {
  const bundle = JSON.parse(Buffer.from(good.payload, "base64").toString("utf8")) as Bundle;
  const text = (value: unknown): Buffer => Buffer.from(JSON.stringify(value), "utf8");
  const next = { ...bundle, version: newer };
  const signed = (payload: Uint8Array, by: readonly KeyFile[] = keys): Buffer => text(signBytes("bundle", payload, by));
  const flipped = Buffer.from(text(next));
  flipped[flipped.length >> 1] = (flipped[flipped.length >> 1] ?? 0) ^ 1;
  const genuine = signBytes("bundle", text(next), keys);
  const strangers = [newKey("release", "release-1"), newKey("release", "release-2")];
  const deep = `${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`;
  const twice = JSON.stringify(next).replace('{"v":1,', `{"v":1,"version":${newer + 7},`);
  return [
    {
      name: "one flipped byte",
      bytes: text({ ...genuine, payload: flipped.toString("base64") }),
      code: "signature-invalid",
    },
    { name: "strangers under the same key names", bytes: signed(text(next), strangers), code: "signature-invalid" },
    { name: "one key of two", bytes: signed(text(next), keys.slice(0, 1)), code: "threshold-not-met" },
    {
      name: "one key twice",
      bytes: signed(text(next), [keys[0], { ...keys[0], keyid: "release-2" }] as KeyFile[]),
      code: "threshold-not-met",
    },
    {
      name: "the right keys over another kind of message",
      bytes: text(signBytes("weights", text(next), keys)),
      code: "payload-type-wrong",
    },
    { name: "an older version", bytes: signed(text({ ...next, version: 1 })), code: "version-rollback" },
    {
      name: "another organisation",
      bytes: signed(text({ ...next, aud: { org: "other", sites: ["*"] } })),
      code: "audience-wrong",
    },
    { name: "a depth bomb inside the signature", bytes: signed(Buffer.from(deep)), code: "json-too-deep" },
    { name: "a depth bomb instead of an envelope", bytes: Buffer.from("[".repeat(2_000_000)), code: "json-too-deep" },
    { name: "a key named twice", bytes: signed(Buffer.from(twice)), code: "json-duplicate-key" },
    { name: "no JSON at all", bytes: Buffer.from("ELF\u0001\u0002"), code: "json-malformed" },
    { name: "signed, but no bundle", bytes: signed(text({ v: 1, kind: "bundle" })), code: "schema-invalid" },
    {
      name: "another site's",
      bytes: signed(text({ ...next, aud: { org: bundle.aud.org, sites: ["elsewhere"] } })),
      code: "audience-wrong",
      isForAnotherSite: true,
    },
  ];
};

/** Resident memory in MB. */
export const residentMb = (pid: number): number => {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1] ?? 0) / 1_024;
};
