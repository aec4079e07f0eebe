import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { enumNumbers, fieldNumbers } from "../field-numbers.ts";
import { wirePlans } from "../wire-plan.ts";
import { protoFile } from "./proto-file.ts";
import { schemaFiles } from "./schema-files.ts";

const protocolFolder = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (path: string): string => readFileSync(join(protocolFolder, path), "utf8");

describe("what is generated is up to date; if not, run `npm run generate`", () => {
  test.each([...schemaFiles()])("schema/%s", (name, text) => {
    expect(read(join("schema", name))).toBe(text);
  });
  test("reflex.proto", () => {
    expect(read("reflex.proto")).toBe(protoFile());
  });
  test("nothing lies there that is no longer generated", () => {
    expect(readdirSync(join(protocolFolder, "schema")).sort()).toEqual([...schemaFiles().keys()].sort());
  });
});

describe("each schema stands by itself", () => {
  test.each([...schemaFiles()])("%s names its dialect, itself and what it is", (_, text) => {
    const schema = JSON.parse(text) as Record<string, unknown>;
    expect(schema).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      additionalProperties: false,
    });
    expect(schema["$id"]).toMatch(/^urn:reflex:v1:[a-z-]+$/);
    expect(schema["title"]).toMatch(/^[A-Z]\w+$/);
    expect(text).not.toContain("$ref");
  });
});

describe("numbers are for ever", () => {
  const all: Readonly<Record<string, Readonly<Record<string, number>>>> = { ...fieldNumbers, ...enumNumbers };

  test.each(Object.entries(all))(
    "%s: each number once, none zero, none that protobuf keeps for itself",
    (_, numbers) => {
      const values = Object.values(numbers);
      expect(new Set(values).size).toBe(values.length);
      expect(values.every((value) => Number.isInteger(value) && value >= 1 && value < 19_000)).toBe(true);
    },
  );

  test("each message, enum and number of the table is on the wire", () => {
    const proto = protoFile();
    for (const [name, numbers] of Object.entries(all)) {
      expect(proto).toMatch(new RegExp(`^(message|enum) ${name} \\{$`, "m"));
      for (const number of Object.values(numbers)) expect(proto).toMatch(new RegExp(` = ${number};`));
    }
    expect(Object.values(wirePlans).map((message) => message.name)).toEqual(["Detection", "Command", "Feedback"]);
  });
});
