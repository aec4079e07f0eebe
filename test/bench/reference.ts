import { severities } from "@reflex/protocol/detection";
import type { Condition, Policy } from "@reflex/protocol/policy";
import type { WorkItem } from "./workload.ts";

/**
 * The obvious answer, written from the meaning of the operators and nothing else: ids of the policies that match, sorted.
 * Knows the operators the workload uses and throws on any other, so that it cannot agree by accident.
 */
export const matchNaively = (policies: readonly Policy[], item: WorkItem): string[] =>
  policies
    .filter((policy) => policy.match.every((condition) => holds(condition, item)))
    .map(({ id }) => id)
    .sort();

const holds = (condition: Condition, { detection, dstClass }: WorkItem): boolean => {
  const values = (Array.isArray(condition.value) ? condition.value : [condition.value]).map(String);
  const first = values[0] ?? "";
  switch (`${condition.field} ${condition.op}`) {
    case "confidence gte":
      return detection.confidence >= Number(first);
    case "confidence lt":
      return detection.confidence < Number(first);
    case "severity gte":
      return rankOf(detection.severity) >= rankOf(first);
    case "tags has_any":
      return detection.tags.some((tag) => values.includes(tag));
    case "src.net in_cidr":
      return values.some((cidr) => isWithin(detection.src_host ?? "", cidr));
    case "dst.class in":
      return values.includes(dstClass);
    case "rule.origin in":
      return values.includes(detection.rule.origin);
    case "source.sensor in":
      return values.includes(detection.source.sensor ?? "");
    case "source.sensor not_in":
      return !values.includes(detection.source.sensor ?? "");
    case "recommended_action in":
      return values.includes(detection.recommended_action ?? "");
    default:
      throw new Error(`the workload has no ${condition.field} ${condition.op}`);
  }
};

const severityNames: readonly string[] = severities;
const rankOf = (severity: string): number => severityNames.indexOf(severity);

const isWithin = (address: string, cidr: string): boolean => {
  const [network = "", bits = "32"] = cidr.split("/");
  return bitsOf(address).startsWith(bitsOf(network).slice(0, Number(bits)));
};

/** Addresses come again and again: each is written out once. */
const bitsByAddress = new Map<string, string>();
const bitsOf = (address: string): string => {
  const known = bitsByAddress.get(address);
  if (known !== undefined) return known;
  const bits = address
    .split(".")
    .map((part) => Number(part).toString(2).padStart(8, "0"))
    .join("");
  bitsByAddress.set(address, bits);
  return bits;
};
