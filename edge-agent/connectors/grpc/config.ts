import { ConnectorName } from "@reflex/protocol/command";
import Type, { type Static } from "typebox";

const Path = Type.String({ minLength: 1, maxLength: 4_096 });
const SecretRef = Type.String({ pattern: "^(env|file|credential):.{1,4096}$" });
const Name = "^[a-z][a-z0-9_]{0,63}$";

/** One product spoken to over gRPC by a manifest with `grpc:`; edge-agent/connectors/rest/MANIFEST.md. */
export const GrpcConfig = Type.Object(
  {
    kind: Type.Literal("grpc"),
    name: ConnectorName,
    /** Name of a pack, or path of a `.yaml` file. */
    manifest: Type.String({ minLength: 1, maxLength: 4_096 }),
    /** `https://host:port`; `http://` is gRPC without TLS, on loopback only. */
    base_url: Type.Optional(Type.String({ maxLength: 512 })),
    /** In place of `base_url` and the files below: what `velociraptor config api_client` wrote. It holds a key, so it is a secret. */
    api_config: Type.Optional(SecretRef),
    /** Name in the product's certificate where it is not its address. */
    server_name: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9._-]{1,253}$" })),
    settings: Type.Optional(
      Type.Record(
        Type.String({ pattern: Name }),
        Type.Union([Type.String({ maxLength: 1_024 }), Type.Number(), Type.Boolean()]),
      ),
    ),
    secrets: Type.Optional(Type.Record(Type.String({ pattern: Name }), SecretRef)),
    /** Trusted besides the public authorities. */
    ca_file: Type.Optional(Path),
    client_cert_file: Type.Optional(Path),
    client_key_file: Type.Optional(Path),
  },
  { additionalProperties: false },
);
export type GrpcConfig = Static<typeof GrpcConfig>;
