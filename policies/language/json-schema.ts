import { inventoryFile, listFile, neverTouchFile, routingFile, settingsFile } from "./data-shapes.ts";
import { blockSchema } from "./match-shape.ts";
import { policyBlock } from "./policy-shape.ts";
import type { JsonSchema } from "./shape.ts";

/**
 * JSON Schema of the files of a policy repository, for completion in editors and for checking without Reflex.
 * Draft 7, because that is what YAML language servers read. It comes from the shapes the parser reads with.
 */
export const policyFileSchema = (): JsonSchema => ({
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "Reflex policy",
  description: "One policy per file: a permit (match, do) or a guard (match, then), with its cases",
  ...policyBlock.schema,
  definitions: { block: blockSchema },
  allOf: [
    { oneOf: [{ required: ["do"] }, { required: ["then"] }] },
    // The action layer alone grants.
    { if: { required: ["do"] }, then: { properties: { policy: { pattern: "^action/" } } } },
    {
      if: { properties: { then: { const: "restrict" } }, required: ["then"] },
      then: { required: ["ttl_max"] },
    },
  ],
});

const titled = (title: string, schema: JsonSchema): JsonSchema => ({
  $schema: "http://json-schema.org/draft-07/schema#",
  title,
  ...schema,
});

/** File name in policies/schema -> schema. */
export const repositorySchemas = (): Readonly<Record<string, JsonSchema>> => ({
  "policy.schema.json": policyFileSchema(),
  "inventory.schema.json": titled("Reflex inventory", inventoryFile.schema),
  "never-touch.schema.json": titled("Reflex never-touch list", neverTouchFile.schema),
  "routing.schema.json": titled("Reflex routing", routingFile.schema),
  "settings.schema.json": titled("Reflex settings", settingsFile.schema),
  "list.schema.json": titled("Reflex list", listFile.schema),
});
