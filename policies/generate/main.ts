// `npm run generate`: writes what derives from the language tables: JSON Schemas for editors, and the tables of the reference.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { jsonText } from "@reflex/protocol/generate/json-text";
import { repositorySchemas } from "../language/json-schema.ts";
import { withReferenceTables } from "../language/reference.ts";

const folder = dirname(dirname(fileURLToPath(import.meta.url)));

for (const [name, schema] of Object.entries(repositorySchemas())) {
  writeFileSync(join(folder, "schema", name), jsonText(schema));
}
const readme = join(folder, "README.md");
writeFileSync(readme, withReferenceTables(readFileSync(readme, "utf8")));
process.stdout.write("policies/schema and the tables of policies/README.md are written\n");
