import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";

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

/** The folder itself, if the user can get to it; else an error that names the folder in the way. */
export const findReachable = (folder: string, user: ServerUser, what: string): string => {
  if (!user.switched) return folder;
  for (let at = folder; ; at = dirname(at)) {
    const { mode, uid, gid } = statSync(at);
    const isSearchable =
      (uid === user.uid && (mode & 0o100) !== 0) || (gid === user.gid && (mode & 0o010) !== 0) || (mode & 0o001) !== 0;
    if (!isSearchable)
      throw new Error(
        `${what} (${folder}) cannot be reached by the user ${user.name}, as whom PostgreSQL runs: ${at} is closed to it. ` +
          `Allow passage (chmod o+x ${at}), choose another folder with --data, run as a user other than root, or set DATABASE_URL`,
      );
    if (at === dirname(at)) return folder;
  }
};
