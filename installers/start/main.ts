import { accessSync, constants, existsSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient } from "@reflex/controller/reflexctl/client";
import { collectSummary } from "./collect.ts";
import { watchLive } from "./live.ts";
import { checkUnused, takeFolder } from "./lock.ts";
import { readOptions, type StartOptions, usage } from "./options.ts";
import { startParts } from "./parts.ts";
import { checkPorts, portsOf } from "./ports.ts";
import { createScreen } from "./screen.ts";
import { findings, summaryText } from "./summary.ts";

/** Controller, broker, database and one agent at site `demo`, fed with a scenario or with files: all of Reflex on one screen. */
const start = async (options: StartOptions): Promise<number> => {
  const dataDir = resolve(options.dataDir);
  checkFeed(options.feed);
  checkUnused(dataDir);
  await checkPorts(portsOf(options.portBase, options.feed.length > 0));
  if (options.fresh && existsSync(dataDir)) removeOwnData(dataDir);
  const leaveFolder = takeFolder(dataDir);
  try {
    return await run(options, dataDir);
  } finally {
    leaveFolder();
  }
};

const run = async (options: StartOptions, dataDir: string): Promise<number> => {
  const screen = createScreen(options.json ? process.stderr : process.stdout, () => performance.now());

  const stopping = new AbortController();
  const stopOnSignal = (): void => {
    if (stopping.signal.aborted) return;
    screen.say("stopping: the agent finishes what it took, then the controller; what is enforced stays enforced");
    stopping.abort();
  };
  process.on("SIGINT", stopOnSignal);
  process.on("SIGTERM", stopOnSignal);
  // The wrapper that npm runs is gone, however it ended: nobody could stop this any more. Alone, it keeps nothing running.
  process.on("disconnect", stopOnSignal);
  process.channel?.unref();

  const parts = await startParts({
    options,
    dataDir,
    root: dirname(dirname(dirname(fileURLToPath(import.meta.url)))),
    screen,
    signal: stopping.signal,
  });
  try {
    const client = createClient(parts.connection);
    const live = watchLive(parts.connection, screen, options);
    screen.say(parts.addresses);
    const ended = await Promise.race([parts.feedDone(options.once), parts.broken, aborted(stopping.signal)]);
    if (ended === "aborted") return 0;
    if (!options.once) {
      screen.say("the feed is done; Reflex keeps running (leases are undone when due). Ctrl-C stops it");
      await Promise.race([parts.broken, aborted(stopping.signal)]);
      return 0;
    }
    const { summary, stored } = await collectSummary(parts, client, screen);
    await live.close();
    const problems = findings(summary, stored);
    if (options.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
    screen.say(summaryText(summary, problems));
    return problems.length === 0 ? 0 : 1;
  } finally {
    await parts.stop();
  }
};

/** Said before anything is started or deleted, not by the agent once everything else is up. */
const checkFeed = (paths: readonly string[]): void => {
  for (const path of paths) {
    if (path === "-") continue;
    try {
      if (statSync(path).isDirectory()) throw new Error("it is a folder; name the files in it");
      accessSync(path, constants.R_OK);
    } catch (error) {
      throw new Error(`cannot read the feed ${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
};

const aborted = (signal: AbortSignal): Promise<"aborted"> =>
  new Promise((settle) => {
    if (signal.aborted) settle("aborted");
    else signal.addEventListener("abort", () => settle("aborted"), { once: true });
  });

/** --fresh deletes only what looks like ours: a mistyped --data must not cost anybody a home folder. */
const removeOwnData = (dataDir: string): void => {
  if (!existsSync(join(dataDir, "connection.json")) && !existsSync(join(dataDir, "keys"))) {
    throw new Error(
      `--fresh would delete ${dataDir}, which does not look like a data folder of Reflex; choose another --data or delete it yourself`,
    );
  }
  rmSync(dataDir, { recursive: true, force: true });
};

const options = readOptions(process.argv.slice(2));
if (!options.ok) {
  process.stderr.write(`${options.error}\n\n${usage}`);
  process.exitCode = 2;
} else if (options.value.help) process.stdout.write(usage);
else {
  try {
    process.exitCode = await start(options.value);
  } catch (error) {
    process.stderr.write(`reflex: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
