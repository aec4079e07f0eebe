import { err, ok, type Result } from "@reflex/protocol/result";
import type { Clock, Timers } from "../../ports.ts";
import type { Connector } from "../contract.ts";
import type { HttpCalls } from "../http-call.ts";
import { isLoopback } from "../loopback.ts";
import type { Secrets } from "../secrets-port.ts";
import { type OpenC2Config, profilesOf } from "./config.ts";
import { createHttpsTransfer } from "./https-transfer.ts";
import { createMqttTransfer } from "./mqtt-transfer.ts";
import { createOpenC2 } from "./openc2.ts";
import type { Transfer } from "./transfer.ts";

/** PEM texts. */
export type OpenC2Tls = { readonly ca?: string; readonly cert?: string; readonly key?: string };
export type OpenC2Deps = {
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly readText: (path: string) => string;
  readonly httpCalls: (tls: OpenC2Tls) => HttpCalls;
  /** The public authorities, which MQTT.js leaves out as soon as it is given one of its own. */
  readonly publicAuthorities: () => readonly string[];
};

/** The error names the field and what to write. */
export const openOpenC2 = (config: OpenC2Config, deps: OpenC2Deps): Result<Connector, string> => {
  const wrong = faultIn(config);
  if (wrong !== undefined) return err(wrong);
  const { ca_file: ca, cert_file: cert, key_file: key } = config;
  const tls: OpenC2Tls = {
    ...(ca === undefined ? {} : { ca: deps.readText(ca) }),
    ...(cert === undefined || key === undefined ? {} : { cert: deps.readText(cert), key: deps.readText(key) }),
  };
  return ok(
    createOpenC2({
      name: config.name,
      profiles: profilesOf(config),
      producer: config.producer,
      timers: deps.timers,
      place: config.consumer === undefined ? config.url : `${config.consumer} at ${config.url}`,
      transfer:
        config.consumer === undefined ? overHttps(config, deps, tls) : overMqtt(config, config.consumer, deps, tls),
    }),
  );
};

const overHttps = ({ url, producer, bearer }: OpenC2Config, deps: OpenC2Deps, tls: OpenC2Tls): Transfer =>
  createHttpsTransfer(
    { baseUrl: url, producer, ...(bearer === undefined ? {} : { bearer }) },
    { http: deps.httpCalls(tls), secrets: deps.secrets, clock: deps.clock },
  );

const overMqtt = (
  { url, producer, username, password }: OpenC2Config,
  consumer: string,
  deps: OpenC2Deps,
  { ca, ...identity }: OpenC2Tls,
): Transfer =>
  createMqttTransfer(
    {
      url,
      producer,
      consumer,
      tls: { ...identity, ...(ca === undefined ? {} : { ca: [...deps.publicAuthorities(), ca] }) },
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
    },
    deps,
  );

const faultIn = (config: OpenC2Config): string | undefined => {
  const url = URL.parse(config.url);
  if (url === null) return "url is not a URL";
  const isHttp = url.protocol === "https:" || url.protocol === "http:";
  const isPlain = ["http:", "mqtt:", "ws:"].includes(url.protocol);
  const { packet_filter: filter, endpoint, cert_file: cert, key_file: key } = config;
  const { from = 0, to = 1 } = filter?.rule_numbers ?? {};
  if (url.username !== "" || url.password !== "") return "url may not hold a user or password";
  if (isPlain && !isLoopback(url.hostname)) return `url: ${url.protocol} only on loopback`;
  if (isHttp !== (config.consumer === undefined))
    return isHttp
      ? "consumer is for a broker; over HTTPS the url is the consumer"
      : "consumer is missing: its device id at the broker";
  if ((cert === undefined) !== (key === undefined)) return "cert_file and key_file belong together";
  if (isHttp && !isPlain && cert === undefined && config.bearer === undefined)
    return "give cert_file and key_file, or bearer: a consumer must know who commands it";
  if (filter === undefined && endpoint === undefined) return "give packet_filter, endpoint or both";
  if (from >= to) return "packet_filter.rule_numbers: from must be below to";
  return undefined;
};
