import { existsSync } from "node:fs";
import { type DirectoryStyle, people, servicePassword } from "./slapd-entries.ts";

/** slapd.conf(5) for a directory that keeps its data in the folder and logs each write that took effect. */
export const configOf = (style: DirectoryStyle, folder: string): string =>
  [
    ...["core", "cosine", "nis", "inetorgperson"].map((name) => `include ${schemaFolder()}/${name}.schema`),
    ...(style === "active-directory" ? activeDirectorySchema : accountLockSchema),
    `pidfile ${folder}/slapd.pid`,
    ...moduleFolders.filter((path) => existsSync(path)).map((path) => `modulepath ${path}`),
    ...["back_mdb", "accesslog", "memberof", "ppolicy"].map((name) => `moduleload ${name}`),
    `TLSCertificateFile ${folder}/server.pem`,
    `TLSCertificateKeyFile ${folder}/server.key`,
    `TLSCACertificateFile ${folder}/ca.pem`,
    "",
    "database mdb",
    "suffix cn=accesslog",
    `rootdn "cn=admin,${people.base}"`,
    `directory ${folder}/log`,
    "maxsize 67108864",
    "dbnosync",
    "index reqStart,reqResult,objectClass eq",
    `access to * by dn.exact="cn=admin,${people.base}" read by * none`,
    "",
    "database mdb",
    `suffix "${people.base}"`,
    `rootdn "cn=admin,${people.base}"`,
    `rootpw ${servicePassword}`,
    `directory ${folder}/data`,
    "maxsize 67108864",
    "dbnosync",
    "index objectClass,uid,cn,mail eq",
    "access to attrs=userPassword by anonymous auth by * none",
    ...["people", "leavers"].flatMap((ou) => [
      `access to dn.subtree="ou=${ou},${people.base}" attrs=${lockAttributes[style].join(",")}`,
      `  by dn.exact="${people.service}" write`,
      `  by dn.exact="${people.stranger}" search`,
      "  by users read",
    ]),
    `access to * by dn.exact="${people.stranger}" search by users read by anonymous auth`,
    "overlay accesslog",
    "logdb cn=accesslog",
    "logops writes",
    "logsuccess TRUE",
    "overlay memberof",
    `memberof-group-oc ${style === "active-directory" ? "group" : "groupOfNames"}`,
    "overlay ppolicy",
    `ppolicy_default "cn=default,ou=policies,${people.base}"`,
    "",
  ].join("\n");

const lockAttributes: Readonly<Record<DirectoryStyle, readonly string[]>> = {
  "active-directory": ["userAccountControl", "accountExpires"],
  openldap: ["pwdAccountLockedTime", "loginShell", "employeeType", "nsAccountLock"],
};

const moduleFolders = ["/usr/lib/ldap", "/usr/lib64/openldap", "/usr/libexec/openldap"];
const schemaFolder = (): string =>
  ["/etc/ldap/schema", "/etc/openldap/schema"].find((path) => existsSync(path)) ?? "/etc/ldap/schema";

/** Object identifiers and syntaxes as in [MS-ADA1], [MS-ADA3] and [MS-ADSC], with the matching rules Active Directory applies. */
const activeDirectorySchema: readonly string[] = [
  attribute("1.2.840.113556.1.4.8", "userAccountControl", "integer"),
  attribute("1.2.840.113556.1.4.159", "accountExpires", "integer"),
  attribute("1.2.840.113556.1.4.302", "sAMAccountType", "integer"),
  attribute("1.2.840.113556.1.4.98", "primaryGroupID", "integer"),
  attribute("1.2.840.113556.1.4.221", "sAMAccountName", "text"),
  attribute("1.2.840.113556.1.4.656", "userPrincipalName", "text"),
  attribute("1.2.840.113556.1.4.146", "objectSid", "bytes"),
  attribute("1.2.840.113556.1.4.2", "objectGUID", "bytes"),
  "objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP inetOrgPerson STRUCTURAL MAY ( userAccountControl $ accountExpires $ sAMAccountType $ primaryGroupID $ sAMAccountName $ userPrincipalName $ objectSid $ objectGUID ) )",
  "objectclass ( 1.2.840.113556.1.5.8 NAME 'group' SUP top STRUCTURAL MUST cn MAY ( member $ sAMAccountName $ objectSid $ objectGUID $ description ) )",
];

/** nsAccountLock as 389 Directory Server has it. */
const accountLockSchema: readonly string[] = [
  attribute("2.16.840.1.113730.3.1.610", "nsAccountLock", "text"),
  "objectclass ( 2.25.291577413 NAME 'labAccount' SUP top AUXILIARY MAY ( nsAccountLock $ loginShell ) )",
];

function attribute(oid: string, name: string, kind: "integer" | "text" | "bytes"): string {
  const rules = {
    integer: "EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27",
    text: "EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15",
    bytes: "EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40",
  };
  return `attributetype ( ${oid} NAME '${name}' ${rules[kind]} SINGLE-VALUE )`;
}
