import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAuthority } from "@reflex/controller/pki/authority";
import { type Change, Client } from "ldapts";
import { configOf } from "./slapd-config.ts";
import { type DirectoryStyle, entriesOf, people, servicePassword } from "./slapd-entries.ts";

/** OpenLDAP's slapd as a directory of its own: random loopback ports, a folder of its own, a certificate of its own. */
export type Slapd = {
  readonly urls: { readonly ldaps: string; readonly ldap: string };
  /** PEM of the authority that signed its certificate, for 127.0.0.1 and localhost. */
  readonly ca: string;
  readonly base: string;
  readonly service: { readonly dn: string; readonly password: string };
  /** May read everything and change nothing. */
  readonly reader: { readonly dn: string; readonly password: string };
  /** May search everywhere and is shown nothing. */
  readonly stranger: { readonly dn: string; readonly password: string };
  /** The values of one attribute now, as an administrator sees them. */
  readonly read: (dn: string, attribute: string) => Promise<readonly string[]>;
  /** What an administrator changes by hand. */
  readonly change: (dn: string, changes: readonly Change[]) => Promise<void>;
  readonly add: (dn: string, attributes: Readonly<Record<string, readonly string[] | string>>) => Promise<void>;
  readonly rename: (dn: string, to: string) => Promise<void>;
  readonly remove: (dn: string) => Promise<void>;
  /** Whether this account gets in. */
  readonly canLogIn: (dn: string, password?: string) => Promise<boolean>;
  /** Every write that took effect, in order, from the server's own access log. */
  readonly modifications: () => Promise<readonly Modification[]>;
  /** Stops answering without closing anything, as a hung server does. */
  readonly pause: () => Promise<void>;
  readonly resume: () => void;
  /** kill -9, then the same data on the same ports. */
  readonly restart: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

export type Modification = {
  readonly dn: string;
  readonly kind: "add" | "delete" | "modify" | "modrdn";
  /** `attribute:- old` and `attribute:+ new`, as slapo-accesslog(5) writes them. */
  readonly changes: readonly string[];
};

const program = ["/usr/sbin/slapd", "/usr/libexec/slapd", "/usr/local/libexec/slapd"].find((path) => existsSync(path));

/** Why there is no server to test against; undefined where there is one. */
export const slapdMissing = (): string | undefined =>
  program === undefined ? "slapd is not installed: apt-get install slapd" : undefined;

export const startSlapd = async (style: DirectoryStyle): Promise<Slapd> => {
  if (program === undefined) throw new Error(slapdMissing());
  const folder = mkdtempSync(join(tmpdir(), "reflex-slapd-"));
  for (const name of ["data", "log", "pki"]) mkdirSync(join(folder, name));
  const authority = await createAuthority({ dir: join(folder, "pki"), org: "lab", nowMs: Date.now });
  const { cert, key } = await authority.issueServer(["127.0.0.1"]);
  for (const [name, text] of [
    ["server.pem", cert],
    ["server.key", key],
    ["ca.pem", authority.caPem],
    ["slapd.conf", configOf(style, folder)],
  ] as const)
    writeFileSync(join(folder, name), text, { mode: 0o600 });

  let running = await listening(program, folder);
  const stop = async (): Promise<void> => {
    await killed(running.child);
    rmSync(folder, { recursive: true, force: true });
  };
  const ports = running.ports;
  const admin = { dn: `cn=admin,${people.base}`, password: servicePassword };
  const withAdmin = <T>(use: (client: Client) => Promise<T>): Promise<T> => asUser(ports.ldap, admin, use);
  try {
    await withAdmin(async (client) => {
      for (const { dn, attributes } of entriesOf(style)) await client.add(dn, mutable(attributes));
    });
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    urls: { ldaps: `ldaps://127.0.0.1:${ports.ldaps}`, ldap: `ldap://127.0.0.1:${ports.ldap}` },
    ca: authority.caPem,
    base: people.base,
    service: { dn: people.service, password: servicePassword },
    reader: { dn: people.reader, password: servicePassword },
    stranger: { dn: people.stranger, password: servicePassword },
    read: (dn, attribute) =>
      withAdmin(async (client) => {
        const { searchEntries } = await client.search(dn, { scope: "base", attributes: [attribute] });
        const value = searchEntries[0]?.[attribute] ?? [];
        return (Array.isArray(value) ? value : [value]).map(String);
      }),
    change: (dn, changes) => withAdmin((client) => client.modify(dn, [...changes])),
    add: (dn, attributes) => withAdmin((client) => client.add(dn, mutable(attributes))),
    rename: (dn, to) => withAdmin((client) => client.modifyDN(dn, to)),
    remove: (dn) => withAdmin((client) => client.del(dn)),
    canLogIn: (dn, password = people.password) =>
      asUser(ports.ldap, { dn, password }, async () => true).catch(() => false),
    modifications: () => withAdmin(modificationsOf),
    pause: () => stopped(running.child),
    resume: () => void running.child.kill("SIGCONT"),
    restart: async () => {
      await killed(running.child);
      running = await listening(program, folder, ports);
    },
    stop,
  };
};

/** A test that is killed cannot stop its servers; where util-linux is installed, the kernel does. */
const setpriv = "/usr/bin/setpriv";
const dyingWithUs: readonly string[] = existsSync(setpriv) ? [setpriv, "--pdeathsig", "KILL", "--"] : [];

type Ports = { readonly ldaps: number; readonly ldap: number };
type Started = { readonly child: ChildProcess; readonly ports: Ports };

/** A port that was free a moment ago may be taken: then others are tried. */
const listening = async (path: string, folder: string, wanted?: Ports): Promise<Started> => {
  for (let attempt = 1; ; attempt += 1) {
    const ports = wanted ?? { ldaps: await freePort(), ldap: await freePort() };
    const listeners = `ldaps://127.0.0.1:${ports.ldaps} ldap://127.0.0.1:${ports.ldap}`;
    const [command = path, ...args] = [...dyingWithUs, path, "-d", "0", "-h", listeners, "-f", `${folder}/slapd.conf`];
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      said = `${said}${chunk.toString()}`.slice(-2_000);
    });
    if (await answers(child, ports)) return { child, ports };
    await killed(child);
    if (attempt >= 5) throw new Error(`slapd does not start: ${said || checked(path, folder)}`);
  }
};

const checked = (path: string, folder: string): string => {
  try {
    return execFileSync(path, ["-T", "test", "-f", `${folder}/slapd.conf`], { encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

const answers = async (child: ChildProcess, ports: Ports): Promise<boolean> => {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.exitCode !== null || child.signalCode !== null) return false;
    const isUp = await new Client({ url: `ldap://127.0.0.1:${ports.ldap}`, timeout: 2_000 })
      .search("", { scope: "base", attributes: ["1.1"] })
      .then(() => true)
      .catch((error: unknown) => error instanceof Error && error.name !== "Error" && !("errno" in error));
    if (isUp) return true;
    await new Promise((resume) => setTimeout(resume, 25));
  }
  return false;
};

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });

/** A signal is on its way for a moment, in which the server still answers. */
const stopped = async (child: ChildProcess): Promise<void> => {
  child.kill("SIGSTOP");
  const isStopped = (task: string): boolean =>
    / T /.test(readFileSync(`/proc/${child.pid}/task/${task}/stat`, "latin1").replace(/^.*\)/s, ""));
  while (!readdirSync(`/proc/${child.pid}/task`).every(isStopped)) {
    await new Promise((resume) => setTimeout(resume, 5));
  }
};

const killed = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });

const asUser = async <T>(
  port: number,
  who: { readonly dn: string; readonly password: string },
  use: (client: Client) => Promise<T>,
): Promise<T> => {
  const client = new Client({ url: `ldap://127.0.0.1:${port}`, timeout: 10_000, connectTimeout: 10_000 });
  try {
    await client.bind(who.dn, who.password);
    return await use(client);
  } finally {
    await client.unbind().catch(() => undefined);
  }
};

const modificationsOf = async (client: Client): Promise<readonly Modification[]> => {
  const { searchEntries } = await client.search("cn=accesslog", {
    filter: "(&(objectClass=auditWriteObject)(reqResult=0))",
    attributes: ["reqStart", "reqType", "reqDN", "reqMod"],
  });
  const textsOf = (value: unknown): string[] =>
    (Array.isArray(value) ? value : value === undefined ? [] : [value]).map(String);
  return searchEntries
    .map((entry) => ({
      at: textsOf(entry["reqStart"])[0] ?? "",
      dn: textsOf(entry["reqDN"])[0] ?? "",
      kind: (textsOf(entry["reqType"])[0] ?? "modify") as Modification["kind"],
      changes: textsOf(entry["reqMod"]),
    }))
    .sort((one, other) => (one.at < other.at ? -1 : 1))
    .map(({ dn, kind, changes }) => ({ dn, kind, changes }));
};

const mutable = (attributes: Readonly<Record<string, readonly string[] | string>>): Record<string, string[] | string> =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name, typeof value === "string" ? value : [...value]]),
  );
