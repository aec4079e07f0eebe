import { readFileSync } from "node:fs";
import { ConnectorName } from "@reflex/protocol/command";
import { segmentPattern } from "@reflex/protocol/ids";
import { err, ok, type Result } from "@reflex/protocol/result";
import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";
import { formats } from "./admit/normalise/recognise.ts";
import { faultInEntries } from "./config-fault.ts";
import { GrpcConfig } from "./connectors/grpc/config.ts";
import { LdapConfig } from "./connectors/ldap/config.ts";
import { OpenC2Config } from "./connectors/openc2/config.ts";
import { RestConfig } from "./connectors/rest/config.ts";
import { SyslogConfig } from "./connectors/syslog/config.ts";
import { WebhookConfig } from "./connectors/webhook/config.ts";

const Segment = Type.String({ pattern: segmentPattern });
const Path = Type.String({ minLength: 1, maxLength: 4_096 });
const Port = Type.Integer({ minimum: 0, maximum: 65_535 });
const Format = Type.Optional(Type.Enum(formats));

const SourceConfig = Type.Union([
  Type.Object(
    {
      kind: Type.Literal("webhook"),
      host: Type.Optional(Type.String()),
      port: Port,
      /** File with the bearer token callers must send; needed unless bound to loopback. */
      token_file: Type.Optional(Path),
      /** File with the HMAC-SHA256 key for `x-reflex-signature`. */
      hmac_file: Type.Optional(Path),
      cert_file: Type.Optional(Path),
      key_file: Type.Optional(Path),
      format: Format,
    },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      kind: Type.Literal("mqtt"),
      url: Type.String({ maxLength: 512 }),
      topics: Type.Array(Type.String({ maxLength: 256 }), { minItems: 1, maxItems: 32 }),
      client_id: Type.Optional(Type.String({ maxLength: 64 })),
      username: Type.Optional(Type.String({ maxLength: 128 })),
      password_file: Type.Optional(Path),
      ca_file: Type.Optional(Path),
      format: Format,
    },
    { additionalProperties: false },
  ),
  /** Recordings played on their own time; `-` is stdin. The agent's clock is then the feed's. */
  Type.Object(
    { kind: Type.Literal("feed"), paths: Type.Array(Path, { minItems: 1, maxItems: 64 }), format: Format },
    { additionalProperties: false },
  ),
  /** Newline-delimited JSON from stdin, live. */
  Type.Object({ kind: Type.Literal("stdin"), format: Format }, { additionalProperties: false }),
]);
export type SourceConfig = Static<typeof SourceConfig>;

const ConnectorConfig = Type.Union([
  Type.Object(
    {
      kind: Type.Literal("edl"),
      name: ConnectorName,
      host: Type.Optional(Type.String()),
      port: Port,
      cert_file: Type.Optional(Path),
      key_file: Type.Optional(Path),
      /** File with `user:password` or a bearer token pollers must send. */
      token_file: Type.Optional(Path),
    },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      kind: Type.Literal("nftables"),
      name: ConnectorName,
      table: Type.Optional(Type.String({ pattern: "^[a-z][a-z0-9_]{0,31}$" })),
      netns: Type.Optional(Type.String({ pattern: "^[a-zA-Z0-9_-]{1,64}$" })),
    },
    { additionalProperties: false },
  ),
  GrpcConfig,
  LdapConfig,
  OpenC2Config,
  RestConfig,
  SyslogConfig,
  WebhookConfig,
]);
export type ConnectorConfig = Static<typeof ConnectorConfig>;

export const AgentConfig = Type.Object(
  {
    data_dir: Path,
    org: Segment,
    site: Segment,
    agent: Segment,
    controller: Type.Object(
      {
        url: Type.String({ maxLength: 512 }),
        broker_url: Type.String({ maxLength: 512 }),
        ca_file: Path,
        join_token_file: Type.Optional(Path),
      },
      { additionalProperties: false },
    ),
    sources: Type.Array(SourceConfig, { maxItems: 32 }),
    connectors: Type.Array(ConnectorConfig, { maxItems: 64 }),
    /** Networks that are ours, to tell attacker from victim where the source does not say. */
    home_nets: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 256 })),
    log_file: Type.Optional(Path),
  },
  { additionalProperties: false },
);
export type AgentConfig = Static<typeof AgentConfig>;

const checker = Compile(AgentConfig);

/** Reads the configuration; the error names the field and what is wrong with it. */
export const readConfig = (path: string): Result<AgentConfig, string> => {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    return err(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (checker.Check(value)) return ok(value);
  const { sources, connectors } = (value ?? {}) as { readonly sources?: unknown; readonly connectors?: unknown };
  const fault =
    faultInEntries("sources", sources, SourceConfig) ?? faultInEntries("connectors", connectors, ConnectorConfig);
  if (fault !== undefined) return err(`${path}: ${fault}`);
  const [first] = checker.Errors(value);
  return err(
    `${path}: ${first?.instancePath === "" ? "the configuration" : first?.instancePath} ${first?.message ?? "is not valid"}`,
  );
};
