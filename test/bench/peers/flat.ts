import { severities } from "@reflex/protocol/detection";
import type { Policy } from "@reflex/protocol/policy";
import type { WorkItem } from "../workload.ts";

/**
 * What every peer is given: the detection with its conversions done (address as number, severity as rank), outside the
 * measured time. None of the peers has a type for these, and doing it per policy would only slow them down.
 */
export type FlatDetection = {
  readonly confidence: number;
  /** 0 low … 3 critical. */
  readonly severity: number;
  readonly tags: readonly string[];
  /** IPv4 as an unsigned integer. */
  readonly src_ip: number;
  readonly dst_class: string;
  readonly rule_origin: string;
  readonly sensor: string;
  readonly recommended_action: string;
};

export type FlatCondition =
  | { readonly field: "confidence"; readonly op: "gte" | "lt"; readonly value: number }
  | { readonly field: "severity"; readonly op: "gte"; readonly value: number }
  | { readonly field: "tags"; readonly op: "has"; readonly value: string }
  | { readonly field: "src_ip"; readonly op: "between"; readonly from: number; readonly to: number }
  | {
      readonly field: "dst_class" | "rule_origin" | "sensor" | "recommended_action";
      readonly op: "in" | "not_in";
      readonly values: readonly string[];
    };
export type FlatPolicy = { readonly id: string; readonly conditions: readonly FlatCondition[] };

export const toFlatDetection = ({ detection, dstClass }: WorkItem): FlatDetection => ({
  confidence: detection.confidence,
  severity: severities.indexOf(detection.severity),
  tags: detection.tags,
  src_ip: toNumber(detection.src_host ?? ""),
  dst_class: dstClass,
  rule_origin: detection.rule.origin,
  sensor: detection.source.sensor ?? "",
  recommended_action: detection.recommended_action ?? "",
});

export const toFlatPolicy = ({ id, match }: Policy): FlatPolicy => ({ id, conditions: match.map(toFlatCondition) });

const wordFields = {
  "dst.class": "dst_class",
  "rule.origin": "rule_origin",
  "source.sensor": "sensor",
  recommended_action: "recommended_action",
} as const;
const isWordField = (field: string): field is keyof typeof wordFields => Object.hasOwn(wordFields, field);

const severityNames: readonly string[] = severities;

const toFlatCondition = ({ field, op, value }: Policy["match"][number]): FlatCondition => {
  const values = (Array.isArray(value) ? value : [value]).map(String);
  const [first = ""] = values;
  if (isWordField(field) && (op === "in" || op === "not_in")) return { field: wordFields[field], op, values };
  if (field === "confidence" && (op === "gte" || op === "lt")) return { field, op, value: Number(first) };
  if (field === "severity" && op === "gte") return { field, op, value: severityNames.indexOf(first) };
  if (field === "tags" && op === "has_any" && values.length === 1) return { field, op: "has", value: first };
  if (field === "src.net" && op === "in_cidr" && values.length === 1)
    return { field: "src_ip", op: "between", ...toRange(first) };
  throw new Error(`no peer was taught ${field} ${op}`);
};

const toNumber = (address: string): number => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

const toRange = (cidr: string): { from: number; to: number } => {
  const [network = "", bits = "32"] = cidr.split("/");
  const from = toNumber(network);
  return { from, to: from + 2 ** (32 - Number(bits)) - 1 };
};
