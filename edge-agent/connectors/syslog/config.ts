import { ConnectorName } from "@reflex/protocol/command";
import { err, ok, type Result } from "@reflex/protocol/result";
import Type, { type Static } from "typebox";
import type { Clock } from "../../ports.ts";
import type { Connector } from "../contract.ts";
import { isLoopback } from "../loopback.ts";
import { createSyslog, type SyslogOptions } from "./syslog.ts";

const Path = Type.String({ minLength: 1, maxLength: 4_096 });

export const SyslogConfig = Type.Object(
  {
    kind: Type.Literal("syslog"),
    name: ConnectorName,
    host: Type.String({ minLength: 1, maxLength: 255 }),
    /** 6514 if left out (RFC 5425). */
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
    /** True if left out; false only on loopback. */
    tls: Type.Optional(Type.Boolean()),
    /** PEM, trusted besides the public authorities. */
    ca_file: Type.Optional(Path),
    cert_file: Type.Optional(Path),
    key_file: Type.Optional(Path),
    format: Type.Optional(Type.Enum(["cef", "rfc5424"])),
    /** RFC 5424 6.2.1; 16 (local0) if left out. */
    facility: Type.Optional(Type.Integer({ minimum: 0, maximum: 23 })),
    /** Your IANA private enterprise number, for the id of structured data. */
    enterprise: Type.Optional(Type.Integer({ minimum: 1, maximum: 4_294_967_295 })),
    call_ms: Type.Optional(Type.Integer({ minimum: 100, maximum: 4_900 })),
  },
  { additionalProperties: false },
);
export type SyslogConfig = Static<typeof SyslogConfig>;

/** Leaves the executor, which waits 5 s for a call, time to hear the answer. */
const callMsDefault = 4_000;
const syslogTlsPort = 6_514;
/** RFC 5612: the number for documentation. */
const exampleEnterprise = 32_473;

export type SyslogDeps = {
  readonly clock: Clock;
  readonly hostname: string;
  readonly readText: (path: string) => string;
};

/** The error names the field and what to write. */
export const openSyslog = (config: SyslogConfig, deps: SyslogDeps): Result<Connector, string> => {
  const options = syslogOptionsOf(config, deps);
  return options.ok ? ok(createSyslog(options.value)) : options;
};

export const syslogOptionsOf = (config: SyslogConfig, deps: SyslogDeps): Result<SyslogOptions, string> => {
  const { host, ca_file, cert_file, key_file } = config;
  const isTls = config.tls ?? true;
  if (!isTls && !isLoopback(host)) return err("tls: false is for loopback alone; others could read and forge messages");
  if ((cert_file === undefined) !== (key_file === undefined)) return err("cert_file and key_file belong together");
  const tls = {
    ...(ca_file === undefined ? {} : { ca: deps.readText(ca_file) }),
    ...(cert_file === undefined || key_file === undefined
      ? {}
      : { cert: deps.readText(cert_file), key: deps.readText(key_file) }),
  };
  return ok({
    name: config.name,
    place: { host, port: config.port ?? syslogTlsPort },
    ...(isTls ? { tls } : {}),
    notice: {
      format: config.format ?? "cef",
      facility: config.facility ?? 16,
      hostname: deps.hostname,
      enterprise: config.enterprise ?? exampleEnterprise,
    },
    callMs: config.call_ms ?? callMsDefault,
    clock: deps.clock,
  });
};
