import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { startBroker } from "./broker.ts";

/**
 * The broker as a process of its own, so that a stalled controller never delays a kill and the other way round.
 * Prints one JSON line when it listens: `{"kind":"ready","part":"broker","port":8883,"ws_port":8884,"pid":1}`. With `--follow-stdin` it reads
 * `{"revoked":["agent"]}` lines and ends when its parent does.
 */
const { values } = parseArgs({
  args: process.argv.slice(process.argv[2] === "broker" ? 3 : 2),
  options: {
    org: { type: "string" },
    cert: { type: "string" },
    key: { type: "string" },
    ca: { type: "string" },
    host: { type: "string", default: "0.0.0.0" },
    port: { type: "string", default: "8883" },
    "ws-port": { type: "string" },
    "follow-stdin": { type: "boolean", default: false },
    "log-level": { type: "string", default: "info" },
  },
});

const log = pino({ name: "broker", level: values["log-level"] }, pino.destination(2));

const required = (name: "org" | "cert" | "key" | "ca"): string => {
  const value = values[name];
  if (value === undefined) throw new Error(`--${name} is missing`);
  return value;
};

try {
  const broker = await startBroker({
    org: required("org"),
    tls: {
      cert: readFileSync(required("cert"), "utf8"),
      key: readFileSync(required("key"), "utf8"),
      ca: readFileSync(required("ca"), "utf8"),
    },
    host: values.host,
    port: Number(values.port),
    wsPort: values["ws-port"] === undefined ? undefined : Number(values["ws-port"]),
    log: (fields, message) => log.info(fields, message),
  });

  let isStopping = false;
  const stop = (): void => {
    if (isStopping) return;
    isStopping = true;
    // Connections that do not close in time are cut by the end of the process; agents come back by themselves.
    setTimeout(() => process.exit(0), 3_000).unref();
    void broker.close().then(() => process.exit(0));
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);

  if (values["follow-stdin"]) {
    const lines = createInterface({ input: process.stdin });
    lines.on("line", (line) => {
      const order: unknown = JSON.parse(line);
      if (typeof order === "object" && order !== null && "revoked" in order && Array.isArray(order.revoked))
        broker.setRevoked(order.revoked.filter((agent) => typeof agent === "string"));
    });
    lines.on("close", stop);
  }
  process.stdout.write(
    `${JSON.stringify({ kind: "ready", part: "broker", port: broker.port, ws_port: broker.wsPort ?? null, pid: process.pid })}\n`,
  );
} catch (error) {
  log.fatal({ error: error instanceof Error ? error.message : String(error) }, "broker does not start");
  // At once: half of it may be listening already, and the controller waits for an end or a port.
  process.exit(1);
}
