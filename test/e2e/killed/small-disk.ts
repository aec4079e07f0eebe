import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const mount = (...args: readonly string[]): boolean => spawnSync("mount", args, { stdio: "ignore" }).status === 0;
const unmount = (folder: string): boolean => spawnSync("umount", [folder], { stdio: "ignore" }).status === 0;

/** Why no small disk can be made here; undefined when it can. */
export const smallDiskObstacle = (): string | undefined => {
  if (process.platform !== "linux") return "tmpfs is Linux";
  if (process.getuid?.() !== 0) return "mounting needs root";
  const folder = mkdtempSync(join(tmpdir(), "reflex-mount-"));
  const mounts = mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", folder);
  if (mounts) unmount(folder);
  rmSync(folder, { recursive: true, force: true });
  return mounts ? undefined : "this container may not mount a tmpfs";
};

export type SmallDisk = {
  /** Takes every byte that is left. */
  readonly fill: () => void;
  readonly free: () => void;
  readonly remove: () => void;
};

export const mountSmallDisk = (folder: string, megabytes: number): SmallDisk => {
  mkdirSync(folder, { recursive: true });
  if (!mount("-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", folder)) throw new Error("tmpfs cannot be mounted");
  const ballast = join(folder, "ballast");
  return {
    fill: () => {
      const file = openSync(ballast, "a");
      try {
        for (const block of [Buffer.alloc(65_536), Buffer.alloc(1)]) fillWith(file, block);
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(ballast, { force: true }),
    remove: () => void unmount(folder),
  };
};

const fillWith = (file: number, block: Buffer): void => {
  try {
    for (;;) writeSync(file, block);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOSPC") throw cause;
  }
};
