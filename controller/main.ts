import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { startController } from "./controller.ts";
import { makeSigningKey, readSigningKey } from "./release/signing-key.ts";
import { readSettings } from "./settings.ts";

/**
 * The controller. Logs JSON lines to standard error; prints one JSON line when it serves:
 * `{"kind":"ready","url":…,"broker_url":…,"ca_file":…,"token_file":…,"pid":…}`. SIGTERM or SIGINT ends it within seconds.
 */
const run = async (): Promise<void> => {
  if (process.argv[2] === "broker") {
    await import("./broker/main.ts");
    return;
  }
  if (process.argv[2] === "setup") {
    setup(process.argv.slice(3));
    return;
  }
  const settings = readSettings(process.argv.slice(2), process.env);
  const log = pino({ name: "controller", level: settings.logLevel }, pino.destination({ fd: 2, sync: true }));

  let isStopping = false;
  const starting = startController(settings, (fields, message) => log.info(fields, message));
  const stop = (why: string): void => {
    if (isStopping) return;
    isStopping = true;
    log.info({ why }, "stopping");
    // PostgreSQL's own limit is longer than everybody else's patience; it recovers at the next start.
    setTimeout(() => process.exit(1), 25_000).unref();
    starting
      .then(
        (controller) => controller.stop(),
        () => undefined,
      )
      .then(() => process.exit(0));
  };
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  // Whoever started us with an IPC channel is gone, or has let go.
  process.on("disconnect", () => stop("parent gone"));

  const { ready } = await starting;
  process.stdout.write(`${JSON.stringify(ready)}\n`);
  log.info(ready, "ready");
};

/** Makes the keys the controller itself holds; root signs the trust document that names their public halves, elsewhere. */
const setup = (args: readonly string[]): void => {
  const { values } = parseArgs({ args: [...args], options: { data: { type: "string" } } });
  if (values.data === undefined) throw new Error("setup --data DIR");
  mkdirSync(values.data, { recursive: true, mode: 0o711 });
  const made = (["head", "weights"] as const).map((role) => {
    const file = join(values.data ?? "", `${role}.key`);
    makeSigningKey(file, role, `${role}-1`);
    const { keyid, public: publicKey } = readSigningKey(file, role);
    return [role, { keyid, public: publicKey, file }];
  });
  process.stdout.write(`${JSON.stringify({ kind: "setup", ...Object.fromEntries(made) })}\n`);
};

run().catch((error: unknown) => {
  process.stderr.write(
    `${JSON.stringify({ level: 60, name: "controller", msg: "does not start", error: error instanceof Error ? error.message : String(error) })}\n`,
  );
  process.exit(1);
});
