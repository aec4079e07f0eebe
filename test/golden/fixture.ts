import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Golden wire bytes of protocol version 1. Old bytes stay readable for ever: journals, archives and peers hold them. A file here is
 * never changed; what becomes possible later gets a file of its own. When a test over them fails, the code is wrong.
 */
const folder = join(dirname(fileURLToPath(import.meta.url)), "v1");

export const goldenText = (name: string): string => readFileSync(join(folder, name), "utf8");
export const goldenJson = <T = unknown>(name: string): T => JSON.parse(goldenText(`${name}.json`)) as T;
export const goldenBytes = (name: string): Uint8Array =>
  Uint8Array.from(Buffer.from(goldenText(`${name}.pb.hex`).replaceAll("\n", ""), "hex"));
