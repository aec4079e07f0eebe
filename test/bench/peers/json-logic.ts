import { LogicEngine } from "json-logic-engine";
import type { FlatCondition } from "./flat.ts";
import type { Peer } from "./flat-engine.ts";

/** https://github.com/TotalTechGeek/json-logic-engine: each policy compiled to a JavaScript function with `build`. */
export const jsonLogic: Peer = {
  name: "json-logic-engine",
  given: "one function per policy from LogicEngine.build, called in turn",
  compile: (policies) => {
    const engine = new LogicEngine();
    const compiled = policies.map(({ id, conditions }) => ({
      id,
      holds: engine.build({ and: [...conditions].sort(byCost).map(toLogic) }) as (detection: unknown) => unknown,
    }));
    return (detection) => {
      const matched: string[] = [];
      for (const { id, holds } of compiled) if (holds(detection) === true) matched.push(id);
      return matched;
    };
  },
};

const toLogic = (condition: FlatCondition): unknown => {
  const field = { var: condition.field };
  switch (condition.op) {
    case "gte":
      return { ">=": [field, condition.value] };
    case "lt":
      return { "<": [field, condition.value] };
    case "has":
      return { in: [condition.value, field] };
    case "between":
      return { "<=": [condition.from, field, condition.to] };
    case "in":
      return condition.values.length === 1
        ? { "===": [field, condition.values[0]] }
        : { in: [field, condition.values] };
    case "not_in":
      return condition.values.length === 1
        ? { "!==": [field, condition.values[0]] }
        : { "!": [{ in: [field, condition.values] }] };
  }
};

// Cheap and selective first: `and` stops at the first condition that fails.
const order = ["recommended_action", "rule_origin", "sensor", "dst_class", "src_ip", "confidence", "severity", "tags"];
const byCost = (left: FlatCondition, right: FlatCondition): number =>
  order.indexOf(left.field) - order.indexOf(right.field);
