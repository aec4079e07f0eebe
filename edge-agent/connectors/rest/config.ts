import { ConnectorName } from "@reflex/protocol/command";
import Type from "typebox";

const Path = Type.String({ minLength: 1, maxLength: 4_096 });
const Name = "^[a-z][a-z0-9_]{0,63}$";

/** One product spoken to by a manifest: `edge-agent/connectors/rest/MANIFEST.md`. */
export const RestConfig = Type.Object(
  {
    kind: Type.Literal("rest"),
    name: ConnectorName,
    /** Name of a pack, or path of a `.yaml` file. */
    manifest: Type.String({ minLength: 1, maxLength: 4_096 }),
    base_url: Type.String({ maxLength: 512 }),
    settings: Type.Optional(
      Type.Record(
        Type.String({ pattern: Name }),
        Type.Union([Type.String({ maxLength: 1_024 }), Type.Number(), Type.Boolean()]),
      ),
    ),
    /** `env:NAME`, `file:/path` or `credential:NAME`; never the secret itself. */
    secrets: Type.Optional(
      Type.Record(
        Type.String({ pattern: Name }),
        Type.String({ pattern: "^(env|file|credential):.+$", maxLength: 4_096 }),
      ),
    ),
    /** Private authorities, trusted besides the public ones. */
    ca_file: Type.Optional(Path),
    client_cert_file: Type.Optional(Path),
    client_key_file: Type.Optional(Path),
  },
  { additionalProperties: false },
);
