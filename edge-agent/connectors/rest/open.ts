import { formatPolicyError } from "@reflex/policies/language/policy-error";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Static } from "typebox";
import type { Clock } from "../../ports.ts";
import type { Connector } from "../contract.ts";
import type { HttpCalls } from "../http-call.ts";
import type { Secrets } from "../secrets-port.ts";
import type { RestConfig } from "./config.ts";
import { parseManifest } from "./parse-manifest.ts";
import { createRest } from "./rest.ts";

export type RestConnectorConfig = Static<typeof RestConfig>;

type OpenDeps = {
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly readText: (path: string) => string;
  /** Path of the file of a pack that ships with the agent. */
  readonly packFile: (name: string) => string;
  readonly httpCalls: (tls: { readonly ca?: string; readonly cert?: string; readonly key?: string }) => HttpCalls;
};

const packName = /^[a-z][a-z0-9-]{0,62}$/;

/** The connector of one entry of the configuration; the error says what to correct, with file, line and column of the manifest. */
export const openRest = (config: RestConnectorConfig, deps: OpenDeps): Result<Connector, string> => {
  const { manifest: named, ca_file: ca, client_cert_file: cert, client_key_file: key } = config;
  if (!named.endsWith(".yaml") && !packName.test(named))
    return err(`${named} is not the name of a pack; a path ends with .yaml`);
  if ((cert === undefined) !== (key === undefined)) return err("client_cert_file and client_key_file belong together");
  const file = named.endsWith(".yaml") ? named : deps.packFile(named);
  const text = readOne(deps, file);
  if (!text.ok) return text;
  const parsed = parseManifest(file, text.value);
  if (!parsed.ok) return err(parsed.error.map(formatPolicyError).join("\n"));
  const calls = deps.httpCalls({
    ...(ca === undefined ? {} : { ca: deps.readText(ca) }),
    ...(cert === undefined || key === undefined ? {} : { cert: deps.readText(cert), key: deps.readText(key) }),
  });
  const made = createRest(
    {
      name: config.name,
      manifest: parsed.value,
      site: {
        baseUrl: config.base_url,
        settings: config.settings ?? {},
        secrets: config.secrets ?? {},
        hasClientCertificate: cert !== undefined,
      },
    },
    { calls, secrets: deps.secrets, clock: deps.clock },
  );
  return made.ok ? made : err(made.error.detail);
};

const readOne = ({ readText }: OpenDeps, file: string): Result<string, string> => {
  try {
    return ok(readText(file));
  } catch {
    return err(`the manifest ${file} cannot be read; packs are in edge-agent/packs`);
  }
};
