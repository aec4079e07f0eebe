import { formatPolicyError } from "@reflex/policies/language/policy-error";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Clock } from "../../ports.ts";
import type { Connector } from "../contract.ts";
import { isLoopback } from "../loopback.ts";
import { createCredentials } from "../rest/credentials.ts";
import type { Manifest } from "../rest/manifest.ts";
import { parseManifest } from "../rest/parse-manifest.ts";
import { createManifestConnector } from "../rest/rest.ts";
import { checkSite } from "../rest/site-settings.ts";
import type { Secrets } from "../secrets-port.ts";
import { readApiConfig } from "./api-config.ts";
import type { GrpcConfig } from "./config.ts";
import { createGrpcAsk } from "./grpc-ask.ts";
import type { GrpcCalls, GrpcTarget, OpenGrpc } from "./grpc-calls.ts";
import { readProtos } from "./proto-set.ts";

export type GrpcDeps = {
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly readText: (path: string) => string;
  /** Path of the file of a pack that ships with the agent. */
  readonly packFile: (name: string) => string;
  readonly openGrpc: OpenGrpc;
  /** The public authorities, which gRPC leaves out as soon as it is given one of its own. */
  readonly publicAuthorities: () => readonly string[];
};

const packName = /^[a-z][a-z0-9-]{0,62}$/;

/** The connector of one entry of the configuration; the error says what to correct, with file, line and column of the manifest. */
export const openGrpc = (config: GrpcConfig, deps: GrpcDeps): Result<Connector, string> => {
  const manifest = readManifest(config.manifest, deps);
  if (!manifest.ok) return manifest;
  if (manifest.value.grpc === undefined)
    return err(`${manifest.value.name} does not speak gRPC; configure it as kind "rest"`);
  const protos = readProtos([manifest.value.grpc.proto]);
  if (!protos.ok) return err(protos.error.detail);
  const target = targetOf(config, deps);
  if (!target.ok) return target;
  const site = checkSite(manifest.value, {
    baseUrl: urlOf(target.value),
    settings: config.settings ?? {},
    secrets: config.secrets ?? {},
    hasClientCertificate: target.value.cert !== undefined,
  });
  if (!site.ok) return err(site.error.detail);
  const { settings, baseUrl } = site.value;
  const credentials = createCredentials(config.secrets ?? {}, deps.secrets, settings);
  const calls = reopening(() => {
    const now = targetOf(config, deps);
    return deps.openGrpc(now.ok ? now.value : target.value);
  });
  return ok(
    createManifestConnector({
      name: config.name,
      manifest: manifest.value,
      settings,
      clock: deps.clock,
      ...createGrpcAsk({
        manifest: manifest.value,
        baseUrl,
        credentials,
        calls,
        protos: protos.value,
        clock: deps.clock,
      }),
      isRevealedBy: credentials.isRevealedBy,
      start: async () => {
        const readable = credentials.bindings();
        return readable.ok ? ok(undefined) : readable;
      },
      stop: async () => calls.close(),
    }),
  );
};

/** Opened when first needed and again after a stop, with whatever certificate the files hold then. */
const reopening = (open: () => GrpcCalls): GrpcCalls => {
  let current: GrpcCalls | undefined;
  return {
    call: (asked) => {
      current ??= open();
      return current.call(asked);
    },
    close: () => {
      current?.close();
      current = undefined;
    },
  };
};

const readManifest = (named: string, { packFile, readText }: GrpcDeps): Result<Manifest, string> => {
  if (!named.endsWith(".yaml") && !packName.test(named))
    return err(`${named} is not the name of a pack; a path ends with .yaml`);
  const file = named.endsWith(".yaml") ? named : packFile(named);
  let text: string;
  try {
    text = readText(file);
  } catch {
    return err(`the manifest ${file} cannot be read; packs are in edge-agent/packs`);
  }
  const parsed = parseManifest(file, text);
  return parsed.ok ? parsed : err(parsed.error.map(formatPolicyError).join("\n"));
};

const targetOf = (config: GrpcConfig, deps: GrpcDeps): Result<GrpcTarget, string> => {
  const { api_config: ref, base_url: url, server_name: serverName } = config;
  const named = serverName === undefined ? {} : { serverName };
  if ((ref === undefined) === (url === undefined)) return err("give base_url or api_config, and not both");
  if (ref === undefined) {
    const target = targetAt(url ?? "", config, deps);
    return target.ok ? ok({ ...target.value, ...named }) : target;
  }
  const secret = deps.secrets.read(ref);
  if (!secret.ok) return err(secret.error.detail);
  const read = readApiConfig(secret.value.reveal());
  return read.ok ? ok({ ...read.value, ...named }) : err(`api_config: ${ref} ${read.error}`);
};

const targetAt = (text: string, config: GrpcConfig, deps: GrpcDeps): Result<GrpcTarget, string> => {
  const url = URL.parse(text);
  const isPlain = url?.protocol === "http:";
  if (url === null || !["https:", "http:"].includes(url.protocol)) return err("base_url is not https://host:port");
  if (isPlain && !isLoopback(url.hostname)) return err("base_url: http only on loopback");
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "" || url.username !== "" || url.password !== "")
    return err("base_url is an origin: https://host:port");
  const { ca_file: ca, client_cert_file: cert, client_key_file: key } = config;
  if ((cert === undefined) !== (key === undefined)) return err("client_cert_file and client_key_file belong together");
  return ok({
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: Number(url.port || (isPlain ? 80 : 443)),
    ...(isPlain ? { isPlain } : {}),
    ...(ca === undefined ? {} : { ca: [...deps.publicAuthorities(), deps.readText(ca)].join("\n") }),
    ...(cert === undefined || key === undefined ? {} : { cert: deps.readText(cert), key: deps.readText(key) }),
  });
};

const urlOf = ({ host, port, isPlain = false }: GrpcTarget): string =>
  `${isPlain ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
