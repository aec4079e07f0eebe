import { platform, uptime } from "node:os";
import type { Heartbeat } from "@reflex/protocol/sync";
import si from "systeminformation";

/** systeminformation shells out on some platforms: asked rarely, never with a string from outside. */
const everyMs = 60_000;

/** Facts for the heartbeat, read in the background; undefined until the first reading. */
export const createHostFacts = (
  dataDir: string,
): { readonly now: () => Heartbeat["host"]; readonly stop: () => void } => {
  let facts: Heartbeat["host"];
  const read = async (): Promise<void> => {
    const [load, memory, disks] = await Promise.all([si.currentLoad(), si.mem(), si.fsSize()]);
    // The longest mount point that holds the data folder is the disk it fills.
    const [disk] = disks
      .filter(({ mount }) => dataDir.startsWith(mount))
      .toSorted((a, b) => b.mount.length - a.mount.length);
    facts = {
      platform: platform(),
      cpu_percent: Math.round(load.currentLoad * 10) / 10,
      memory_bytes: memory.active,
      disk_free_bytes: disk?.available ?? 0,
      uptime_seconds: Math.floor(uptime()),
    };
  };
  const readQuietly = (): void => void read().catch(() => undefined); // no facts, no heartbeat field: never a reason to stop
  const timer = setInterval(readQuietly, everyMs);
  timer.unref();
  readQuietly();
  return { now: () => facts, stop: () => clearInterval(timer) };
};
