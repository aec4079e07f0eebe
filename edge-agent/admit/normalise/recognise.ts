import { normaliseNative } from "./native.ts";
import type { Normaliser } from "./normaliser.ts";
import { below, fieldsOf } from "./reading.ts";
import { normaliseSuricata } from "./suricata.ts";
import { normaliseWazuh } from "./wazuh.ts";

export const normalisers = {
  native: normaliseNative,
  suricata: normaliseSuricata,
  wazuh: normaliseWazuh,
} as const satisfies Record<string, Normaliser>;

export type JsonFormat = keyof typeof normalisers;
/** What a source may be configured with. `protobuf` is the binary spelling of `native`, and never recognised by itself. */
export const formats = ["auto", "protobuf", ...(Object.keys(normalisers) as JsonFormat[])] as const;
export const isJsonFormat = (name: string): name is JsonFormat => Object.hasOwn(normalisers, name);

/** The format of one record, from its shape alone; undefined rather than a best guess. */
export const recogniseFormat = (value: unknown): JsonFormat | undefined => {
  const record = fieldsOf(value);
  if (record === undefined) return undefined;
  if (Object.hasOwn(record, "event_id")) return "native";
  const rule = below(record, "rule");
  if (Object.hasOwn(rule, "level") && Object.hasOwn(record, "manager")) return "wazuh";
  if (typeof record["event_type"] === "string" && Object.hasOwn(record, "timestamp")) return "suricata";
  return undefined;
};
