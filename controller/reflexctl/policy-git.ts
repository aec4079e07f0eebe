import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "./arguments.ts";

/** A policy repository is text; one that takes longer is unreachable or something else. */
const cloneTimeoutMs = 120_000;

export type Checkout = {
  readonly dir: string;
  /** Full id of the commit whose files these are. */
  readonly commit: string;
  readonly subject: string;
};

/**
 * Runs `use` on one commit of a git repository (any remote, or a local bare one). No shell, no prompts, and no `ext::` remotes,
 * which would run a program of the repository's choosing; hooks do not run in a fresh clone.
 */
export const withGitCheckout = <T>(url: string, ref: string | undefined, use: (checkout: Checkout) => T): T => {
  const folder = mkdtempSync(join(tmpdir(), "reflex-policy-"));
  const git = (...args: readonly string[]): string =>
    execFileSync("git", [...args], {
      cwd: folder,
      encoding: "utf8",
      timeout: cloneTimeoutMs,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, GIT_TERMINAL_PROMPT: "0", GIT_ALLOW_PROTOCOL: "file:https:ssh" },
    }).trim();
  try {
    git("clone", "--quiet", "--depth", "1", ...(ref === undefined ? [] : ["--branch", ref]), "--", url, "checkout");
    const dir = join(folder, "checkout");
    return use({
      dir,
      commit: git("-C", dir, "rev-parse", "HEAD"),
      subject: git("-C", dir, "log", "-1", "--format=%s"),
    });
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const told = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error);
    throw new UsageError(`git could not read ${url}${ref === undefined ? "" : ` at ${ref}`}: ${told.slice(0, 500)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
