import { ConnectorName } from "@reflex/protocol/command";
import { err, ok, type Result } from "@reflex/protocol/result";
import Type, { type Static } from "typebox";
import type { Connector } from "../contract.ts";
import type { Secrets } from "../secrets-port.ts";
import { directoryStyles, styleLocks, valueLock } from "./account-lock.ts";
import { createLdap, type LdapOptions } from "./ldap.ts";
import { checkTransport } from "./transport.ts";

const Path = Type.String({ minLength: 1, maxLength: 4_096 });
const Name = Type.String({ minLength: 1, maxLength: 512 });
/** RFC 4512 1.4: a name or an object identifier. */
const AttributeName = Type.String({ pattern: "^(?:[A-Za-z][A-Za-z0-9-]{0,127}|[0-9]+(?:\\.[0-9]+)+)$" });

const Lock = Type.Object(
  { attribute: AttributeName, value: Type.String({ minLength: 1, maxLength: 256 }) },
  { additionalProperties: false },
);

export const LdapConfig = Type.Object(
  {
    kind: Type.Literal("ldap"),
    name: ConnectorName,
    style: Type.Enum(directoryStyles),
    /** `ldaps://dc1.corp.example`, or `ldap://` with `start_tls`; plain only on loopback. One server, not a name for several. */
    url: Type.String({ maxLength: 512 }),
    start_tls: Type.Optional(Type.Boolean()),
    /** PEM, trusted besides the public authorities. */
    ca_file: Type.Optional(Path),
    /** PEM; without `bind_dn` the certificate itself says who we are (SASL EXTERNAL). */
    cert_file: Type.Optional(Path),
    key_file: Type.Optional(Path),
    bind_dn: Type.Optional(Name),
    /** `env:NAME`, `file:/path` or `credential:NAME`. */
    bind_password: Type.Optional(Type.String({ minLength: 1, maxLength: 4_096 })),
    /** The whole tree: an account is found again in it after it was moved. */
    base: Name,
    user_base: Type.Optional(Name),
    group_base: Type.Optional(Name),
    /** Attributes that hold a login name; `sAMAccountName` or `uid` if left out. */
    name_attributes: Type.Optional(Type.Array(AttributeName, { minItems: 1, maxItems: 8 })),
    /** What this directory is called in `CORP\alice` and `alice@corp.example`. */
    domains: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { maxItems: 32 })),
    /** The attribute that closes an account, and the value that means closed, instead of the one of the style. */
    locks: Type.Optional(
      Type.Object(
        { disable_user: Type.Optional(Lock), suspend_account: Type.Optional(Lock) },
        { additionalProperties: false },
      ),
    ),
    /** From the start of one call to its end; below the executor's own limit. */
    call_ms: Type.Optional(Type.Integer({ minimum: 100, maximum: 4_900 })),
  },
  { additionalProperties: false },
);
export type LdapConfig = Static<typeof LdapConfig>;

/** Leaves the executor, which waits 5 s for a call, time to hear the answer. */
const callMsDefault = 4_000;

export type LdapDeps = { readonly secrets: Secrets; readonly readText: (path: string) => string };

/** The error names the field and what to write. */
export const openLdap = (config: LdapConfig, deps: LdapDeps): Result<Connector, string> => {
  const options = ldapOptionsOf(config, deps);
  return options.ok ? ok(createLdap(options.value)) : options;
};

export const ldapOptionsOf = (config: LdapConfig, deps: LdapDeps): Result<LdapOptions, string> => {
  const startTls = config.start_tls ?? false;
  const wrong = checkTransport({ url: config.url, startTls });
  if (wrong !== undefined) return err(wrong);
  const bind = bindOf(config);
  if (!bind.ok) return bind;
  const locks = locksOf(config);
  if (!locks.ok) return locks;
  const { ca_file, cert_file, key_file } = config;
  if ((cert_file === undefined) !== (key_file === undefined)) return err("cert_file and key_file belong together");
  return ok({
    name: config.name,
    style: config.style,
    base: config.base,
    userBase: config.user_base ?? config.base,
    groupBase: config.group_base ?? config.base,
    nameAttributes: config.name_attributes ?? [config.style === "active-directory" ? "sAMAccountName" : "uid"],
    domains: config.domains ?? [],
    locks: locks.value,
    link: {
      transport: {
        url: config.url,
        startTls,
        ...(ca_file === undefined ? {} : { ca: deps.readText(ca_file) }),
        ...(cert_file === undefined || key_file === undefined
          ? {}
          : { cert: deps.readText(cert_file), key: deps.readText(key_file) }),
      },
      bind: bind.value,
      callMs: config.call_ms ?? callMsDefault,
      secrets: deps.secrets,
    },
  });
};

const bindOf = (config: LdapConfig): Result<LdapOptions["link"]["bind"], string> => {
  const { bind_dn, bind_password, cert_file } = config;
  if (bind_dn !== undefined && bind_password !== undefined) return ok({ dn: bind_dn, passwordRef: bind_password });
  if (bind_dn !== undefined || bind_password !== undefined) return err("bind_dn and bind_password belong together");
  return cert_file === undefined
    ? err("give bind_dn and bind_password, or cert_file and key_file")
    : ok({ external: true });
};

const locksOf = ({ style, locks = {} }: LdapConfig): Result<LdapOptions["locks"], string> => {
  const own = Object.entries(locks).map(([action, { attribute, value }]) => [action, valueLock(attribute, value)]);
  const all: LdapOptions["locks"] = { ...styleLocks[style], ...Object.fromEntries(own) };
  const attributes = Object.values(all).map(({ attribute }) => attribute.toLowerCase());
  if (new Set(attributes).size < attributes.length) {
    return err(
      "locks: two actions may not use one attribute, or ending one would free the account that the other holds",
    );
  }
  return ok(all);
};
