import type { Connector, ConnectorCall } from "@reflex/edge-agent/connectors/contract";
import { type LdapConfig, ldapOptionsOf } from "@reflex/edge-agent/connectors/ldap/config";
import { createLdap } from "@reflex/edge-agent/connectors/ldap/ldap";
import { secretOf } from "@reflex/edge-agent/connectors/secrets-port";
import type { ActionName } from "@reflex/protocol/action";
import { ok } from "@reflex/protocol/result";
import { Attribute, Change } from "ldapts";
import type { Slapd } from "./servers/slapd.ts";
import { type DirectoryStyle, people } from "./servers/slapd-entries.ts";

let serial = 0;
export const callFor = (action: ActionName, user: string): ConnectorCall => {
  serial += 1;
  const id = serial.toString(16).padStart(64, "0");
  const target = { type: "user", value: user } as const;
  return { commandId: id, idempotencyKey: id, decisionId: id, action, target, ttlSeconds: 600, reason: "lab" };
};

export const prepared = async (connector: Connector, action: ActionName, user: string): Promise<ConnectorCall> => {
  const call = callFor(action, user);
  const resolved = await connector.resolve?.(call);
  if (resolved?.ok !== true) throw new Error(resolved?.error.detail ?? "it cannot resolve");
  const found = { ...call, resolved: resolved.value };
  const captured = await connector.captureUndo(found);
  if (!captured.ok) throw new Error(captured.error.detail);
  return { ...found, undoData: captured.value };
};

export const replace = (type: string, values: string[]): Change =>
  new Change({ operation: "replace", modification: new Attribute({ type, values }) });

export const connectorTo = (slapd: Slapd, style: DirectoryStyle, more: Partial<LdapConfig> = {}): Connector => {
  const passwords = new Map([
    ["env:SERVICE", slapd.service.password],
    ["env:WRONG", "not-the-password"],
    ["env:USER", people.password],
  ]);
  const config: LdapConfig = {
    kind: "ldap",
    name: "directory",
    style,
    url: slapd.urls.ldaps,
    ca_file: "ca.pem",
    bind_dn: slapd.service.dn,
    bind_password: "env:SERVICE",
    base: slapd.base,
    domains: ["CORP", "corp.example"],
    ...more,
  };
  const secrets = { read: (ref: string) => ok(secretOf(passwords.get(ref) ?? "")) };
  const options = ldapOptionsOf(config, { secrets, readText: () => slapd.ca });
  if (!options.ok) throw new Error(options.error);
  return createLdap(options.value);
};
