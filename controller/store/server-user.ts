import { createHash } from "node:crypto";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

/** PostgreSQL refuses to run as root, so root starts it as another user of the machine; everybody else as themselves. */
export type ServerUser = {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly switched: boolean;
};

/** In this order: one made for us, one made for PostgreSQL, and the one every Linux has. initdb wants a user with a name. */
const candidates = ["reflex", "postgres", "nobody"];

export const findServerUser = (): ServerUser => {
  const uid = process.getuid?.();
  if (uid === undefined || uid !== 0) return { name: "", uid: uid ?? 0, gid: process.getgid?.() ?? 0, switched: false };
  const users = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  for (const name of candidates) {
    const found = users.find((fields) => fields[0] === name && Number(fields[2]) > 0);
    if (found !== undefined) return { name, uid: Number(found[2]), gid: Number(found[3]), switched: true };
  }
  throw new Error(
    `PostgreSQL does not run as root, and there is no user ${candidates.join(", ")} to run it as: add one, or set DATABASE_URL`,
  );
};

/** Can the user pass through every folder on the way? */
export const isReachable = (folder: string, user: ServerUser): boolean => {
  if (!user.switched) return true;
  for (let at = folder; ; at = dirname(at)) {
    const { mode, uid, gid } = statSync(at);
    const isSearchable =
      (uid === user.uid && (mode & 0o100) !== 0) || (gid === user.gid && (mode & 0o010) !== 0) || (mode & 0o001) !== 0;
    if (!isSearchable) return false;
    if (at === dirname(at)) return true;
  }
};

/** Root's alone, so that nobody can put a program of theirs where the server is started from. */
const sharedFolder = "/var/lib/reflex";

/**
 * A checkout below /root is closed to every other user, and its programs with it. They are copied, once per version, to
 * where the user can run them.
 */
export const reachablePrograms = (binFolder: string, user: ServerUser, log: (line: string) => void): string => {
  if (isReachable(binFolder, user)) return binFolder;
  const { mtimeMs, size } = statSync(join(binFolder, "postgres"));
  const name = createHash("sha256").update(`${binFolder} ${mtimeMs} ${size}`).digest("hex").slice(0, 16);
  const copy = join(sharedFolder, `postgresql-${name}`);
  if (!existsSync(copy)) {
    log(`${binFolder} is closed to the user ${user.name}; copying PostgreSQL's programs to ${copy}`);
    mkdirSync(sharedFolder, { recursive: true, mode: 0o755 });
    const making = mkdtempSync(`${copy}-`);
    cpSync(dirname(binFolder), making, { recursive: true, verbatimSymlinks: true });
    chmodSync(making, 0o755);
    renameSync(making, copy);
  }
  return join(copy, "bin");
};
