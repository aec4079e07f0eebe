import { ConnectorName } from "@reflex/protocol/command";
import Type, { type Static } from "typebox";
import type { Profiles } from "./command-of.ts";

const Path = Type.String({ minLength: 1, maxLength: 4_096 });
const SecretRef = Type.String({ pattern: "^(env|file|credential):.{1,4096}$" });
/** One level of a topic, and a name that stays readable in a firewall's log. */
const Party = Type.String({ pattern: "^[A-Za-z0-9_-]{1,64}$" });
const Name = Type.String({ minLength: 1, maxLength: 253 });

export const OpenC2Config = Type.Object(
  {
    kind: Type.Literal("openc2"),
    name: ConnectorName,
    /** `https://consumer.example:8443`, or the broker of a consumer: `mqtts://broker.example:8883`. */
    url: Type.String({ maxLength: 512, pattern: "^(https?|mqtts?|wss?)://" }),
    /** Who we say we are; unique among the producers of a consumer, and never changed: our rule numbers come from it. */
    producer: Party,
    /** Device id of the consumer behind the broker. */
    consumer: Type.Optional(Party),
    /** Over HTTPS, besides or instead of a client certificate. */
    bearer: Type.Optional(SecretRef),
    /** At the broker. */
    username: Type.Optional(Type.String({ maxLength: 128 })),
    password: Type.Optional(SecretRef),
    /** Trusted besides the public authorities. */
    ca_file: Type.Optional(Path),
    cert_file: Type.Optional(Path),
    key_file: Type.Optional(Path),
    packet_filter: Type.Optional(
      Type.Object(
        {
          /** `slpf` is the forerunner of `pf` and knows no domain names. */
          profile: Type.Enum(["pf", "slpf"]),
          drop_process: Type.Optional(Type.Enum(["none", "reject", "false_ack"])),
          direction: Type.Optional(Type.Enum(["both", "ingress", "egress"])),
          /** The consumer ends each rule by itself as well (`duration`). */
          native_ttl: Type.Optional(Type.Boolean()),
          /** Numbers that nobody else gives to rules; narrower ranges for consumers that count in 32 bits. */
          rule_numbers: Type.Optional(
            Type.Object(
              {
                from: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
                to: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
              },
              { additionalProperties: false },
            ),
          ),
          /** Which of several packet filters behind the consumer. */
          specifiers: Type.Optional(
            Type.Record(
              Type.Enum(["hostname", "named_group", "asset_id"]),
              Type.String({ minLength: 1, maxLength: 253 }),
            ),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    endpoint: Type.Optional(
      Type.Object(
        {
          containment: Type.Optional(Type.Enum(["network_isolation", "disable_nic"])),
          /** What a host that is cut off may still reach. */
          permitted: Type.Optional(
            Type.Object(
              {
                domain_name: Type.Optional(Type.Array(Name, { maxItems: 64 })),
                ipv4_net: Type.Optional(Type.Array(Name, { maxItems: 64 })),
                ipv6_net: Type.Optional(Type.Array(Name, { maxItems: 64 })),
              },
              { additionalProperties: false, minProperties: 1 },
            ),
          ),
          /** Where files are quarantined; without it none are. */
          device_groups: Type.Optional(Type.Array(Name, { minItems: 1, maxItems: 64 })),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);
export type OpenC2Config = Static<typeof OpenC2Config>;

export const profilesOf = ({ packet_filter: filter, endpoint }: OpenC2Config): Profiles => ({
  ...(filter === undefined
    ? {}
    : {
        filter: {
          profile: filter.profile,
          ...(filter.drop_process === undefined ? {} : { dropProcess: filter.drop_process }),
          ...(filter.direction === undefined ? {} : { direction: filter.direction }),
          ...(filter.native_ttl === undefined ? {} : { nativeTtl: filter.native_ttl }),
          ...(filter.rule_numbers === undefined ? {} : { ruleNumbers: filter.rule_numbers }),
          ...(filter.specifiers === undefined ? {} : { specifiers: filter.specifiers }),
        },
      }),
  ...(endpoint === undefined
    ? {}
    : {
        endpoint: {
          ...(endpoint.containment === undefined ? {} : { containment: endpoint.containment }),
          ...(endpoint.permitted === undefined ? {} : { permitted: endpoint.permitted }),
          ...(endpoint.device_groups === undefined ? {} : { deviceGroups: endpoint.device_groups }),
        },
      }),
});
