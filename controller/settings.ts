import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { isSegment } from "@reflex/protocol/ids";

/** Everything a controller can be told: on the command line, in the environment (`REFLEX_…`), or in a JSON file (`--config`), in this order. */
export type Settings = {
  readonly data: string;
  readonly org: string;
  /** Of this controller among several; also its client id on the broker. */
  readonly name: string;
  /** Signed trust document, needed at the first start and for each new version. */
  readonly trust: string | undefined;
  readonly headKey: string;
  readonly host: string;
  readonly port: number;
  /** Names and addresses agents reach this host by, for its certificate. */
  readonly names: readonly string[];
  readonly databaseUrl: string | undefined;
  readonly postgresBin: string | undefined;
  /** A broker elsewhere, `mqtts://host:port`; without it the embedded one runs. */
  readonly brokerUrl: string | undefined;
  readonly brokerPort: number;
  readonly brokerWsPort: number;
  /** Certificate, key and authority for a broker elsewhere that has an authority of its own. */
  readonly brokerTls: { readonly cert: string; readonly key: string; readonly ca: string } | undefined;
  /** Where actions and feedback are mirrored to; "none" ends mirroring, undefined says nothing about it. */
  readonly siem: SiemSettings | "none" | undefined;
  readonly retentionDays: number;
  readonly logLevel: string;
};

export type SiemSettings = {
  readonly url: string;
  readonly caFile: string | undefined;
  readonly tokenFile: string | undefined;
  readonly user: string | undefined;
  readonly passwordFile: string | undefined;
  /** Last part of the data streams' names. */
  readonly namespace: string;
};

const options = {
  config: { type: "string" },
  data: { type: "string" },
  org: { type: "string" },
  name: { type: "string" },
  trust: { type: "string" },
  "head-key": { type: "string" },
  "weights-key": { type: "string" },
  host: { type: "string" },
  port: { type: "string" },
  names: { type: "string" },
  "database-url": { type: "string" },
  "postgres-bin": { type: "string" },
  "broker-url": { type: "string" },
  "broker-port": { type: "string" },
  "broker-ws-port": { type: "string" },
  "broker-cert": { type: "string" },
  "broker-key": { type: "string" },
  "broker-ca": { type: "string" },
  "siem-url": { type: "string" },
  "siem-ca": { type: "string" },
  "siem-token-file": { type: "string" },
  "siem-user": { type: "string" },
  "siem-password-file": { type: "string" },
  "siem-namespace": { type: "string" },
  "retention-days": { type: "string" },
  "log-level": { type: "string" },
} as const;
type Option = keyof typeof options;

export const usage = `controller --org ORG --data DIR --trust trust.json --head-key head-1.key [--port 8443] [--broker-port 8883]
  ${Object.keys(options)
    .map((option) => `--${option}`)
    .join(" ")}
Each is also read from the environment (--broker-port = REFLEX_BROKER_PORT; DATABASE_URL too) and from --config FILE (JSON).
`;

export const readSettings = (args: readonly string[], env: NodeJS.ProcessEnv): Settings => {
  const { values } = parseArgs({ args: [...args], options });
  const file = readConfig(values.config ?? env["REFLEX_CONFIG"]);
  const text = (option: Option): string | undefined =>
    values[option] ?? env[`REFLEX_${option.replaceAll("-", "_").toUpperCase()}`] ?? file[option];
  const needed = (option: Option): string => {
    const value = text(option);
    if (value === undefined) throw new Error(`--${option} is missing\n${usage}`);
    return value;
  };
  const whole = (option: Option, otherwise: number, max: number): number => {
    const value = Number(text(option) ?? otherwise);
    if (!Number.isInteger(value) || value < 0 || value > max)
      throw new Error(`--${option} is a whole number up to ${max}`);
    return value;
  };
  const segment = (option: Option, value: string): string => {
    if (!isSegment(value)) throw new Error(`--${option} is 1 to 48 of a-z, 0-9, _ and -; got ${value.slice(0, 60)}`);
    return value;
  };
  const data = needed("data");
  const brokerCert = text("broker-cert");
  return {
    data,
    org: segment("org", needed("org")),
    name: segment("name", text("name") ?? nameOfHost()),
    trust: text("trust"),
    headKey: text("head-key") ?? `${data}/head.key`,
    host: text("host") ?? "0.0.0.0",
    port: whole("port", 8443, 65_535),
    names: [hostname(), ...(text("names")?.split(",") ?? [])].map((name) => name.trim()).filter((name) => name !== ""),
    databaseUrl: text("database-url") ?? env["DATABASE_URL"],
    postgresBin: text("postgres-bin"),
    brokerUrl: text("broker-url"),
    brokerPort: whole("broker-port", 8883, 65_535),
    brokerWsPort: whole("broker-ws-port", 0, 65_535),
    brokerTls:
      brokerCert === undefined ? undefined : { cert: brokerCert, key: needed("broker-key"), ca: needed("broker-ca") },
    siem: siemOf(text),
    // 90 to 180 days are usual for decision records; longer is a choice of the operator.
    retentionDays: whole("retention-days", 180, 3_650),
    logLevel: text("log-level") ?? "info",
  };
};

const siemOf = (text: (option: Option) => string | undefined): Settings["siem"] => {
  const url = text("siem-url");
  if (url === undefined || url === "none") return url;
  const namespace = text("siem-namespace") ?? "default";
  // What a data stream's name may hold, less the hyphen that parts it.
  if (!/^[a-z0-9_.]{1,100}$/.test(namespace)) throw new Error("--siem-namespace is 1 to 100 of a-z, 0-9, _ and .");
  const user = text("siem-user");
  const passwordFile = text("siem-password-file");
  if ((user === undefined) !== (passwordFile === undefined))
    throw new Error("--siem-user and --siem-password-file belong together");
  return { url, caFile: text("siem-ca"), tokenFile: text("siem-token-file"), user, passwordFile, namespace };
};

const nameOfHost = (): string => {
  const name = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, "-")
    .slice(0, 40);
  return `controller-${name === "" ? "1" : name}`.slice(0, 48);
};

const readConfig = (file: string | undefined): Readonly<Record<string, string>> => {
  if (file === undefined) return {};
  if (!existsSync(file)) throw new Error(`no settings file ${file}`);
  const parsed: unknown = JSON.parse(readFileSync(file, "utf8"));
  if (typeof parsed !== "object" || parsed === null) throw new Error(`${file} is not a JSON object`);
  return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name.replaceAll("_", "-"), String(value)]));
};
