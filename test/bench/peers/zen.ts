import { ZenDecisionContent, ZenEngine } from "@gorules/zen-engine";
import type { FlatCondition, FlatPolicy } from "./flat.ts";
import type { Peer } from "./flat-engine.ts";

/**
 * https://github.com/gorules/zen: one decision table, a row per policy, hit policy `collect`.
 * A cell without a condition must be the empty string: an absent cell silently never matches.
 */
export const zen: Peer = {
  name: "zen-engine",
  given:
    "@gorules/zen-engine, one decision table with collect, compiled content; latency awaited one by one, throughput 64 in flight on all cores",
  inFlight: 64,
  compile: (policies) => {
    const decision = new ZenEngine().createDecision(new ZenDecisionContent(toContent(policies)));
    return async (detection) => {
      const { result } = (await decision.evaluate(detection)) as { result: readonly { readonly id: string }[] };
      return result.map(({ id }) => id);
    };
  },
};

const columns = [
  "recommended_action", "rule_origin", "sensor", "dst_class", "src_ip", "confidence", "severity", "tags",
] as const; // biome-ignore format: a list reads better than a column

const toContent = (policies: readonly FlatPolicy[]): object => ({
  contentType: "application/vnd.gorules.decision",
  nodes: [
    { id: "in", type: "inputNode", name: "in", position: { x: 0, y: 0 } },
    {
      id: "table",
      type: "decisionTableNode",
      name: "table",
      position: { x: 1, y: 0 },
      content: {
        hitPolicy: "collect",
        // A column without a field holds whole expressions, which is how a row asks whether a list has a value.
        inputs: columns.map((column) =>
          column === "tags" ? { id: column, name: column } : { id: column, name: column, field: column },
        ),
        outputs: [{ id: "id", name: "id", field: "id" }],
        rules: policies.map(toRow),
      },
    },
    { id: "out", type: "outputNode", name: "out", position: { x: 2, y: 0 } },
  ],
  edges: [
    { id: "1", type: "edge", sourceId: "in", targetId: "table" },
    { id: "2", type: "edge", sourceId: "table", targetId: "out" },
  ],
});

const toRow = ({ id, conditions }: FlatPolicy): Record<string, string> => {
  const row: Record<string, string> = { _id: id, id: JSON.stringify(id) };
  for (const column of columns)
    row[column] = conditions
      .filter(({ field }) => field === column)
      .map(toCell)
      .join(" and ");
  return row;
};

const toCell = (condition: FlatCondition): string => {
  switch (condition.op) {
    case "gte":
      return `>= ${condition.value}`;
    case "lt":
      return `< ${condition.value}`;
    case "has":
      return `${JSON.stringify(condition.value)} in ${condition.field}`;
    case "between":
      return `[${condition.from}..${condition.to}]`;
    case "in":
      return condition.values.map((value) => JSON.stringify(value)).join(", ");
    case "not_in":
      return `not in [${condition.values.map((value) => JSON.stringify(value)).join(", ")}]`;
  }
};
