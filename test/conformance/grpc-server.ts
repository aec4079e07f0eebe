import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type handleServerStreamingCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import { parseManifest } from "@reflex/edge-agent/connectors/rest/parse-manifest";
import protobuf from "protobufjs";

export type GrpcMessage = Readonly<Record<string, unknown>>;
/** What a call is answered with; a status that is not 0 ends it after the messages. */
export type GrpcReply = {
  readonly messages?: readonly GrpcMessage[];
  readonly status?: { readonly code: number; readonly details: string };
  readonly trailers?: Readonly<Record<string, string>>;
};
export type GrpcHandler = (message: GrpcMessage, metadata: Readonly<Record<string, string>>) => Promise<GrpcReply>;
export type GrpcServerTls = {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** Only callers with a certificate of this authority. */
  readonly asksCertificate?: boolean;
};

export type GrpcServer = {
  readonly port: number;
  /** Breaks every connection and stops listening; what was done stays done. */
  readonly cut: () => void;
};

/** The proto file inside a manifest of this folder. */
export const protoIn = (manifest: string): string => {
  const parsed = parseManifest(manifest, readFileSync(join(import.meta.dirname, manifest), "utf8"));
  if (!parsed.ok || parsed.value.grpc === undefined) throw new Error(`${manifest} holds no proto file`);
  return parsed.value.grpc.proto;
};

/** One service of a proto text on loopback. Each method is served as a stream, which is what a unary answer is on the wire. */
export const startGrpcServer = async (options: {
  readonly proto: string;
  readonly service: string;
  readonly handlers: Readonly<Record<string, GrpcHandler>>;
  readonly tls?: GrpcServerTls;
  readonly port?: number;
}): Promise<GrpcServer> => {
  const { root } = protobuf.parse(options.proto, { keepCase: true });
  const service = root.lookupService(options.service);
  const server = new Server();
  server.addService(
    Object.fromEntries(
      Object.keys(options.handlers).map((name) => {
        const asked = service.lookupType(service.methods[name]?.requestType ?? "");
        const answer = service.lookupType(service.methods[name]?.responseType ?? "");
        return [
          name,
          {
            path: `/${service.fullName.slice(1)}/${name}`,
            requestStream: false,
            responseStream: true,
            requestSerialize: (message: GrpcMessage) => Buffer.from(asked.encode(asked.fromObject(message)).finish()),
            requestDeserialize: (bytes: Buffer): GrpcMessage => asked.toObject(asked.decode(bytes), readable),
            responseSerialize: (message: GrpcMessage) =>
              Buffer.from(answer.encode(answer.fromObject(message)).finish()),
            responseDeserialize: (bytes: Buffer): GrpcMessage => answer.toObject(answer.decode(bytes), readable),
          },
        ];
      }),
    ),
    Object.fromEntries(Object.entries(options.handlers).map(([name, handle]) => [name, served(handle)])),
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${options.port ?? 0}`, credentialsOf(options.tls), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { port, cut: () => server.forceShutdown() };
};

const readable = { longs: Number, enums: String, defaults: true, arrays: true } as const;

const served =
  (handle: GrpcHandler): handleServerStreamingCall<GrpcMessage, GrpcMessage> =>
  (call: ServerWritableStream<GrpcMessage, GrpcMessage>) => {
    const metadata = Object.fromEntries(
      Object.entries(call.metadata.getMap()).map(([name, value]) => [name, String(value)]),
    );
    void handle(call.request, metadata).then(({ messages = [], status, trailers = {} }) => {
      if (call.cancelled) return;
      for (const message of messages) call.write(message);
      if (status === undefined) call.end();
      else call.emit("error", { ...status, metadata: metadataOf(trailers) });
    });
  };

const metadataOf = (named: Readonly<Record<string, string>>): Metadata => {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(named)) metadata.set(name, value);
  return metadata;
};

const credentialsOf = (tls: GrpcServerTls | undefined): ServerCredentials =>
  tls === undefined
    ? ServerCredentials.createInsecure()
    : ServerCredentials.createSsl(
        Buffer.from(tls.ca),
        [{ cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) }],
        tls.asksCertificate ?? false,
      );
