import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Attribute, Change, Client } from "ldapts";
import { createTestAuthority } from "../../conformance/certificates.ts";

/** A real Active Directory domain controller (Samba), on a loopback address and in a folder of its own. */
export type SambaDomain = {
  readonly urls: { readonly ldaps: string; readonly ldap: string };
  readonly ca: string;
  readonly base: string;
  /** Member of Account Operators: may change users. */
  readonly service: { readonly dn: string; readonly password: string };
  /** `cn=<name>,cn=Users,…` */
  readonly dnOf: (name: string) => string;
  readonly read: (dn: string, attribute: string) => Promise<readonly string[]>;
  readonly change: (dn: string, changes: readonly Change[]) => Promise<void>;
  readonly canLogIn: (name: string) => Promise<boolean>;
  readonly stop: () => Promise<void>;
};

const domain = { realm: "CORP.EXAMPLE", short: "CORP", base: "DC=corp,DC=example" } as const;
/** Everybody's, so that any of them can be the one who binds. */
const password = "Only-in-the-lab-1";
const python = "/usr/bin/python3";

/** Why there is no domain to test against; undefined where there can be one. */
export const sambaMissing = (): string | undefined => {
  const programs = ["/usr/sbin/samba", "/usr/bin/samba-tool", python];
  if (!programs.every((path) => existsSync(path))) {
    return "no Samba: apt-get install samba samba-dsdb-modules samba-ad-provision python3-samba";
  }
  if (process.getuid?.() !== 0) return "a domain controller takes the ports 389 and 636: run as root";
  return canImportSamba() ? undefined : "no Python modules of Samba: apt-get install python3-samba";
};

const canImportSamba = (): boolean => {
  try {
    execFileSync(python, ["-c", "import samba.provision"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

/**
 * As `samba-tool domain provision`, but without rights on the sysvol share: they need a file system with access lists, which
 * temporary folders often are not, and nobody here uses the share.
 */
const provision = `
import sys, samba.provision
samba.provision.setsysvolacl = lambda *args, **more: None
from samba.netcmd.main import cmd_sambatool
sys.exit(cmd_sambatool()._run("samba-tool", "domain", "provision", *sys.argv[1:]))
`;

/** About twenty seconds: a schema of 1 500 classes and attributes is written. */
export const startSambaDomain = async (): Promise<SambaDomain> => {
  const folder = mkdtempSync(join(tmpdir(), "reflex-samba-"));
  const byte = (): number => 1 + Math.floor(Math.random() * 250);
  // The ports are fixed; any address of 127.0.0.0/8 is ours to take.
  const address = `127.${byte()}.${byte()}.${byte()}`;
  const authority = await createTestAuthority();
  const { cert, key } = await authority.issue([address]);
  for (const [name, text] of Object.entries({ "server.pem": cert, "server.key": key, "ca.pem": authority.caPem })) {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
  }
  await promisify(execFile)(
    python,
    [
      ...["-c", provision, `--realm=${domain.realm}`, `--domain=${domain.short}`, "--server-role=dc"],
      ...["--dns-backend=NONE", `--adminpass=${password}`, `--targetdir=${folder}`, `--host-ip=${address}`],
      `--option=posix:eadb=${folder}/attributes.tdb`,
    ],
    { maxBuffer: 4 * 1024 * 1024 },
  );
  const config = join(folder, "etc", "smb.conf");
  writeFileSync(
    config,
    readFileSync(config, "utf8").replace(/^\s*server services = .*$/m, settingsOf(folder, address)),
  );

  // It ends when its standard input does, so it does not outlive the test.
  const args = ["-i", "-M", "single", `--configfile=${config}`];
  const child = spawn("/usr/sbin/samba", args, { stdio: ["pipe", "ignore", "ignore"] });
  const stop = async (): Promise<void> => {
    await killed(child);
    rmSync(folder, { recursive: true, force: true });
  };
  const url = `ldaps://${address}`;
  const asUser = async <T>(name: string, use: (client: Client) => Promise<T>): Promise<T> => {
    const client = new Client({ url, timeout: 10_000, connectTimeout: 10_000, tlsOptions: { ca: authority.caPem } });
    try {
      await client.bind(`${domain.short}\\${name}`, password);
      return await use(client);
    } finally {
      await client.unbind().catch(() => undefined);
    }
  };
  const asAdmin = <T>(use: (client: Client) => Promise<T>): Promise<T> => asUser("Administrator", use);
  try {
    await comesUp(child, () => asAdmin(async () => true));
    await asAdmin(addPeople);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    urls: { ldaps: url, ldap: `ldap://${address}` },
    ca: authority.caPem,
    base: domain.base,
    service: { dn: `${domain.short}\\svc-reflex`, password },
    dnOf: userDn,
    read: (dn, attribute) =>
      asAdmin(async (client) => {
        const { searchEntries } = await client.search(dn, { scope: "base", attributes: [attribute] });
        const value = searchEntries[0]?.[attribute] ?? [];
        return (Array.isArray(value) ? value : [value]).map(String);
      }),
    change: (dn, changes) => asAdmin((client) => client.modify(dn, [...changes])),
    canLogIn: (name) => asUser(name, async () => true).catch(() => false),
    stop,
  };
};

const userDn = (name: string): string => `CN=${name},CN=Users,${domain.base}`;

const settingsOf = (folder: string, address: string): string =>
  [
    "server services = ldap, cldap, kdc",
    `interfaces = ${address}/8`,
    "bind interfaces only = yes",
    `pid directory = ${folder}`,
    `ncalrpc dir = ${folder}/ncalrpc`,
    "tls enabled = yes",
    `tls keyfile = ${folder}/server.key`,
    `tls certfile = ${folder}/server.pem`,
    `tls cafile = ${folder}/ca.pem`,
  ].join("\n\t");

/** alice is an operator, and operators are in a protected group; mallory is an administrator. */
const addPeople = async (client: Client): Promise<void> => {
  for (const name of ["alice", "bob", "mallory", "svc-reflex"]) {
    await client.add(userDn(name), [
      ...Object.entries({
        objectClass: "user",
        sAMAccountName: name,
        userPrincipalName: `${name}@corp.example`,
        mail: `${name}@corp.example`,
        userAccountControl: "512",
      }).map(([type, value]) => new Attribute({ type, values: [value] })),
      // [MS-ADTS] 3.1.1.3.1.5: in quotes, as UTF-16.
      new Attribute({ type: "unicodePwd", values: [Buffer.from(`"${password}"`, "utf16le")] }),
    ]);
  }
  const groups: readonly (readonly [name: string, member: string])[] = [
    ["operators", userDn("alice")],
    ["protected", userDn("operators")],
  ];
  for (const [name, member] of groups) {
    await client.add(userDn(name), { objectClass: "group", sAMAccountName: name, member });
  }
  for (const [group, member] of [
    [`CN=Account Operators,CN=Builtin,${domain.base}`, userDn("svc-reflex")],
    [userDn("Domain Admins"), userDn("mallory")],
  ] as const) {
    await client.modify(group, new Change({ modification: new Attribute({ type: "member", values: [member] }) }));
  }
};

const comesUp = async (child: ChildProcess, isUp: () => Promise<boolean>): Promise<void> => {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("samba ended by itself");
    if (await isUp().catch(() => false)) return;
    await new Promise((resume) => setTimeout(resume, 100));
  }
  throw new Error("samba does not answer");
};

const killed = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
