import { hash, randomUUID } from "node:crypto";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { connect, type IClientOptions, type MqttClient, type Packet } from "mqtt";
import type { Clock, Timers } from "../../ports.ts";
import { isLoopback } from "../loopback.ts";
import type { Secrets } from "../secrets-port.ts";
import { messageBytesMax, type OpenC2Command, type OpenC2Response, readAnswer, requestText } from "./message.ts";
import { exchangeMs, type Transfer, type TransferFailure } from "./transfer.ts";

export type MqttTransferOptions = {
  /** `mqtts://` or `wss://`; plain `mqtt://` and `ws://` on loopback only. The broker speaks MQTT 5. */
  readonly url: string;
  readonly producer: string;
  /** Commands go to `oc2/cmd/device/<consumer>`: to one device, never to all that have a profile. */
  readonly consumer: string;
  readonly tls: { readonly ca?: readonly string[]; readonly cert?: string; readonly key?: string };
  readonly username?: string;
  /** Reference to the password. */
  readonly password?: string;
  readonly callTimeoutMs?: number;
};
export type MqttTransferDeps = { readonly secrets: Secrets; readonly clock: Clock; readonly timers: Timers };

/**
 * Specification for Transfer of OpenC2 Messages via MQTT 1.0. One connection, made when it is needed and thrown away when it
 * breaks: the library then has nothing left to send again behind our back. A command expires in the broker with its call, so a
 * consumer that was away does not carry it out hours later.
 */
export const createMqttTransfer = (options: MqttTransferOptions, deps: MqttTransferDeps): Transfer => {
  const limitMs = options.callTimeoutMs ?? exchangeMs;
  const awaited = new Map<string, (response: OpenC2Response) => void>();
  /** Messages of which the broker said that nobody listens. MQTT.js calls back as if somebody did, so we look ourselves. */
  const unheard = new Set<number>();
  let line: Promise<Result<MqttClient, string>> | undefined;
  let isStopped = false;

  const connected = (): Promise<Result<MqttClient, string>> => {
    line ??= openLine(options, deps, limitMs, take, () => {
      line = undefined;
      unheard.clear();
    });
    return line;
  };

  const take = (packet: Packet): void => {
    if (packet.cmd === "puback" && packet.reasonCode === noSubscribers && packet.messageId !== undefined)
      unheard.add(packet.messageId);
    // A retained answer is to a question of long ago.
    if (packet.cmd !== "publish" || packet.retain || typeof packet.payload === "string") return;
    const read = readAnswer(packet.payload);
    if (read.ok && read.value.requestId !== undefined) awaited.get(read.value.requestId)?.(read.value.response);
  };

  const exchange = async (command: OpenC2Command): Promise<Result<OpenC2Response, TransferFailure>> => {
    if (isStopped) return err({ kind: "unsent", detail: "the connector is stopped" });
    const opened = await connected();
    if (!opened.ok) return err({ kind: "unsent", detail: opened.error });
    const client = opened.value;
    const requestId = randomUUID();
    return new Promise((resolve) => {
      let interim = "no answer in time";
      const end = (result: Result<OpenC2Response, TransferFailure>): void => {
        cancel();
        awaited.delete(requestId);
        client.removeListener("close", lost);
        resolve(result);
      };
      const lost = (): void => end(err({ kind: "unknown", detail: "the connection to the broker broke" }));
      const cancel = deps.timers.after(limitMs, () => end(err({ kind: "unknown", detail: interim })));
      client.once("close", lost);
      awaited.set(requestId, (response) => {
        // 102 is a receipt; the answer is still to come.
        if (response.status === 102) interim = "102 accepted, and not completed in time";
        else end(ok(response));
      });
      const headers = { requestId, createdMs: deps.clock.nowMs(), from: options.producer, to: options.consumer };
      client.publish(
        `oc2/cmd/device/${options.consumer}`,
        requestText(command, headers),
        publishOptions(limitMs),
        (error, packet) => {
          const isUnheard = unheard.delete(packet?.messageId ?? 0);
          const failure = isUnheard ? nobodyListens : failureOf(error);
          if (failure !== undefined) end(err(failure));
        },
      );
    });
  };

  return {
    start: async () => {
      const ready = clientOptions(options, deps);
      if (!ready.ok) return ready;
      isStopped = false;
      // A broker that is away is no reason not to start: it is tried again with each command.
      void connected();
      return ok(undefined);
    },
    exchange,
    stop: async () => {
      isStopped = true;
      const open = await line;
      line = undefined;
      if (open?.ok === true) await closeLine(open.value, deps.timers);
    },
  };
};

const publishOptions = (limitMs: number) =>
  ({
    qos: 1,
    retain: false,
    properties: {
      payloadFormatIndicator: true,
      contentType: "application/openc2",
      userProperties: { msgType: "req", encoding: "json" },
      messageExpiryInterval: Math.ceil(limitMs / 1_000),
    },
  }) as const;

/** MQTT 5 §3.4.2.1. */
const noSubscribers = 0x10;
const nobodyListens: TransferFailure = { kind: "unsent", detail: "no consumer listens at the broker" };

/** Not authorised, topic name invalid, payload format invalid: the broker kept it to itself, and will again. */
const turnedAway: ReadonlySet<unknown> = new Set([0x87, 0x90, 0x99]);
const quotaExceeded = 0x97;

const failureOf = (error: unknown): TransferFailure | undefined => {
  if (typeof error !== "object" || error === null) return undefined;
  const reason = "code" in error ? error.code : undefined;
  if (turnedAway.has(reason)) return { kind: "turned-away", detail: `the broker refused it (${reason})` };
  if (reason === quotaExceeded) return { kind: "unsent", detail: "quota exceeded at the broker" };
  return { kind: "unknown", detail: "the broker did not take it" };
};

const openLine = (
  options: MqttTransferOptions,
  deps: MqttTransferDeps,
  limitMs: number,
  take: (packet: Packet) => void,
  onEnd: () => void,
): Promise<Result<MqttClient, string>> => {
  const ready = clientOptions(options, deps);
  if (!ready.ok) {
    onEnd();
    return Promise.resolve(err(ready.error.detail));
  }
  return new Promise((resolve) => {
    const client = clientOf(options.url, ready.value);
    if (client === undefined) {
      onEnd();
      return resolve(err("the certificate, key or authority cannot be used"));
    }
    let lastError = "closed";
    const end = (why: string): void => {
      cancel();
      onEnd();
      resolve(err(`broker: ${why}`));
      client.end(true);
    };
    const cancel = deps.timers.after(limitMs, () => end("no answer in time"));
    client.on("error", (error) => {
      lastError = error.message.replace(/[^\x20-\x7e]/g, " ").slice(0, 200);
      end(lastError);
    });
    client.on("close", () => end(lastError));
    client.on("packetreceive", take);
    client.on("connect", () => {
      const how = { qos: 1, nl: true, rap: true, rh: 0 } as const;
      client.subscribe({ "oc2/rsp": how, [`oc2/rsp/${options.producer}`]: how }, (error, granted = []) => {
        if (error || granted.some(({ qos }) => qos > 2)) return end("it refused our subscriptions");
        cancel();
        resolve(ok(client));
      });
    });
  });
};

/** A certificate or key that is none is thrown back by Node before anything is connected. */
const clientOf = (url: string, options: IClientOptions): MqttClient | undefined => {
  try {
    return connect(url, options);
  } catch {
    return undefined;
  }
};

const clientOptions = (
  { url, producer, consumer, tls, username, password }: MqttTransferOptions,
  { secrets }: MqttTransferDeps,
): Result<IClientOptions, Refusal> => {
  const { protocol, hostname } = new URL(url);
  const isPlain = protocol === "mqtt:" || protocol === "ws:";
  if (isPlain && !isLoopback(hostname))
    return err(refusal("unauthorised", `${protocol} only on loopback; use mqtts: or wss:`));
  const secret = password === undefined ? undefined : secrets.read(password);
  if (secret?.ok === false) return secret;
  return ok({
    ...(isPlain ? {} : tlsOptions(tls)),
    protocolVersion: 5,
    // §3.1: not a clean start; with a session that ends with its connection nothing stale waits for us.
    clean: false,
    properties: { sessionExpiryInterval: 0, maximumPacketSize: 2 * messageBytesMax },
    // Letters and digits, 23 at most (§2.6); always the same one, so that a broker ends our lost connection when we come back.
    clientId: hash("sha256", `${producer} ${consumer}`, "hex").slice(0, 23),
    keepalive: 30,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    ...(username === undefined ? {} : { username }),
    ...(secret === undefined ? {} : { password: secret.value.reveal() }),
  });
};

const tlsOptions = ({ ca, ...identity }: MqttTransferOptions["tls"]) => ({
  ...identity,
  ...(ca === undefined ? {} : { ca: [...ca] }),
  rejectUnauthorized: true,
  minVersion: "TLSv1.2" as const,
});

/** `end` alone can wait for a dead socket for ever. */
const closeLine = (client: MqttClient, timers: Timers): Promise<void> =>
  new Promise((resolve) => {
    const finish = (): void => {
      cancel();
      client.end(true);
      client.stream?.destroy();
      resolve();
    };
    const cancel = timers.after(1_000, finish);
    client.end(false, finish);
  });
