import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, readFile, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";

/** The text as it is served, with what HTTP needs to know about it. */
export type Snapshot = {
  readonly text: string;
  readonly etag: string;
  readonly modifiedMs: number;
  readonly entries: number;
};

/**
 * A list of lines that survives restarts: the file is the truth, and what is served is only ever what the file holds.
 * Changes of one turn share one write.
 */
export type ListFile = {
  /** Reads the file; an unreadable line is a damaged file, not an entry less. */
  readonly load: (isEntry: (line: string) => boolean) => Promise<Result<void, Refusal>>;
  readonly has: (entry: string) => boolean;
  /** Resolves ok once the list with the change is on the disk; false when there was nothing to change. */
  readonly add: (entry: string) => Promise<Result<boolean, Refusal>>;
  readonly remove: (entry: string) => Promise<Result<boolean, Refusal>>;
  readonly entries: () => readonly string[];
  readonly snapshot: () => Snapshot;
};

/** Firewalls read 50 000 to 150 000 lines of one list; more is dropped there without a word. */
export const listEntriesMax = 50_000;

export const createListFile = (path: string, nowMs: () => number): ListFile => {
  let stored = new Set<string>();
  let wanted = new Set<string>();
  let served: Snapshot = snapshotOf(stored, nowMs());
  let writing: Promise<Result<void, Refusal>> | undefined;
  let next: Promise<Result<void, Refusal>> | undefined;

  /** Joins the write that has not begun yet, so that a thousand changes are one file. */
  const write = (): Promise<Result<void, Refusal>> => {
    next ??= (writing ?? Promise.resolve()).then(() => {
      writing = next;
      next = undefined;
      return writeNow();
    });
    return next;
  };

  const writeNow = async (): Promise<Result<void, Refusal>> => {
    const entries = new Set(wanted);
    const snapshot = snapshotOf(entries, nowMs());
    try {
      await replaceFile(path, snapshot.text);
    } catch (cause) {
      // What could not be written did not happen, so callers start again from what is on the disk.
      wanted = new Set(stored);
      return err(refusal("disk-full", `${path}: ${cause instanceof Error ? cause.message : String(cause)}`));
    }
    stored = entries;
    served = snapshot;
    return ok(undefined);
  };

  const change = async (entry: string, isWanted: boolean): Promise<Result<boolean, Refusal>> => {
    const isChange = wanted.has(entry) !== isWanted;
    // Wanted already, but perhaps not on the disk yet.
    if (!isChange && stored.has(entry) === isWanted) return ok(false);
    if (isWanted && isChange && wanted.size >= listEntriesMax)
      return err(refusal("limit-exceeded", `the list holds ${listEntriesMax} entries`));
    if (isWanted) wanted.add(entry);
    else wanted.delete(entry);
    const written = await write();
    if (!written.ok) return written;
    // An earlier write that failed may have taken this change back with it.
    return stored.has(entry) === isWanted
      ? ok(isChange)
      : err(refusal("disk-full", `${path}: taken back with a failed write`));
  };

  return {
    load: async (isEntry) => {
      let modifiedMs = nowMs();
      try {
        modifiedMs = (await stat(path)).mtimeMs;
        const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
        const wrong = lines.findIndex((line) => !isEntry(line));
        if (wrong >= 0) return err(refusal("store-damaged", `${path}, line ${wrong + 1}: not an entry of this list`));
        stored = new Set(lines);
      } catch (cause) {
        const isMissing = typeof cause === "object" && cause !== null && "code" in cause && cause.code === "ENOENT";
        if (!isMissing)
          return err(refusal("store-damaged", `${path}: ${cause instanceof Error ? cause.message : String(cause)}`));
        stored = new Set();
      }
      wanted = new Set(stored);
      served = snapshotOf(stored, modifiedMs);
      return ok(undefined);
    },
    has: (entry) => stored.has(entry),
    add: (entry) => change(entry, true),
    remove: (entry) => change(entry, false),
    entries: () => [...stored],
    snapshot: () => served,
  };
};

const snapshotOf = (entries: ReadonlySet<string>, atMs: number): Snapshot => {
  const text = [...entries]
    .sort()
    .map((entry) => `${entry}\n`)
    .join("");
  return {
    text,
    etag: `"${createHash("sha256").update(text).digest("hex").slice(0, 32)}"`,
    modifiedMs: atMs,
    entries: entries.size,
  };
};

/** Whole or not at all, also through a power cut: new file, its bytes on the disk, then the name, then the folder. */
const replaceFile = async (path: string, text: string): Promise<void> => {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const fresh = await open(`${path}.new`, "w", 0o600);
  try {
    await fresh.writeFile(text);
    await fresh.sync();
  } finally {
    await fresh.close();
  }
  await rename(`${path}.new`, path);
  if (process.platform === "win32") return;
  const folder = await open(dirname(path), constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
};
