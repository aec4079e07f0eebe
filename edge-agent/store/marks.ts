import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { messageOf } from "./state-lock.ts";

/** What must never go back: bundle, weights and trust versions, kill epochs, head of the token chain. */
export type MarkValues = Readonly<Record<string, number>>;

export type Marks = {
  /** Undefined: both copies are lost (or never written). An enrolled agent without marks has amnesia and must say so. */
  readonly values: () => MarkValues | undefined;
  /** Durable in two copies when ok. A value below the one kept is ignored: marks only rise. */
  readonly raise: (values: MarkValues) => Result<void, Refusal>;
};

type Copy = { readonly sequence: number; readonly values: MarkValues };
const slots = ["marks.a", "marks.b"] as const;

/**
 * Kept apart from the journal, because deleting or restoring a database must not bring an old bundle or a released kill back.
 * Both copies carry the newest values; they are written one after the other, so a torn write can only hit one of them.
 */
export const openMarks = (folder: string): Marks => {
  const copies = slots.map((slot) => readCopy(join(folder, slot)));
  let newest = copies.reduce(
    (best, copy) => (best === undefined || (copy?.sequence ?? -1) > best.sequence ? copy : best),
    undefined,
  );

  const raise: Marks["raise"] = (values) => {
    const next: Copy = { sequence: (newest?.sequence ?? 0) + 1, values: highestOf(newest?.values ?? {}, values) };
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      // The damaged or older copy first: the good one is touched only when its twin is whole.
      for (const index of copies[0]?.sequence === newest?.sequence && newest !== undefined ? [1, 0] : [0, 1]) {
        writeCopy(folder, slots[index as 0 | 1], next);
        copies[index] = next;
        newest = next;
      }
      return ok(undefined);
    } catch (cause) {
      return err(refusal("disk-full", `marks in ${folder}: ${messageOf(cause)}`));
    }
  };
  return { values: () => newest?.values, raise };
};

const highestOf = (kept: MarkValues, raised: MarkValues): MarkValues => {
  const values: Record<string, number> = { ...kept };
  for (const [key, value] of Object.entries(raised)) values[key] = Math.max(values[key] ?? value, value);
  return values;
};

const writeCopy = (folder: string, slot: string, copy: Copy): void => {
  const body = JSON.stringify(copy);
  const file = openSync(join(folder, slot), "w", 0o600);
  try {
    // Not writeSync: that may write a part of it on a disk that fills up, and call it done.
    writeFileSync(file, `${checksumOf(body)} ${body}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  syncFolder(folder);
};

/** Makes the file's name as durable as its bytes. Windows has no such call and needs none. */
const syncFolder = (folder: string): void => {
  if (process.platform === "win32") return;
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
};

const readCopy = (path: string): Copy | undefined => {
  try {
    const text = readFileSync(path, "latin1");
    const body = text.slice(9, -1);
    const isWhole = text.endsWith("\n") && text[8] === " " && text.slice(0, 8) === checksumOf(body);
    return isWhole ? (JSON.parse(body) as Copy) : undefined;
  } catch {
    return undefined;
  }
};

const checksumOf = (body: string): string => crc32(body).toString(16).padStart(8, "0");
