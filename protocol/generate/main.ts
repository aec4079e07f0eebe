// `npm run generate`: writes what other languages and tools read, from the schemas. A test fails while it is not up to date.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { protoFile } from "./proto-file.ts";
import { schemaFiles } from "./schema-files.ts";

const protocolFolder = dirname(dirname(fileURLToPath(import.meta.url)));
const schemaFolder = join(protocolFolder, "schema");

mkdirSync(schemaFolder, { recursive: true });
for (const [name, text] of schemaFiles()) writeFileSync(join(schemaFolder, name), text);
writeFileSync(join(protocolFolder, "reflex.proto"), protoFile());
process.stdout.write(`wrote protocol/reflex.proto and ${schemaFiles().size} files in protocol/schema\n`);
