import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Envelope } from "@reflex/protocol/envelope";
import { type Arguments, required, UsageError } from "../arguments.ts";
import { signPolicyFolder } from "../bundle.ts";
import type { Client } from "../client.ts";
import { readKey } from "../keys.ts";

/** Checks, tests and signs a folder; needs no network, so that release keys can stay offline. */
export const bundleSign = (args: Arguments, now: Date): string => {
  const dir = args.words[2] ?? required(args, "dir", "policies/library/starter");
  const keys = args.texts("key").map(readKey);
  if (keys.length === 0)
    throw new UsageError("sign with which keys? --key keys/release-1.key --key keys/release-2.key");
  const version = Number(required(args, "version", "1"));
  if (!Number.isInteger(version) || version < 1)
    throw new UsageError("--version is a whole number, one more than the released one (see: reflexctl bundle list)");
  const parent = args.text("parent");
  const sites = args.texts("site");
  if (sites.length === 0) throw new UsageError("for which sites? --site demo (several allowed, * for all)");
  const signed = signPolicyFolder(
    {
      dir,
      org: required(args, "org", "acme"),
      sites,
      version,
      ...(parent === undefined ? {} : { parent }),
      issuedAt: now.toISOString(),
      changelog: args.text("changelog") ?? "",
    },
    keys,
  );
  const out = args.text("out") ?? `bundle-${version}.json`;
  writeFileSync(out, JSON.stringify(signed.envelope));
  return `wrote ${out}: version ${version}, ${signed.bundle.policies.length} policies, ${signed.bundle.cases.length} cases passed, ${keys.length} signatures, sha256 ${signed.hash}`;
};

export const bundlePublish = async (args: Arguments, client: Client): Promise<string> => {
  const file = args.words[2] ?? required(args, "file", "bundle-1.json");
  if (!existsSync(file)) throw new UsageError(`no file ${file}; make it with: reflexctl bundle sign`);
  const answer = await client.post<{ version: number; hash: string }>(
    "/v1/bundles",
    JSON.parse(readFileSync(file, "utf8")) as Envelope,
  );
  return `published version ${answer.version} (${answer.hash}); agents fetch, verify and activate it: reflexctl agents`;
};
