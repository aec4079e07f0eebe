import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readArguments } from "./arguments.ts";
import { bundleSign } from "./commands/bundle.ts";
import { createKeys } from "./keys.ts";
import { withGitCheckout } from "./policy-git.ts";

const starter = resolve(import.meta.dirname, "../../policies/library/starter");
let folder = "";
let bare = "";

/** A bare repository with the starter policies below `soc/`, as a team would keep them. */
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "reflex-git-"));
  const work = join(folder, "work");
  bare = join(folder, "policies.git");
  const git = (...args: string[]): string =>
    execFileSync("git", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  git("init", "--quiet", "--initial-branch", "main", work);
  cpSync(starter, join(work, "soc"), { recursive: true });
  git("-C", work, "add", ".");
  git(
    "-C",
    work,
    "-c",
    "user.name=analyst",
    "-c",
    "user.email=analyst@corp.example",
    "commit",
    "--quiet",
    "-m",
    "block known indicators",
  );
  git("clone", "--quiet", "--bare", work, bare);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const argumentsOf = (...argv: string[]) => {
  const read = readArguments(argv);
  if (!read.ok) throw new Error(read.error);
  return read.value;
};

describe("a bundle from a git repository", () => {
  test("is signed from the commit, names it, and leaves no checkout behind", () => {
    const keys = join(folder, "keys");
    createKeys({ dir: keys, org: "acme", releaseKeys: 1, releaseThreshold: 1, issuedAt: "2026-01-01T00:00:00.000Z" });
    const out = join(folder, "bundle.json");
    const text = bundleSign(
      argumentsOf(
        "bundle",
        "sign",
        "--git",
        bare,
        "--ref",
        "main",
        "--dir",
        "soc",
        "--org",
        "acme",
        "--site",
        "hq",
        "--version",
        "3",
        "--key",
        join(keys, "release-1.key"),
        "--out",
        out,
      ),
      new Date("2026-01-02T00:00:00Z"),
    );
    expect(text).toContain("version 3");
    const envelope = JSON.parse(readFileSync(out, "utf8")) as { payload: string };
    const bundle = JSON.parse(Buffer.from(envelope.payload, "base64").toString("utf8")) as {
      changelog: string;
      version: number;
    };
    expect(bundle.version).toBe(3);
    expect(bundle.changelog).toMatch(/^[0-9a-f]{40} block known indicators$/);
    const dir = withGitCheckout(bare, "main", (checkout) => checkout.dir);
    expect(existsSync(dir)).toBe(false);
  });

  test("a remote that would run a program, an unknown ref and an option as a ref are refused in words", () => {
    const marker = join(folder, "ran");
    expect(() => withGitCheckout(`ext::sh -c touch% ${marker}`, undefined, () => 0)).toThrow(/git could not read/);
    expect(existsSync(marker)).toBe(false);
    expect(() => withGitCheckout(bare, "no-such-branch", () => 0)).toThrow(/no-such-branch/);
    expect(() => withGitCheckout(`--upload-pack=touch ${marker}`, undefined, () => 0)).toThrow(/git could not read/);
    expect(existsSync(marker)).toBe(false);
  });

  test("a folder outside the repository is refused", () => {
    const keys = join(folder, "keys");
    createKeys({ dir: keys, org: "acme", releaseKeys: 1, releaseThreshold: 1, issuedAt: "2026-01-01T00:00:00.000Z" });
    expect(() =>
      bundleSign(
        argumentsOf(
          "bundle",
          "sign",
          "--git",
          bare,
          "--dir",
          "../..",
          "--org",
          "acme",
          "--site",
          "hq",
          "--version",
          "3",
          "--key",
          join(keys, "release-1.key"),
        ),
        new Date(0),
      ),
    ).toThrow(/outside the repository/);
  });
});
