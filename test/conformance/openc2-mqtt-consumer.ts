import { connect, type IClientOptions, type MqttClient } from "mqtt";
import type { Answered, OpenC2Consumer } from "./openc2-consumer.ts";

/**
 * The MQTT front of an OpenC2 consumer, from the Specification for Transfer of OpenC2 Messages via MQTT 1.0
 * (docs.oasis-open.org/openc2/transf-mqtt/v1.0): topics of §2.2, properties of §3.2, and no Response Topic.
 */
export type MqttConsumer = {
  readonly calls: () => number;
  /** What becomes of each message before and after it is carried out. */
  readonly setFault: (fault: MqttConsumerFault | undefined) => void;
  readonly close: () => Promise<void>;
};
export type MqttConsumerFault = {
  readonly before?: (text: string) => { readonly status: number } | "drop" | undefined;
  readonly after?: (hasChanged: boolean) => "silent" | "half" | "receipt" | "late" | undefined;
};

export const startMqttConsumer = async (
  consumer: OpenC2Consumer,
  { url, deviceId, ...options }: { readonly url: string; readonly deviceId: string } & IClientOptions,
): Promise<MqttConsumer> => {
  let fault: MqttConsumerFault | undefined;
  let calls = 0;
  let late: Answered | undefined;
  const client: MqttClient = connect(url, {
    ...options,
    clientId: deviceId.replaceAll(/[^A-Za-z0-9]/g, ""),
    protocolVersion: 5,
    clean: false,
    reconnectPeriod: 100,
  });
  client.on("error", () => {});

  const publish = (producer: string, text: string): void => {
    client.publish(`oc2/rsp/${producer}`, text, {
      qos: 1,
      properties: {
        payloadFormatIndicator: true,
        contentType: "application/openc2",
        userProperties: { msgType: "rsp", encoding: "json" },
      },
    });
  };

  /** What is said back, and to whom; nothing for what is not a request or goes wrong on purpose. */
  const answerTo = (text: string): Answered | undefined => {
    calls += 1;
    const before = fault?.before?.(text);
    if (before === "drop") return undefined;
    const count = consumer.changes().length;
    const answered = before === undefined ? consumer.handle(text) : turnedAway(text, before.status);
    if (answered === undefined) return undefined;
    switch (fault?.after?.(consumer.changes().length !== count)) {
      case "silent":
        return undefined;
      case "late":
        late = answered;
        return undefined;
      case "half":
        return { ...answered, text: answered.text.slice(0, answered.text.length >> 1) };
      case "receipt":
        return turnedAway(text, 102);
      default:
        return answered;
    }
  };

  client.on("message", (_topic, payload, { properties = {} }) => {
    const { contentType, responseTopic, userProperties = {} } = properties;
    const isRequest = userProperties["msgType"] === "req" && userProperties["encoding"] === "json";
    if (contentType === "application/openc2" && isRequest && responseTopic === undefined) {
      const answered = answerTo(payload.toString());
      if (answered === undefined) return;
      if (late !== undefined) publish(late.from, late.text);
      late = undefined;
      publish(answered.from, answered.text);
    }
  });
  await new Promise<void>((resolve, reject) => {
    client.on("connect", () => {
      client.subscribe(
        ["oc2/cmd/all", "oc2/cmd/ap/pf", "oc2/cmd/ap/er", `oc2/cmd/device/${deviceId}`],
        { qos: 1 },
        (error) => (error ? reject(error) : resolve()),
      );
    });
  });
  return {
    calls: () => calls,
    setFault: (next) => {
      fault = next;
    },
    close: () => client.endAsync(true),
  };
};

const turnedAway = (text: string, status: number): Answered => {
  const { headers } = JSON.parse(text) as { headers: { request_id: string; from: string } };
  const response = { status, status_text: "on purpose" };
  return {
    requestId: headers.request_id,
    from: headers.from,
    status,
    text: JSON.stringify({ headers: { request_id: headers.request_id }, body: { openc2: { response } } }),
  };
};
