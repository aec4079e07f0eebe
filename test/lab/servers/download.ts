import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** What the lab downloads stays here between runs, outside of what is committed. */
export const cacheFolder = join(import.meta.dirname, "../../../node_modules/.cache/reflex-lab");

export type Archive = {
  readonly url: string;
  readonly sha256: string;
  /** Folder in the cache; its name says the version. */
  readonly name: string;
};

/** A registry that does not answer says nothing about a connector: what needs it is not run, and the table says why. */
export class CannotFetch extends Error {}

export const fetching = async <Fetched>(what: string, fetchIt: () => Fetched | Promise<Fetched>): Promise<Fetched> => {
  try {
    return await fetchIt();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CannotFetch(`${what} cannot be fetched: ${why.split("\n")[0]}`);
  }
};

const downloadWithinMs = 10 * 60_000;

/** Downloads a tar.gz once, checks it against its digest before anything of it is used, and unpacks it without its first folder. */
export const unpacked = async ({ url, sha256, name }: Archive): Promise<string> => {
  const folder = join(cacheFolder, name);
  if (existsSync(folder)) return folder;
  mkdirSync(cacheFolder, { recursive: true });
  const archive = join(cacheFolder, `${name}.${process.pid}.download`);
  const unfinished = join(cacheFolder, `${name}.${process.pid}.unpacking`);
  try {
    await fetching(name, async () => {
      const answer = await fetch(url, { signal: AbortSignal.timeout(downloadWithinMs) });
      if (!answer.ok || answer.body === null) throw new Error(`${url} answers ${answer.status}`);
      const body = Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0]);
      await pipeline(body, createWriteStream(archive));
    });
    const found = await sha256Of(archive);
    if (found !== sha256) throw new Error(`${url} has SHA-256 ${found}, not ${sha256}`);
    mkdirSync(unfinished, { recursive: true });
    execFileSync("tar", ["-xzf", archive, "-C", unfinished, "--strip-components=1"], { stdio: "pipe" });
    if (!existsSync(folder)) renameSync(unfinished, folder);
    return folder;
  } finally {
    rmSync(archive, { force: true });
    rmSync(unfinished, { recursive: true, force: true });
  }
};

const sha256Of = async (file: string): Promise<string> => {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
};
