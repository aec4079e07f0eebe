import { collectDefaultMetrics, Gauge, Registry } from "prom-client";

export type MetricSources = {
  readonly linkCounts: () => Readonly<Record<string, number>>;
  readonly isBrokerConnected: () => boolean;
  readonly agents: () => Promise<{ readonly total: number; readonly online: number }>;
  readonly isLeader: () => boolean;
};

export const createMetrics = (
  sources: MetricSources,
): (() => Promise<{ readonly type: string; readonly text: string }>) => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (
    name: string,
    help: string,
    labelNames: readonly string[],
    collect: (gauge: Gauge) => void | Promise<void>,
  ): void => {
    const made: Gauge = new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect: () => collect(made),
    });
  };
  gauge("reflex_messages_total", "messages from agents by what became of them", ["outcome"], (made) => {
    for (const [outcome, count] of Object.entries(sources.linkCounts())) made.set({ outcome }, count);
  });
  gauge("reflex_broker_connected", "1 while the controller is connected to the broker", [], (made) =>
    made.set(sources.isBrokerConnected() ? 1 : 0),
  );
  gauge("reflex_leader", "1 while this controller leads housekeeping", [], (made) =>
    made.set(sources.isLeader() ? 1 : 0),
  );
  gauge("reflex_agents", "enrolled agents", ["state"], async (made) => {
    const { total, online } = await sources.agents();
    made.set({ state: "online" }, online);
    made.set({ state: "offline" }, total - online);
  });
  return async () => ({ type: registry.contentType, text: await registry.metrics() });
};
