import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";

/** Exit code of a second agent on one state folder (EX_TEMPFAIL: trying again later may work). */
export const exitCodeStateLocked = 75;

export type StateLock = { readonly release: () => void };

/**
 * One agent per state folder: two would act twice. The lock is the operating system's, held on a file of its own so that
 * the journal stays readable for the command line, and it falls with the process however that ends.
 */
export const lockStateFolder = (folder: string): Result<StateLock, Refusal> => {
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    database = new DatabaseSync(join(folder, "lock"), { timeout: 0 });
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE");
    const held = database;
    return ok({ release: () => held.close() });
  } catch (cause) {
    database?.close();
    return err(
      isBusy(cause)
        ? refusal("state-locked", folder)
        : refusal("disk-full", `cannot lock ${folder}: ${messageOf(cause)}`),
    );
  }
};

const sqliteBusy = 5;
const isBusy = (cause: unknown): boolean => (errorCodeOf(cause) & 0xff) === sqliteBusy;

/** SQLite's extended result code, 0 when the error is not SQLite's. */
export const errorCodeOf = (cause: unknown): number =>
  typeof cause === "object" && cause !== null && "errcode" in cause && typeof cause.errcode === "number"
    ? cause.errcode
    : 0;

export const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
