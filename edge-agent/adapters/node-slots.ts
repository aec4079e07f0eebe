import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Slots } from "../policy/slots-port.ts";

const ownerOnly = 0o600;

/** Slots as files of one folder: written beside, synced, renamed, folder synced. */
export const createNodeSlots = (folder: string): Slots => {
  let writes = 0;
  return {
    read: async (name, bytesMax) => {
      const path = join(folder, safe(name));
      try {
        const { size } = await stat(path);
        if (size > bytesMax) return err(refusal("too-large", `${name} has ${size} bytes, ${bytesMax} are allowed`));
        const file = await open(path, "r");
        try {
          return ok(await file.readFile());
        } finally {
          await file.close();
        }
      } catch (error) {
        return codeOf(error) === "ENOENT"
          ? ok(undefined)
          : err(refusal("disk-full", `reading ${name}: ${codeOf(error)}`));
      }
    },
    write: async (name, bytes) => {
      writes += 1;
      const path = join(folder, safe(name));
      const besides = `${path}.${process.pid}.${writes}.new`;
      const written = await attempt(`writing ${name}`, async () => {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        await withFile(besides, "w", async (file) => {
          await file.writeFile(bytes);
          await file.sync();
        });
        await rename(besides, path);
        // The name itself must survive too; Windows cannot open a folder and needs no such step.
        if (process.platform !== "win32") await withFile(folder, "r", (file) => file.sync());
      });
      if (!written.ok) await rm(besides, { force: true }).catch(() => undefined);
      return written;
    },
  };
};

const withFile = async (path: string, flags: string, use: (file: FileHandle) => Promise<void>): Promise<void> => {
  const file = await open(path, flags, ownerOnly);
  try {
    await use(file);
  } finally {
    await file.close();
  }
};

const attempt = async (what: string, run: () => Promise<void>): Promise<Result<void, Refusal>> => {
  try {
    await run();
    return ok(undefined);
  } catch (error) {
    return err(refusal("disk-full", `${what}: ${codeOf(error)}`));
  }
};

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown error";

const safe = (name: string): string => {
  if (!/^[a-z0-9][a-z0-9.-]{0,63}$/.test(name)) throw new Error(`not a slot name: ${name}`);
  return name;
};
