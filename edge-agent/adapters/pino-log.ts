import { type DestinationStream, pino } from "pino";
import type { Log } from "../ports.ts";

export type PinoLogOptions = {
  readonly level?: "info" | "warn" | "error" | "silent";
  /** Default: standard error, because standard output belongs to the program. */
  readonly destination?: DestinationStream;
  readonly fields?: Readonly<Record<string, unknown>>;
};

/** Fields that can hold a secret are blanked wherever they appear on the first two levels. */
const secret = ["key", "token", "join_token", "password", "secret", "authorization"];

export const createPinoLog = (options: PinoLogOptions = {}): Log => {
  const log = pino(
    {
      level: options.level ?? "info",
      base: options.fields === undefined ? null : { ...options.fields },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: [...secret, ...secret.map((name) => `*.${name}`)], censor: "[secret]" },
    },
    options.destination ?? pino.destination({ dest: 2, sync: true }),
  );
  return {
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
  };
};
