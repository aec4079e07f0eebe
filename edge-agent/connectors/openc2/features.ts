import type { OpenC2Command, OpenC2Response } from "./message.ts";

/** What a consumer says it can do (Language Specification 1.0 §4.1, `query features`). */
export type Features = {
  /** Undefined where it does not list its pairs of action and target. */
  readonly can: (action: OpenC2Command["action"], target: string) => boolean | undefined;
  readonly requestsPerMinute?: number;
};

/**
 * `results.pairs` maps each action to the targets it is for. Consumers write a profile's target with a colon (1.0) or a slash
 * (1.1), and some put their pairs under the profile's name.
 */
export const featuresIn = ({ status, results }: OpenC2Response): Features => {
  const own = ["pf", "slpf", "er"].map((profile) => property(property(results, profile), "pairs"));
  const pairs = status === 200 ? [property(results, "pairs"), ...own].filter((one) => one !== undefined) : [];
  const limit = property(results, "rate_limit");
  return {
    can: (action, target) => (pairs.length === 0 ? undefined : pairs.some((one) => hasPair(one, action, target))),
    ...(typeof limit === "number" && limit > 0 ? { requestsPerMinute: limit } : {}),
  };
};

const hasPair = (pairs: unknown, action: string, target: string): boolean => {
  const targets = property(pairs, action);
  return Array.isArray(targets) && [target, target.replace(":", "/")].some((name) => targets.includes(name));
};

const property = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
