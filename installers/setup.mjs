// Brings node_modules in line with pnpm-lock.yaml, with nothing but Node 20 and npm on the machine. Runs before every script.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stampFile = join(root, "node_modules", ".reflex-setup");

/** What node_modules follows from: when one of these changes, it is installed again. */
const sources = [
  "package.json",
  "pnpm-workspace.yaml",
  "pnpm-lock.yaml",
  ...["protocol", "policies", "edge-agent", "controller", "controller/console", "installers", "test"].map(
    (folder) => `${folder}/package.json`,
  ),
];

const stampNow = () => {
  const hash = createHash("sha256").update(`${process.platform}-${process.arch}\n`);
  for (const source of sources) {
    const file = join(root, source);
    hash.update(`${source}\n`).update(existsSync(file) ? readFileSync(file) : "");
  }
  return hash.digest("hex");
};

const isUpToDate = () => existsSync(stampFile) && readFileSync(stampFile, "utf8") === stampNow();

const stop = (message) => {
  process.stderr.write(`reflex: ${message}\n`);
  process.exit(1);
};

/** npm puts node_modules/.bin first; there lies the pinned Node, which must not run the installer that may replace it. */
const environmentWithoutLocalBin = () => {
  const environment = { ...process.env };
  for (const name of Object.keys(environment)) {
    if (name.toUpperCase() === "PATH") {
      environment[name] = environment[name]
        .split(delimiter)
        .filter((folder) => !folder.startsWith(join(root, "node_modules")))
        .join(delimiter);
    }
    // npm hands its own settings down as variables; pnpm would read some of them as its own.
    if (
      /^npm_(?:config_(?:global|prefix|local_prefix|workspaces?|omit|include|production)|package|lifecycle|command)/i.test(
        name,
      )
    )
      delete environment[name];
  }
  return environment;
};

const install = () => {
  const [major] = process.versions.node.split(".").map(Number);
  if (major < 20) stop(`Node 20 or newer is needed to begin; this is ${process.version}`);
  const { reflex } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  process.stderr.write(
    `reflex: installing dependencies with pnpm ${reflex.pnpm} (first run, or the lockfile changed)\n`,
  );
  rmSync(stampFile, { force: true });
  const started = Date.now();
  const { status, signal, error } = spawnSync(`npx --yes pnpm@${reflex.pnpm} install --frozen-lockfile`, {
    cwd: root,
    env: environmentWithoutLocalBin(),
    shell: true,
    // All progress goes to standard error: standard output belongs to the script that follows.
    stdio: ["ignore", 2, 2],
  });
  if (error !== undefined) stop(`npx does not start: ${error.message}`);
  if (signal !== null) stop(`installing was stopped by ${signal}`);
  if (status !== 0) {
    stop(
      `installing failed (exit code ${status}); the reason is above.\n` +
        "  If the registry could not be reached (ENOTFOUND, ECONNREFUSED, ETIMEDOUT, EAI_AGAIN): check the network, or name a mirror with\n" +
        "  `npm config set registry <url>` and a proxy with HTTPS_PROXY, then run the same command again.",
    );
  }
  writeFileSync(stampFile, stampNow());
  process.stderr.write(`reflex: dependencies are in place after ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
};

if (!isUpToDate()) install();
