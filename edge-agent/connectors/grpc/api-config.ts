import { readYaml } from "@reflex/policies/language/read-yaml";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { GrpcTarget } from "./grpc-calls.ts";

/** Velociraptor's servers all have this name in their certificate (pyvelociraptor, client_example.py). */
const velociraptorName = "VelociraptorServer";

/**
 * The file that `velociraptor config api_client` writes: address, authority, certificate and key in one. It is a secret, for the
 * key in it; what is wrong with it is said without repeating any of it.
 */
export const readApiConfig = (text: string): Result<GrpcTarget, string> => {
  const read = readYaml("api config", text);
  if (!read.ok || read.value?.kind !== "map") return err("is not the YAML that velociraptor config api_client writes");
  const fields = new Map(
    read.value.entries.flatMap(({ key, value }) => (value.kind === "scalar" ? [[key, value.text] as const] : [])),
  );
  const ca = fields.get("ca_certificate");
  const cert = fields.get("client_cert");
  const key = fields.get("client_private_key");
  const address = fields.get("api_connection_string") ?? "";
  const [, host, port] = /^\[?([A-Za-z0-9.:_-]{1,253}?)\]?:(\d{1,5})$/.exec(address) ?? [];
  if (ca === undefined || cert === undefined || key === undefined)
    return err("lacks ca_certificate, client_cert or client_private_key");
  if (host === undefined || port === undefined) return err("has no api_connection_string of the form host:port");
  return ok({
    host,
    port: Number(port),
    ca,
    cert,
    key,
    serverName: fields.get("pinned_server_name") ?? velociraptorName,
  });
};
