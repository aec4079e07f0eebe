import { Environment } from "@marcbachmann/cel-js";
import type { FlatCondition } from "./flat.ts";
import type { Peer } from "./flat-engine.ts";

/** https://github.com/marcbachmann/cel-js: a typed environment, each policy one expression, parsed once. */
export const cel: Peer = {
  name: "cel-js",
  given: "@marcbachmann/cel-js, typed environment, expressions parsed once; numbers as double",
  compile: (policies) => {
    const environment = new Environment()
      .registerVariable("confidence", "double")
      .registerVariable("severity", "double")
      .registerVariable("tags", "list<string>")
      .registerVariable("src_ip", "double")
      .registerVariable("dst_class", "string")
      .registerVariable("rule_origin", "string")
      .registerVariable("sensor", "string")
      .registerVariable("recommended_action", "string");
    const parsed = policies.map(({ id, conditions }) => ({
      id,
      holds: environment.parse(conditions.map(toExpression).join(" && ") || "true"),
    }));
    return (detection) => {
      const matched: string[] = [];
      for (const { id, holds } of parsed) if (holds(detection) === true) matched.push(id);
      return matched;
    };
  },
};

const toExpression = (condition: FlatCondition): string => {
  const { field } = condition;
  switch (condition.op) {
    case "gte":
      return `${field} >= ${double(condition.value)}`;
    case "lt":
      return `${field} < ${double(condition.value)}`;
    case "has":
      return `${JSON.stringify(condition.value)} in ${field}`;
    case "between":
      return `${field} >= ${double(condition.from)} && ${field} <= ${double(condition.to)}`;
    case "in":
      return oneOf(field, "==", condition.values);
    case "not_in":
      return condition.values.length === 1
        ? oneOf(field, "!=", condition.values)
        : `!(${oneOf(field, "==", condition.values)})`;
  }
};

const oneOf = (field: string, operator: string, values: readonly string[]): string =>
  values.length === 1 ? `${field} ${operator} ${JSON.stringify(values[0])}` : `${field} in ${JSON.stringify(values)}`;
const double = (value: number): string => (Number.isInteger(value) ? `${value}.0` : String(value));
