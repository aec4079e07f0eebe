import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { jsonText } from "@reflex/protocol/generate/json-text";
import { describe, expect, test } from "vitest";
import { repositorySchemas } from "../language/json-schema.ts";
import { parsePolicy } from "../language/parse.ts";
import { formatPolicyError } from "../language/policy-error.ts";
import { withReferenceTables } from "../language/reference.ts";

const folder = dirname(dirname(fileURLToPath(import.meta.url)));
const readme = readFileSync(join(folder, "README.md"), "utf8");

describe("what is generated is up to date; `npm run generate` writes it anew", () => {
  test.each(Object.entries(repositorySchemas()))("schema/%s", (name, schema) => {
    expect(readFileSync(join(folder, "schema", name), "utf8")).toBe(jsonText(schema));
  });

  test("no schema is left over", () => {
    expect(readdirSync(join(folder, "schema")).sort()).toEqual(Object.keys(repositorySchemas()).sort());
  });

  test("the tables of the language reference", () => {
    expect(withReferenceTables(readme)).toBe(readme);
    expect(readme).toContain("| `confidence` |");
  });
});

test("every policy the language reference shows is legal", () => {
  const shown = [...readme.matchAll(/^( *)```yaml\n([\s\S]*?)^ *```/gm)].map(([, indent = "", text = ""]) =>
    text.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
  );
  expect(shown.length).toBeGreaterThanOrEqual(3);
  const errors = shown.flatMap((text) => {
    const parsed = parsePolicy("README.md", text);
    return parsed.ok ? [] : parsed.error.map(formatPolicyError);
  });
  expect(errors).toEqual([]);
});
