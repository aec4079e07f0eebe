import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatPolicyError } from "@reflex/policies/language/policy-error";
import { jsonText } from "@reflex/protocol/generate/json-text";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { manifestSchema, parseManifest } from "./parse-manifest.ts";
import { whole, wrong } from "./wrong-manifests-fixture.ts";

const here = dirname(fileURLToPath(import.meta.url));
const packs = join(here, "..", "..", "packs");

const errorsOf = (text: string): string[] => {
  const parsed = parseManifest("fw.yaml", text);
  return parsed.ok ? [] : parsed.error.map(formatPolicyError);
};

describe("a wrong manifest says where and what to write", () => {
  test("the whole one is legal", () => {
    expect(errorsOf(whole)).toEqual([]);
  });
  test.each(wrong)("%s -> %s", (written, instead, error) => {
    expect(whole).toContain(written);
    const found = errorsOf(written === "" ? "" : whole.replace(written, instead));
    expect(
      found.some((line) => line.includes(error)),
      found.join("\n"),
    ).toBe(true);
    if (written === "") return;
    const line = whole.slice(0, whole.indexOf(written)).split("\n").length;
    const near = found.find((one) => one.includes(error)) ?? "";
    // An unused or missing thing has no place of its own.
    if (!/nothing uses|has no|does not say how|there is no \$resolved|undo would free/.test(error))
      expect(Math.abs(Number(near.split(":")[1]) - line)).toBeLessThanOrEqual(3);
  });

  test("all mistakes of a file come at once, in the order of the text", () => {
    const found = errorsOf(
      whole.replace("method: POST", "method: post").replace("bearer:", "baerer:").replace("/ip: $", "ip: $"),
    );
    expect(found.length).toBeGreaterThanOrEqual(3);
    const lines = found.map((line) => Number(line.split(":")[1]));
    expect(lines).toEqual(lines.toSorted((a, b) => a - b));
  });
});

describe("what ships is legal and current", () => {
  const files = readdirSync(packs).filter((name) => name.endsWith(".yaml"));

  test.each(files)("pack %s", (name) => {
    const parsed = parseManifest(name, readFileSync(join(packs, name), "utf8"));
    expect(parsed.ok ? [] : parsed.error.map(formatPolicyError)).toEqual([]);
    expect(parsed.ok && `${parsed.value.name}.yaml`).toBe(name);
  });

  test("the JSON Schema for editors; `npm run generate` writes it anew", () => {
    expect(readFileSync(join(packs, "manifest.schema.json"), "utf8")).toBe(jsonText(manifestSchema()));
  });

  test("the manifest that the language reference shows", () => {
    const readme = readFileSync(join(here, "MANIFEST.md"), "utf8");
    const shown = [...readme.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
    const manifests = shown.filter((text) => text.startsWith("manifest: 1"));
    expect(manifests.length).toBeGreaterThan(0);
    expect(manifests.flatMap(errorsOf)).toEqual([]);
  });
});

test("no text makes reading throw", () => {
  const texts = [
    whole,
    ...readdirSync(packs)
      .filter((name) => name.endsWith(".yaml"))
      .map((name) => readFileSync(join(packs, name), "utf8")),
  ];
  const cut = fc.record({
    text: fc.constantFrom(...texts),
    from: fc.nat(8_000),
    drop: fc.nat(40),
    put: fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.constantFrom("$", "{", "[]", "null", "none", "{}", "- ", "$captured.x", "*", "/"),
    ),
  });
  fc.assert(
    fc.property(cut, ({ text, from, drop, put }) => {
      const at = from % text.length;
      parseManifest("x.yaml", text.slice(0, at) + put + text.slice(at + drop));
    }),
    { numRuns: 400 },
  );
});
