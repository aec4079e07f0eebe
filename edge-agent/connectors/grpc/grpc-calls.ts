import type { Result } from "@reflex/protocol/result";
import type { GrpcMethod } from "./proto-set.ts";

/** One bounded call; a streamed answer is collected to its end. */
export type GrpcCall = {
  readonly method: GrpcMethod;
  /** Fields by their names in the proto file; already checked against the message type. */
  readonly message: Readonly<Record<string, unknown>>;
  /** Lower case names. Values are never logged. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** From asking, over connecting, to the last message. */
  readonly deadlineMs: number;
  readonly messagesMax: number;
  /** Of all messages of the answer together. */
  readonly bytesMax: number;
};

/** The status the far end itself gave: 0 is yes, anything else its no (numbers of grpc/grpc statuscodes.md). */
export type GrpcAnswer = {
  readonly status: number;
  readonly detail: string;
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  /** How long the far end asks to be left alone (`grpc-retry-pushback-ms` of gRPC's retry design, A6). */
  readonly retryAfterMs?: number;
};

/** `unsent`: provably no byte of the call left this machine. `unknown`: it may have been read and acted on. */
export type GrpcCallFailure = { readonly kind: "unsent" | "unknown"; readonly detail: string };

export type GrpcCalls = {
  readonly call: (asked: GrpcCall) => Promise<Result<GrpcAnswer, GrpcCallFailure>>;
  readonly close: () => void;
};

export type GrpcTarget = {
  readonly host: string;
  readonly port: number;
  /** PEM of a private certification authority; the system's otherwise. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /**
   * Name in the far end's certificate where it is not its address: Velociraptor's is `VelociraptorServer` everywhere.
   * The certificate is verified all the same.
   */
  readonly serverName?: string;
  /** Plain HTTP/2, on loopback alone. */
  readonly isPlain?: boolean;
};

/** A new target where certificates were renewed: called at each start of the connector. */
export type OpenGrpc = (target: GrpcTarget) => GrpcCalls;
