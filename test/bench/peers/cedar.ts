import { preparsePolicySet, preparseSchema, statefulIsAuthorized } from "@cedar-policy/cedar-wasm/nodejs";
import type { FlatCondition, FlatDetection, FlatPolicy } from "./flat.ts";
import type { Peer } from "./flat-engine.ts";

let policySets = 0;

/**
 * https://github.com/cedar-policy/cedar: schema and policy set parsed once. Every policy is a `permit`, because only then do
 * the diagnostics name every match; Cedar has no floats, so confidence is in percent.
 */
export const cedar: Peer = {
  name: "cedar-wasm",
  given:
    "@cedar-policy/cedar-wasm, statefulIsAuthorized on a preparsed set; every policy a permit, confidence in percent",
  compile: (policies) => {
    const set = `set-${policySets++}`;
    expectSuccess(preparseSchema(set, schema));
    expectSuccess(preparsePolicySet(set, { staticPolicies: Object.fromEntries(policies.map(toCedar)) }));
    return (detection) => {
      const answer = statefulIsAuthorized({
        principal: { type: "Agent", id: "a" },
        action: { type: "Action", id: "decide" },
        resource: { type: "Site", id: "s" },
        context: toContext(detection),
        preparsedSchemaName: set,
        validateRequest: false,
        preparsedPolicySetId: set,
        entities: [],
      });
      if (answer.type === "failure") throw new Error(JSON.stringify(answer.errors));
      const { reason, errors } = answer.response.diagnostics;
      if (errors.length > 0) throw new Error(JSON.stringify(errors[0]));
      return reason;
    };
  },
};

const schema = `
  entity Agent; entity Site;
  action decide appliesTo { principal: Agent, resource: Site, context: {
    confidence: Long, severity: Long, tags: Set<String>, src_ip: Long, dst_class: String, rule_origin: String,
    sensor: String, recommended_action: String } };`;

const toContext = ({ confidence, tags, ...others }: FlatDetection) => ({
  ...others,
  tags: [...tags],
  confidence: percent(confidence),
});

const toCedar = ({ id, conditions }: FlatPolicy): [string, string] => [
  id,
  `permit(principal, action, resource) when { ${conditions.map(toExpression).join(" && ") || "true"} };`,
];

const toExpression = (condition: FlatCondition): string => {
  const field = `context.${condition.field}`;
  switch (condition.op) {
    case "gte":
      return `${field} >= ${condition.field === "confidence" ? percent(condition.value) : condition.value}`;
    case "lt":
      return `${field} < ${percent(condition.value)}`;
    case "has":
      return `${field}.contains(${JSON.stringify(condition.value)})`;
    case "between":
      return `${field} >= ${condition.from} && ${field} <= ${condition.to}`;
    case "in":
      return isOneOf(field, condition.values);
    case "not_in":
      return `!(${isOneOf(field, condition.values)})`;
  }
};

const isOneOf = (field: string, values: readonly string[]): string =>
  values.length === 1 ? `${field} == ${JSON.stringify(values[0])}` : `${JSON.stringify(values)}.contains(${field})`;
const percent = (share: number): number => Math.round(share * 100);

const expectSuccess = (answer: { readonly type: string }): void => {
  if (answer.type !== "success") throw new Error(JSON.stringify(answer));
};
