import { collectDefaultMetrics, Gauge, Registry } from "prom-client";

export type MetricSources = {
  readonly linkCounts: () => Readonly<Record<string, number>>;
  readonly isBrokerConnected: () => boolean;
  readonly agents: () => Promise<{ readonly total: number; readonly online: number }>;
  readonly isLeader: () => boolean;
  /** Undefined: nothing is mirrored. */
  readonly siem: () => Promise<
    | {
        readonly sent: number;
        readonly put_aside: number;
        readonly lags: Readonly<Record<string, { readonly rows: number; readonly oldestSeconds: number }>>;
      }
    | undefined
  >;
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
  const siemGauge = (
    name: string,
    help: string,
    value: (lag: { readonly rows: number; readonly oldestSeconds: number }) => number,
  ): void =>
    gauge(name, help, ["stream"], async (made) => {
      for (const [stream, lag] of Object.entries((await sources.siem())?.lags ?? {})) made.set({ stream }, value(lag));
    });
  siemGauge("reflex_siem_waiting", "reports the SIEM does not have yet", ({ rows }) => rows);
  siemGauge("reflex_siem_lag_seconds", "age of the oldest report the SIEM does not have", (lag) => lag.oldestSeconds);
  gauge("reflex_siem_documents_total", "documents by what became of them since start", ["outcome"], async (made) => {
    const siem = await sources.siem();
    if (siem === undefined) return;
    made.set({ outcome: "sent" }, siem.sent);
    made.set({ outcome: "put_aside" }, siem.put_aside);
  });
  return async () => ({ type: registry.contentType, text: await registry.metrics() });
};
