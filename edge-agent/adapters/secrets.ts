import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { type Secret, type Secrets, secretOf } from "../connectors/secrets-port.ts";

/** What a file holds and who may open it; the error says what a person must do. */
export type SecretFiles = {
  readonly read: (path: string) => Result<{ readonly text: string; readonly isOpenToOthers: boolean }, string>;
};

/** A key file with its whole certificate chain fits. */
const secretBytesMax = 64 * 1024;
const environmentName = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** systemd's own rule for credential names, less the two names of folders. */
const credentialName = /^(?!\.\.?$)[A-Za-z0-9_.-]{1,255}$/;

/** One reference, one secret. Details name the reference, which is in the configuration, and never what it holds. */
export const createSecrets = (
  env: Readonly<Record<string, string | undefined>>,
  files: SecretFiles = nodeSecretFiles,
): Secrets => {
  const fromFile = (ref: string, path: string, mustBePrivate: boolean): Result<Secret, Refusal> => {
    const found = files.read(path);
    if (!found.ok) return err(refusal("not-found", `the secret ${ref} cannot be read: ${found.error}`));
    if (mustBePrivate && found.value.isOpenToOthers) {
      return err(refusal("unauthorised", `other users may open the secret ${ref}; chmod 600 ${path}`));
    }
    return secretFrom(ref, found.value.text);
  };

  const read = (ref: string): Result<Secret, Refusal> => {
    const colon = ref.indexOf(":");
    const [kind, name] = [ref.slice(0, Math.max(0, colon)), ref.slice(colon + 1)];
    switch (kind) {
      case "env":
        if (!environmentName.test(name)) return malformed(ref);
        return secretFrom(ref, env[name]);
      case "file":
        return isAbsolute(name) ? fromFile(ref, name, true) : malformed(ref);
      case "credential": {
        const folder = env["CREDENTIALS_DIRECTORY"];
        if (!credentialName.test(name)) return malformed(ref);
        if (folder === undefined || folder === "") {
          return err(refusal("not-found", `the secret ${ref} needs a unit with LoadCredential=${name}`));
        }
        // systemd keeps this folder for the service alone, whatever the mode of the file in it says.
        return fromFile(ref, join(folder, name), false);
      }
      default:
        return malformed(ref);
    }
  };
  return { read };
};

/** The reference itself is not repeated: somebody may have written the secret in its place. */
const malformed = (ref: string): Result<never, Refusal> => {
  const known = /^(env|file|credential):/.exec(ref)?.[1];
  const where = known === undefined ? "" : `, not after ${known}: what stands there`;
  return err(refusal("schema-invalid", `a secret is env:NAME, file:/absolute/path or credential:NAME${where}`));
};

/** Editors and `echo` end a file with a newline that is not part of the secret. */
const secretFrom = (ref: string, text: string | undefined): Result<Secret, Refusal> => {
  const secret = text?.replace(/\r?\n$/, "");
  if (secret === undefined || secret === "") return err(refusal("not-found", `the secret ${ref} is empty or not set`));
  return ok(secretOf(secret));
};

const nodeSecretFiles: SecretFiles = {
  read: (path) => {
    let file: number | undefined;
    try {
      // Asked of the open file: a path may name another one a moment later.
      file = openSync(path, "r");
      const { mode, size } = fstatSync(file);
      if (size > secretBytesMax) return err(`it is larger than ${secretBytesMax} bytes`);
      const bytes = Buffer.alloc(secretBytesMax);
      const length = readSync(file, bytes, 0, bytes.length, 0);
      const text = bytes.toString("utf8", 0, length);
      bytes.fill(0);
      // Its group may read it, so that root can own the file of a service; Windows has no such bits.
      return ok({ text, isOpenToOthers: process.platform !== "win32" && (mode & 0o027) !== 0 });
    } catch (error) {
      return err(error instanceof Error && "code" in error ? String(error.code) : "it cannot be opened");
    } finally {
      if (file !== undefined) closeSync(file);
    }
  },
};
