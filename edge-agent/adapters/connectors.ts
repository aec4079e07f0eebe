import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { getCACertificates } from "node:tls";
import { fileURLToPath } from "node:url";
import { err, type Result } from "@reflex/protocol/result";
import type { ConnectorConfig } from "../config.ts";
import type { Connector } from "../connectors/contract.ts";
import { createEdl } from "../connectors/edl.ts";
import type { OpenGrpc } from "../connectors/grpc/grpc-calls.ts";
import { openLdap } from "../connectors/ldap/config.ts";
import { createNftables } from "../connectors/nftables.ts";
import { openSyslog } from "../connectors/syslog/config.ts";
import { openWebhook } from "../connectors/webhook/config.ts";
import type { Clock } from "../ports.ts";
import { nodeTimers } from "./node-timers.ts";
import { createHttpCalls } from "./outbound-http.ts";
import { createSecrets } from "./secrets.ts";

export type OpenedConnector = {
  readonly connector: Connector;
  /** Where pollers find it, once started; nothing for connectors that are not polled. */
  readonly addresses: () => readonly string[];
};

const textIn = (path: string): string => readFileSync(path, "utf8");

/** What a kind needs is loaded with the first connector of that kind: an agent starts in the time of what it uses. */
export const createConnector = async (
  config: ConnectorConfig,
  deps: { readonly dataDir: string; readonly clock: Clock },
): Promise<OpenedConnector> => {
  switch (config.kind) {
    case "edl": {
      const { cert_file: cert, key_file: key, token_file: token } = config;
      const connector = createEdl({
        name: config.name,
        folder: join(deps.dataDir, "connectors", config.name),
        clock: deps.clock,
        server: {
          host: config.host ?? "127.0.0.1",
          port: config.port,
          ...(cert === undefined || key === undefined ? {} : { tls: { certificate: textIn(cert), key: textIn(key) } }),
          ...(token === undefined ? {} : pollerCredentials(textIn(token).trim())),
        },
      });
      return {
        connector,
        addresses: () => {
          const urls = connector.urls();
          return urls === undefined ? [] : [urls.addresses, urls.domains];
        },
      };
    }
    case "nftables": {
      const { table, netns } = config;
      const connector = createNftables({
        name: config.name,
        ...(table === undefined ? {} : { table }),
        ...(netns === undefined ? {} : { netns }),
      });
      return { connector, addresses: () => [] };
    }
    case "ldap":
      return unpolled(config.name, openLdap(config, { secrets: createSecrets(process.env), readText: textIn }));
    case "syslog":
      return unpolled(config.name, openSyslog(config, { clock: deps.clock, hostname: hostname(), readText: textIn }));
    case "webhook": {
      const secrets = createSecrets(process.env);
      const { clock } = deps;
      const opened = openWebhook(config, { secrets, clock, readText: textIn, httpCalls: createHttpCalls });
      return unpolled(config.name, opened);
    }
    case "grpc": {
      const { openGrpc } = await import("../connectors/grpc/open.ts");
      const opened = openGrpc(config, {
        secrets: createSecrets(process.env),
        clock: deps.clock,
        readText: textIn,
        packFile,
        openGrpc: openGrpcWhenCalled,
        publicAuthorities: () => getCACertificates("default"),
      });
      return unpolled(config.name, opened);
    }
    case "openc2": {
      const { openOpenC2 } = await import("../connectors/openc2/open.ts");
      const opened = openOpenC2(config, {
        secrets: createSecrets(process.env),
        clock: deps.clock,
        timers: nodeTimers,
        readText: textIn,
        httpCalls: createHttpCalls,
        publicAuthorities: () => getCACertificates("default"),
      });
      return unpolled(config.name, opened);
    }
    case "rest": {
      const { openRest } = await import("../connectors/rest/open.ts");
      const opened = openRest(config, {
        secrets: createSecrets(process.env),
        clock: deps.clock,
        readText: textIn,
        packFile,
        httpCalls: createHttpCalls,
      });
      return unpolled(config.name, opened);
    }
  }
};

const packFile = (name: string): string => join(dirname(fileURLToPath(import.meta.url)), "..", "packs", `${name}.yaml`);

/** The library costs 60 ms and 14 MB, which only an agent that makes calls with it should pay. */
const openGrpcWhenCalled: OpenGrpc = (target) => {
  const opened = import("./outbound-grpc.ts").then(({ createGrpcCalls }) => createGrpcCalls(target));
  return {
    call: async (asked) => {
      const calls = await opened.catch(() => undefined);
      // A certificate or key that is none: nothing can have been sent with it.
      return calls?.call(asked) ?? err({ kind: "unsent", detail: "the certificate, key or authority cannot be used" });
    },
    close: () => void opened.then((calls) => calls.close()).catch(() => undefined),
  };
};

const unpolled = (name: string, opened: Result<Connector, string>): OpenedConnector => {
  if (!opened.ok) throw new Error(`connector ${name}: ${opened.error}`);
  return { connector: opened.value, addresses: () => [] };
};

/** `user:password` for pollers that know only basic authentication, anything else is a bearer token. */
const pollerCredentials = (secret: string): { bearerToken: string } | { basic: { user: string; password: string } } => {
  const colon = secret.indexOf(":");
  if (colon < 0) return { bearerToken: secret };
  return { basic: { user: secret.slice(0, colon), password: secret.slice(colon + 1) } };
};
