import type { Condition, Guard, Permit, Policy } from "@reflex/protocol/policy";
import { isCollection, isMap, parseDocument, stringify } from "yaml";
import { type Field, fields, isFieldName } from "./fields.ts";
import { directOperator, operatorTable } from "./operators.ts";
import { durationText } from "./quantities.ts";

/** A policy as its author would write it; reading the text gives the same policy. Keys in the order of the language. */
export const writePolicy = (policy: Policy): string =>
  stringify(
    {
      policy: policy.id,
      match: blockOf(policy.match),
      ...(policy.unless.length === 0 ? {} : { unless: policy.unless.map(blockOf) }),
      ...(policy.kind === "permit" ? grantOf(policy) : restrictionOf(policy)),
      ...(policy.shadow ? { shadow: true } : {}),
      why: policy.why,
    },
    { version: "1.2", schema: "core", lineWidth: 0, aliasDuplicateObjects: false },
  );

/**
 * Changes one value of a policy's text and keeps the rest, comments included: for proposals, whose diff must show nothing
 * else. `path` as in the file, such as `["match", "confidence", "gt"]`; undefined when the text has no such value.
 */
export const editPolicyText = (
  text: string,
  path: readonly (string | number)[],
  value: unknown,
): string | undefined => {
  const document = parseDocument(text, { version: "1.2", schema: "core", keepSourceTokens: true });
  if (document.errors.length > 0 || !isMap(document.contents)) return undefined;
  const node = document.getIn(path, true);
  if (node === undefined || node === null || typeof node !== "object") return undefined;
  const range = "range" in node ? (node.range as readonly number[] | undefined) : undefined;
  const [start, end] = range ?? [];
  if (start === undefined || end === undefined || (isCollection(node) && node.flow !== true)) return undefined;
  const written = JSON.stringify(value);
  const plain = typeof value === "string" && /^[A-Za-z$][A-Za-z0-9_.$/-]*$/.test(value) ? value : written;
  return `${text.slice(0, start)}${plain}${text.slice(end)}`;
};

/** Conditions of one field become one entry: direct where the field has such an operator and nothing else is said. */
const blockOf = (conditions: readonly Condition[]): Record<string, unknown> => {
  const byField = new Map<string, Condition[]>();
  for (const condition of conditions)
    byField.set(condition.field, [...(byField.get(condition.field) ?? []), condition]);
  return Object.fromEntries([...byField].map(([field, group]) => [field, entryOf(field, group)]));
};

const entryOf = (name: string, group: readonly Condition[]): unknown => {
  const field: Field | undefined = isFieldName(name) ? fields[name] : undefined;
  const [only] = group;
  if (only !== undefined && group.length === 1 && field !== undefined && directOperator[field.type] === only.op) {
    return shortest(only.value);
  }
  return Object.fromEntries(group.map(({ op, value }) => [operatorTable[op].written ?? op, shortest(value)]));
};

const shortest = (value: Condition["value"]): unknown =>
  Array.isArray(value) && value.length === 1 ? value[0] : value;

const grantOf = ({ do: { action, target, ttl_seconds } }: Permit) => ({
  do: { action, target, ttl: durationText(ttl_seconds) },
});

const restrictionOf = ({ limit, then, approval, ttl_max_seconds }: Guard) => ({
  ...(limit === undefined
    ? {}
    : {
        limit: { count: limit.count, per: limit.per, max: mostOf(limit), window: durationText(limit.window_seconds) },
      }),
  then,
  ...(approval === undefined
    ? {}
    : {
        approval: {
          from: approval.from,
          quorum: approval.quorum,
          expires: durationText(approval.expires_seconds),
          on_timeout: approval.on_timeout,
        },
      }),
  ...(ttl_max_seconds === undefined ? {} : { ttl_max: durationText(ttl_max_seconds) }),
});

const mostOf = ({ max, max_percent }: NonNullable<Guard["limit"]>): unknown => {
  if (max_percent === undefined) return max;
  return max === undefined ? `${max_percent}%` : [max, `${max_percent}%`];
};
