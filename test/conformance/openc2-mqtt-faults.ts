import type { Mqtt5Broker } from "./mqtt5-broker.ts";
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

export const mqttFaults = (broker: Mqtt5Broker, consumer: MqttConsumer): FaultControl => ({
  can,
  calls: consumer.calls,
  clear: () => consumer.setFault(undefined),
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
    // The producer's connection; a consumer has one of its own.
    const cut = (): void => broker.cut("oc2/rsp");
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
            cut();
            return "drop";
          },
        });
      case "reset after handling":
        return consumer.setFault({
          after: () => {
            if (!strikes()) return undefined;
            cut();
            return "silent";
          },
        });
      default:
        throw new Error(`${fault.name} is not something that a broker does`);
    }
  },
});
