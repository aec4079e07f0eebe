import type { CuttableProxy } from "./cuttable-proxy.ts";
import type { MqttConsumer } from "./openc2-mqtt-consumer.ts";
import type { Fault, FaultControl, FaultName } from "./subject.ts";

/** What can go wrong on the way of a message through a broker, in the words of the kit. */
const can: readonly FaultName[] = [
  "timeout after success",
  "partial answer",
  "5xx before handling",
  "5xx after handling",
  "reset before handling",
  "reset after handling",
];

export type MqttFaultPlace = {
  readonly consumer: MqttConsumer;
  /** Between the producer and the broker; a consumer has a connection of its own. */
  readonly proxy: CuttableProxy;
  readonly brokerPort: number;
  /** The same broker under another name; left out where it has no certificate. */
  readonly wrongNamePort?: number;
};

export const mqttFaults = ({ consumer, proxy, brokerPort, wrongNamePort }: MqttFaultPlace): FaultControl => ({
  can: wrongNamePort === undefined ? can : [...can, "TLS name mismatch"],
  calls: consumer.calls,
  clear: () => {
    consumer.setFault(undefined);
    proxy.leadTo(brokerPort);
  },
  set: (fault: Fault) => {
    let passed = 0;
    let befallen = 0;
    const strikes = (): boolean => {
      if (passed < (fault.skip ?? 0)) {
        passed += 1;
        return false;
      }
      if (befallen >= (fault.times ?? Number.POSITIVE_INFINITY)) return false;
      befallen += 1;
      return true;
    };
    switch (fault.name) {
      case "timeout after success":
        return consumer.setFault({ after: (hasChanged) => (hasChanged && strikes() ? "silent" : undefined) });
      case "partial answer":
        return consumer.setFault({ after: (hasChanged) => (hasChanged && strikes() ? "half" : undefined) });
      case "5xx before handling":
        return consumer.setFault({
          before: () => (strikes() ? { status: befallen % 2 === 1 ? 500 : 503 } : undefined),
        });
      case "5xx after handling":
        return consumer.setFault({ after: () => (strikes() ? "receipt" : undefined) });
      case "reset before handling":
        return consumer.setFault({
          before: () => {
            if (!strikes()) return undefined;
            proxy.cut();
            return "drop";
          },
        });
      case "reset after handling":
        return consumer.setFault({
          after: () => {
            if (!strikes()) return undefined;
            proxy.cut();
            return "silent";
          },
        });
      case "TLS name mismatch":
        proxy.leadTo(wrongNamePort ?? 0);
        return proxy.cut();
      default:
        throw new Error(`${fault.name} is not something that a broker does`);
    }
  },
});
