import { parseArgs } from "node:util";
import { err, ok, type Result } from "@reflex/protocol/result";

/** Options every command understands; each command reads the ones it needs and says which is missing. */
const options = {
  url: { type: "string" },
  "token-file": { type: "string" },
  ca: { type: "string" },
  data: { type: "string" },
  org: { type: "string" },
  site: { type: "string", multiple: true },
  agent: { type: "string" },
  dir: { type: "string" },
  git: { type: "string" },
  ref: { type: "string" },
  key: { type: "string", multiple: true },
  out: { type: "string" },
  file: { type: "string" },
  version: { type: "string" },
  parent: { type: "string" },
  changelog: { type: "string" },
  reason: { type: "string" },
  ttl: { type: "string" },
  by: { type: "string" },
  verdict: { type: "string" },
  limit: { type: "string" },
  bundle: { type: "string" },
  "release-keys": { type: "string" },
  "release-threshold": { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

export type Arguments = {
  readonly words: readonly string[];
  readonly text: (name: keyof typeof options) => string | undefined;
  readonly texts: (name: "site" | "key") => readonly string[];
  readonly flag: (name: "json" | "help") => boolean;
};

/** A command's expected failure: one sentence, and what to do. Printed without a stack. */
export class UsageError extends Error {}

export const readArguments = (argv: readonly string[]): Result<Arguments, string> => {
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
    return ok({
      words: positionals,
      text: (name) => (typeof values[name] === "string" ? values[name] : undefined),
      texts: (name) => values[name] ?? [],
      flag: (name) => values[name] === true,
    });
  } catch (error) {
    return err(error instanceof Error ? error.message : String(error));
  }
};

export const required = (args: Arguments, name: Parameters<Arguments["text"]>[0], example: string): string => {
  const value = args.text(name);
  if (value === undefined) throw new UsageError(`--${name} is missing; for example --${name} ${example}`);
  return value;
};
