// `npm run check:manifest -- FILE…`: what is wrong with a manifest, where, and what to write. `--schema` prints its JSON Schema,
// `--write-schema` puts it beside the packs.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatPolicyError } from "@reflex/policies/language/policy-error";
import { jsonText } from "@reflex/protocol/generate/json-text";
import { manifestSchema, parseManifest } from "./parse-manifest.ts";

const schemaFile = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "packs", "manifest.schema.json");
const files = process.argv.slice(2);

const check = (file: string): number => {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    process.stdout.write(
      `${file}:1:1: the file cannot be read; ${error instanceof Error ? error.message : "check its path"}\n`,
    );
    return 1;
  }
  const parsed = parseManifest(file, text);
  if (!parsed.ok) for (const problem of parsed.error) process.stdout.write(`${formatPolicyError(problem)}\n`);
  else
    process.stdout.write(
      `${file}: ${parsed.value.name} can ${Object.keys(parsed.value.actions).join(", ") || "do nothing: it has no API"}\n`,
    );
  return parsed.ok ? 0 : 1;
};

if (files[0] === "--schema") process.stdout.write(jsonText(manifestSchema()));
else if (files[0] === "--write-schema") {
  writeFileSync(schemaFile, jsonText(manifestSchema()));
  process.stdout.write("edge-agent/packs/manifest.schema.json is written\n");
} else if (files.length === 0) {
  process.stdout.write("npm run check:manifest -- FILE…\n");
  process.exitCode = 2;
} else process.exitCode = Math.max(...files.map(check));
