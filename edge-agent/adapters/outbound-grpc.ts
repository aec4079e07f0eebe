import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import {
  type ChannelOptions,
  Client,
  type ClientReadableStream,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { GrpcAnswer, GrpcCall, GrpcCallFailure, GrpcCalls, GrpcTarget } from "../connectors/grpc/grpc-calls.ts";
import { isLoopback } from "./https-client.ts";

/**
 * One HTTP/2 connection to one target, made when first needed. The library's own retries are off: only the executor repeats.
 * A call is sent only over a connection that stands, so that whatever failed before is provably unsent.
 */
export const createGrpcCalls = (target: GrpcTarget): GrpcCalls => {
  const serverName = target.serverName ?? (isIP(target.host) === 0 ? undefined : nameOfAddress);
  const client = new Client(`dns:${bracketed(target.host)}:${target.port}`, credentialsOf(target), {
    ...options,
    ...(serverName === undefined ? {} : { "grpc.ssl_target_name_override": serverName }),
  });
  return {
    call: async (asked) => {
      const deadline = Date.now() + asked.deadlineMs;
      const connected = await connect(client, deadline);
      return connected.ok ? send(client, asked, deadline) : connected;
    },
    close: () => client.close(),
  };
};

const options: ChannelOptions = {
  "grpc.enable_retries": 0,
  // A proxy from the environment would see what goes to whom.
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.use_local_subchannel_pool": 1,
  // The library would wait two minutes before it tries a restarted target again; the executor has its own patience.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.min_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.max_receive_message_length": 16 << 20,
  "grpc.keepalive_time_ms": 60_000,
};

/** The library offers the target's address as a TLS server name, which Node refuses to send; this one stands in for it. */
const nameOfAddress = "address.invalid";

const credentialsOf = ({ host, ca, cert, key, serverName, isPlain = false }: GrpcTarget) => {
  if (isPlain) {
    if (!isLoopback(host)) throw new Error(`${host}: plain gRPC only on loopback`);
    return credentials.createInsecure();
  }
  const pem = (text: string | undefined): Buffer | null => (text === undefined ? null : Buffer.from(text));
  // Said outright, so that no environment variable can switch verification off.
  return credentials.createSsl(pem(ca), pem(key), pem(cert), {
    rejectUnauthorized: true,
    checkServerIdentity: (_, certificate) => checkServerIdentity(serverName ?? host, certificate as PeerCertificate),
  });
};

const bracketed = (host: string): string => (host.includes(":") && !host.startsWith("[") ? `[${host}]` : host);

/** A broken connection is tried again after at most a second; who comes in between waits for that try. */
const nextTryMs = 1_500;

/** Waits until the connection stands or could not be made. */
const connect = async (client: Client, deadline: number): Promise<Result<void, GrpcCallFailure>> => {
  const channel = client.getChannel();
  const isAfterFailure = channel.getConnectivityState(true) === connectivityState.TRANSIENT_FAILURE;
  // The library says "failed" from the first failure until the connection stands, however often it tries meanwhile (gRFC A62).
  const patience = isAfterFailure ? Math.min(deadline, Date.now() + nextTryMs) : deadline;
  for (;;) {
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY) return ok(undefined);
    if (state === connectivityState.SHUTDOWN) return err({ kind: "unsent", detail: "the connector is stopped" });
    const hasFailed = state === connectivityState.TRANSIENT_FAILURE;
    const hasChanged =
      (!hasFailed || isAfterFailure) &&
      (await new Promise<boolean>((resolve) =>
        channel.watchConnectivityState(state, patience, (error) => resolve(error === undefined)),
      ));
    if (hasChanged) continue;
    // Sending now ends at once, unsent, with the reason; only the library knows it.
    return hasFailed ? ok(undefined) : err({ kind: "unsent", detail: "no connection in time" });
  }
};

const send = (client: Client, asked: GrpcCall, deadline: number): Promise<Result<GrpcAnswer, GrpcCallFailure>> =>
  new Promise((resolve) => {
    const messages: Readonly<Record<string, unknown>>[] = [];
    let bytes = 0;
    let isOver = false;
    const end = (result: Result<GrpcAnswer, GrpcCallFailure>): void => {
      if (isOver) return;
      isOver = true;
      resolve(result);
    };
    // A unary answer is a stream of one: one way to bound, count and end both.
    const stream: ClientReadableStream<Uint8Array> = client.makeServerStreamRequest(
      asked.method.path,
      (message: Readonly<Record<string, unknown>>) => Buffer.from(asked.method.encode(message)),
      (part: Buffer) => part,
      asked.message,
      metadataOf(asked),
      { deadline },
    );
    const breakOff = (detail: string): void => {
      end(err({ kind: "unknown", detail }));
      stream.cancel();
    };
    stream.on("data", (part: Uint8Array) => {
      if (isOver) return;
      bytes += part.length;
      if (bytes > asked.bytesMax) return breakOff(`the answer is longer than ${asked.bytesMax} bytes`);
      if (messages.length >= asked.messagesMax)
        return breakOff(`the answer has more than ${asked.messagesMax} messages`);
      try {
        messages.push(asked.method.decode(part));
      } catch {
        breakOff("the answer is not the message that the proto file describes");
      }
    });
    stream.on("status", (said) => end(resultOf(said, messages, asked.method.isServerStream)));
    // Comes before the status where that is not OK, and says the same; without a listener it would end the process.
    stream.on("error", (error: ServiceError) => end(resultOf(error, messages, asked.method.isServerStream)));
  });

const metadataOf = ({ metadata = {} }: GrpcCall): Metadata => {
  const made = new Metadata();
  for (const [name, value] of Object.entries(metadata)) made.set(name, value);
  return made;
};

const resultOf = (
  { code, details, metadata }: Pick<ServiceError, "code" | "details" | "metadata">,
  messages: GrpcAnswer["messages"],
  isServerStream: boolean,
): Result<GrpcAnswer, GrpcCallFailure> => {
  const name = status[code] ?? String(code);
  const detail = details === "" || details === name ? name : `${name}: ${printable(details)}`;
  if (code === status.OK && !isServerStream && messages.length !== 1)
    return err({ kind: "unknown", detail: `${messages.length} messages in an answer of one` });
  if (code === status.RESOURCE_EXHAUSTED && details.startsWith("Received message larger"))
    return err({ kind: "unknown", detail });
  if (code === status.UNAVAILABLE && isBeforeSending(details)) return err({ kind: "unsent", detail });
  // These are what the library says when the connection or the time ran out under a call, as well as what a far end may say.
  if (isUncertain.has(code)) return err({ kind: "unknown", detail });
  return ok({ status: code, detail, messages, ...pushbackIn(metadata) });
};

const pushbackIn = (metadata: Metadata | undefined): { readonly retryAfterMs?: number } => {
  const written = String(metadata?.get("grpc-retry-pushback-ms")[0] ?? "");
  return /^\d{1,7}$/.test(written) ? { retryAfterMs: Number(written) } : {};
};

/** The connection went between looking at it and using it: the call never got a stream (load-balancer-pick-first.js). */
const isBeforeSending = (details: string): boolean =>
  details.startsWith("No connection established") || details.startsWith("Name resolution failed");

const isUncertain: ReadonlySet<number> = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
  status.UNKNOWN,
  status.INTERNAL,
  status.DATA_LOSS,
  status.ABORTED,
]);

/** Their words go into journals and onto screens. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, " ").slice(0, 256);
