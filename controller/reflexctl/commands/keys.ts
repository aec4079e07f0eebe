import { type Arguments, required, UsageError } from "../arguments.ts";
import { createKeys } from "../keys.ts";

const wholeNumber = (args: Arguments, name: "release-keys" | "release-threshold", fallback: number): number => {
  const value = Number(args.text(name) ?? fallback);
  if (!Number.isInteger(value) || value < 1 || value > 16)
    throw new UsageError(`--${name} must be a whole number from 1 to 16`);
  return value;
};

export const keysNew = (args: Arguments, now: Date): string => {
  const dir = required(args, "dir", "./keys");
  const releaseKeys = wholeNumber(args, "release-keys", 2);
  const releaseThreshold = wholeNumber(args, "release-threshold", Math.min(2, releaseKeys));
  if (releaseThreshold > releaseKeys)
    throw new UsageError(`--release-threshold ${releaseThreshold} cannot be met by ${releaseKeys} keys`);
  const { files } = createKeys({
    dir,
    org: required(args, "org", "acme"),
    releaseKeys,
    releaseThreshold,
    issuedAt: now.toISOString(),
  });
  return [
    ...files.map((file) => `wrote ${file}`),
    "",
    "root and release keys belong offline, one holder each; the controller gets head-1.key, weights-1.key and trust.json;",
    "kill keys go to whoever is on call: one engages, two release.",
  ].join("\n");
};
