import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { resolve, sep } from "node:path";
import type { Envelope } from "@reflex/protocol/envelope";
import { bundleBytesMax } from "@reflex/protocol/limits";
import { type Arguments, required, UsageError } from "../arguments.ts";
import { signPolicyFolder } from "../bundle.ts";
import type { Client } from "../client.ts";
import { type KeyFile, readKey } from "../keys.ts";
import { withGitCheckout } from "../policy-git.ts";

/** Checks, tests and signs a folder or a commit; the network is needed for a remote repository only, so release keys can stay offline. */
export const bundleSign = (args: Arguments, now: Date): string => {
  const keys = args.texts("key").map(readKey);
  if (keys.length === 0)
    throw new UsageError("sign with which keys? --key keys/release-1.key --key keys/release-2.key");
  const repository = args.text("git");
  if (repository === undefined)
    return signFolder(args, args.words[2] ?? required(args, "dir", "policies/library/starter"), keys, now, "");
  return withGitCheckout(repository, args.text("ref"), ({ dir, commit, subject }) =>
    signFolder(args, safeJoin(dir, args.text("dir") ?? "."), keys, now, `${commit} ${subject}`),
  );
};

/** `--dir` names a folder inside the repository, never one beside it. */
const safeJoin = (root: string, inside: string): string => {
  const path = resolve(root, inside);
  if (path !== root && !path.startsWith(root + sep)) throw new UsageError(`--dir ${inside} is outside the repository`);
  return path;
};

const signFolder = (args: Arguments, dir: string, keys: readonly KeyFile[], now: Date, changelog: string): string => {
  const version = Number(required(args, "version", "1"));
  if (!Number.isInteger(version) || version < 1)
    throw new UsageError("--version is a whole number, one more than the released one (see: reflexctl agents)");
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
      changelog: args.text("changelog") ?? changelog,
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
  const answer = await client.post<{ version: number; hash: string }>("/v1/bundles", readEnvelopeFile(file));
  return `published version ${answer.version} (${answer.hash}); agents fetch, verify and activate it: reflexctl agents`;
};

/** Only what is surely none is refused here; whether it may be published, the controller says. */
const readEnvelopeFile = (file: string): Envelope => {
  const { size } = statSync(file);
  if (size > releaseBytesMax)
    throw new UsageError(`${file} has ${size} bytes, and a bundle ${releaseBytesMax} at most; is it the right file?`);
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Envelope;
  } catch {
    throw new UsageError(`${file} is not JSON, so no signed bundle; make one with: reflexctl bundle sign`);
  }
};

/** Base64 and the envelope around the payload, as the controller takes it. */
const releaseBytesMax = Math.ceil((bundleBytesMax * 4) / 3) + 64 * 1024;
