import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const lockName = "start.pid";

/** Throws when another start uses the folder: two would share one journal, and --fresh would delete it under the other. */
export const checkUnused = (dataDir: string): void => {
  const path = join(dataDir, lockName);
  if (!existsSync(path)) return;
  const pid = Number(readFileSync(path, "utf8"));
  if (!isStart(pid)) return;
  throw new Error(`another start (process ${pid}) uses ${dataDir}; stop it, or choose another folder with --data`);
};

/** Until the returned function is called. A file left by a kill -9 names a process that is gone. */
export const takeFolder = (dataDir: string): (() => void) => {
  mkdirSync(dataDir, { recursive: true });
  const path = join(dataDir, lockName);
  writeFileSync(path, String(process.pid));
  return () => rmSync(path, { force: true });
};

/** Numbers come again, in containers at every start: where the system tells, the process must also look like one of us. */
const isStart = (pid: number): boolean => {
  if (!Number.isSafeInteger(pid) || pid <= 1 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  try {
    return /start/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  } catch {
    return !existsSync("/proc/self/cmdline");
  }
};
