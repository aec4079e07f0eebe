import { createHash } from "node:crypto";
import { engine } from "@reflex/policies/engine/engine";
import { draftToBundle } from "@reflex/policies/language/parse-set";
import type { Bundle } from "@reflex/protocol/bundle";
import type { Envelope } from "@reflex/protocol/envelope";
import { UsageError } from "./arguments.ts";
import { type KeyFile, signBytes } from "./keys.ts";
import { parsePolicyFolder, testBundle } from "./policy-folder.ts";

export type SignRequest = {
  readonly dir: string;
  readonly org: string;
  readonly sites: readonly string[];
  readonly version: number;
  readonly parent?: string;
  readonly issuedAt: string;
  readonly changelog: string;
};

export type SignedBundle = { readonly bundle: Bundle; readonly hash: string; readonly envelope: Envelope };

/** Folder -> checked -> cases passed -> bytes -> signatures. What fails its own cases is not signed. */
export const signPolicyFolder = (request: SignRequest, keys: readonly KeyFile[]): SignedBundle => {
  const draft = parsePolicyFolder(request.dir);
  const bundle = draftToBundle(draft, {
    org: request.org,
    sites: request.sites,
    version: request.version,
    ...(request.parent === undefined ? {} : { parent: request.parent }),
    issuedAt: request.issuedAt,
    changelog: request.changelog,
    engine,
  });
  const report = testBundle(bundle, request.sites.find((site) => site !== "*") ?? "any");
  if (report.failed > 0) {
    throw new UsageError(
      `${report.failed} of ${report.passed + report.failed} cases fail, so nothing was signed; see: reflexctl policy test ${request.dir}`,
    );
  }
  // These bytes are what is signed, hashed, stored and published; nobody serialises them again.
  const bytes = Buffer.from(JSON.stringify(bundle), "utf8");
  return { bundle, hash: createHash("sha256").update(bytes).digest("hex"), envelope: signBytes("bundle", bytes, keys) };
};
