import type { OpenC2Response } from "./message.ts";

/**
 * Language Specification 1.0 §4.1: `results.pairs` maps each action to the targets it is for. Consumers write a profile's target
 * with a colon (1.0) or a slash (1.1), and some put their pairs under the profile's name.
 */
export const canQueryRules = ({ status, results }: OpenC2Response, profile: "pf" | "slpf"): boolean => {
  if (status !== 200) return false;
  const own = property(results, profile);
  return [property(results, "pairs"), property(own, "pairs")].some((pairs) => {
    const targets = property(pairs, "query");
    return Array.isArray(targets) && [":", "/"].some((mark) => targets.includes(`${profile}${mark}rule_number`));
  });
};

const property = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
