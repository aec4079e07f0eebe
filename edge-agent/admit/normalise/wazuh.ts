import { type Severity, severities } from "@reflex/protocol/detection";
import { type Draft, finishDetection } from "./draft.ts";
import { canonicalEntityValue, createEntityList, machineType } from "./entities.ts";
import { deadLetter, type Normaliser, type NormaliserSettings, notDetection } from "./normaliser.ts";
import { below, type Fields, fieldsOf, readId, readNumber, readText, readTexts, readTime } from "./reading.ts";
import { readSuricataFinding, suricataSeverity } from "./suricata.ts";
import { suricataOrigin } from "./suricata-origin.ts";

/**
 * Wazuh 4.x alerts.json. The manager writes rules of level 3 and above to that file, so 3 is the lowest that counts as a
 * finding here too; lower levels arrive only from archives.json and are records.
 */
export const normaliseWazuh: Normaliser = (value, settings) => {
  const record = fieldsOf(value);
  if (record === undefined) return deadLetter("schema-invalid", "a Wazuh record is an object");
  const rule = below(record, "rule");
  const level = readNumber(rule["level"]);
  const ruleId = readId(rule["id"], 64);
  if (level === undefined || ruleId === undefined)
    return deadLetter("schema-invalid", "rule.level or rule.id is missing");
  if (level < alertLevelMin) return notDetection(`rule level below ${alertLevelMin}`);
  const manager = readId(below(record, "manager")["name"], 128);
  const id = readId(record["id"], 64);
  if (manager === undefined || id === undefined) return deadLetter("schema-invalid", "manager.name or id is missing");
  // The id begins with the time of processing, which may be weeks later: only the timestamp is the event's.
  const time = readTime(record["timestamp"]);
  if (time === undefined) return deadLetter("timestamp-malformed", "timestamp");

  const found = readWrappedEve(record, settings) ?? readWrappedFastLog(record, level) ?? readHostFinding(record, level);
  addObserver(record, found);
  return finishDetection({
    ...found,
    eventId: `wazuh:${manager}:${id}`,
    timeMs: time.timeMs,
    tags: [ruleId, ...found.tags, ...readTexts(rule["groups"], 64), ...attackTags(rule), time.tag],
    source: { kind: "wazuh", domain: found.domain, sensor: manager },
    enrichment: {
      ...found.enrichment,
      "wazuh.rule_id": ruleId,
      "wazuh.level": level,
      "agent.id": below(record, "agent")["id"],
      "agent.name": below(record, "agent")["name"],
      location: record["location"],
      decoder: below(record, "decoder")["name"],
    },
  });
};

/** Wazuh's own OCSF converter: 4-7 low, 8-10 medium, 11-14 high, 15 and more critical. */
export const wazuhSeverity = (level: number): Severity => {
  if (level >= 15) return "critical";
  if (level >= 11) return "high";
  return level >= 8 ? "medium" : "low";
};

const alertLevelMin = 3;
type Finding = Omit<Draft, "eventId" | "timeMs" | "source" | "correlationId"> & { readonly domain: "network" | "host" };

/** Rule 86601 and its kin give every Suricata alert level 3, whatever it is about: the inner severity decides. */
const readWrappedEve = (record: Fields, settings: NormaliserSettings): Finding | undefined => {
  const data = below(record, "data");
  if (data["event_type"] !== "alert") return undefined;
  const finding = readSuricataFinding(data, settings);
  return finding === undefined ? undefined : { ...finding, domain: "network" };
};

/** `[**] [1:2016184:5] name [**] [Classification: …] [Priority: 1] {TCP} a:1 -> b:2`; every repeat is bounded, the text is hostile. */
const fastLogPattern =
  /\[\*\*\] \[\d{1,10}:(\d{1,10}):\d{1,10}\] ([^[\]]{1,512}) \[\*\*\](?: \[Classification: ([^\]]{1,128})\])?(?: \[Priority: (\d{1,3})\])?/;

/** Snort and Suricata fast.log lines: the generic Wazuh rule ("IDS event.") says less than the signature in the line. */
const readWrappedFastLog = (record: Fields, level: number): Finding | undefined => {
  const data = below(record, "data");
  const line = record["full_log"];
  if (typeof line !== "string" || typeof data["srcip"] !== "string" || data["dstip"] === undefined) return undefined;
  const match = fastLogPattern.exec(line.slice(0, fastLogLengthMax));
  const signatureId = match?.[1];
  if (signatureId === undefined) return undefined;
  const name = readText(match?.[2], 512) ?? "";
  const category = match?.[3] ?? "";
  const inner = suricataSeverity(readNumber(match?.[4]), undefined);
  const entities = createEntityList();
  const [src, dst] = [splitPort(data["srcip"]), splitPort(data["dstip"])];
  entities.addMachine(src.host, "source");
  entities.addMachine(dst.host, "destination");
  return {
    domain: "network",
    severity: higher(wazuhSeverity(level), inner),
    srcHost: machineText(src.host),
    dstHost: machineText(dst.host),
    tags: [signatureId, category],
    entities,
    rule: { id: signatureId, name, origin: suricataOrigin(name, category) },
    enrichment: {
      src_ip: src.host,
      dest_ip: dst.host,
      dest_port: dst.port,
      "rule.description": below(record, "rule")["description"],
    },
  };
};

/** Everything else Wazuh writes comes from a log of a machine. */
const readHostFinding = (record: Fields, level: number): Finding => {
  const rule = below(record, "rule");
  const data = below(record, "data");
  const windows = below(below(data, "win"), "eventdata");
  const entities = createEntityList();
  const src = splitPort(data["srcip"] ?? data["src_ip"] ?? windows["ipAddress"]);
  const dst = splitPort(data["dstip"] ?? data["dest_ip"]);
  const writer = logWriter(record);
  entities.addMachine(src.host, "source");
  entities.addMachine(dst.host, "destination");
  if (writer !== undefined) entities.addMachine(writer, "destination");
  entities.add("user", userText(data["srcuser"], undefined), "actor");
  entities.add("user", userText(data["dstuser"], undefined), "target");
  entities.add("user", userText(windows["targetUserName"], windows["targetDomainName"]), "target");
  entities.add("file", below(record, "syscheck")["sha256_after"]);
  return {
    domain: "host",
    severity: wazuhSeverity(level),
    srcHost: machineText(src.host),
    dstHost: writer ?? machineText(dst.host),
    tags: [],
    entities,
    rule: {
      id: readText(rule["id"], 64) ?? "unspecified",
      name: readText(rule["description"], 512) ?? "",
      origin: readNumber(rule["frequency"]) === undefined ? "signature" : "behaviour",
    },
    enrichment: { src_ip: src.host, dest_ip: dst.host, program: below(record, "predecoder")["program_name"] },
  };
};

/**
 * The machine whose log it was. A syslog line names its writer; without one it is the agent's own machine, except for agent
 * 000: that is the manager reading what others sent it, and isolating the manager would blind the SOC.
 */
const logWriter = (record: Fields): string | undefined => {
  const named =
    below(record, "predecoder")["hostname"] ?? below(below(below(record, "data"), "win"), "system")["computer"];
  if (named !== undefined) return canonicalEntityValue("host", named);
  const agent = below(record, "agent");
  return agent["id"] === "000" || agent["id"] === undefined ? undefined : canonicalEntityValue("host", agent["name"]);
};

/** The agent saw it; only where its own machine wrote the log is it more than an observer. */
const addObserver = (record: Fields, found: Finding): void => {
  const agent = below(record, "agent");
  const name = canonicalEntityValue("host", agent["name"]);
  if (name === undefined || found.entities.entities.some(({ type, value }) => type === "host" && value === name))
    return;
  found.entities.add("host", name, "observer");
};

/** fast.log decoding leaves the port in the field: `192.168.10.21:80`. */
const splitPort = (value: unknown): { readonly host: unknown; readonly port?: number } => {
  const match = typeof value === "string" ? /^(\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})$/.exec(value) : null;
  return match === null ? { host: value } : { host: match[1], port: Number(match[2]) };
};

const machineText = (value: unknown): string | undefined => {
  const list = createEntityList();
  list.add(machineType(value), value);
  return list.entities[0]?.value;
};

/** Dovecot lines quote names as `<violet>`; Windows writes the domain apart and `-` for nobody. */
const userText = (name: unknown, domain: unknown): string | undefined => {
  const text = readText(name, 256)?.replace(/^<(.*)>$/, "$1");
  const prefix = readText(domain, 128);
  if (text === undefined || text === "-" || text === "") return undefined;
  return prefix === undefined || prefix === "-" ? text : `${prefix}\\${text}`;
};

const higher = (one: Severity, other: Severity | undefined): Severity =>
  other !== undefined && severities.indexOf(other) > severities.indexOf(one) ? other : one;

const attackTags = (rule: Fields): readonly string[] =>
  readTexts(below(rule, "mitre")["id"], 32).map((id) => `attack.${id.toLowerCase()}`);

/** The part of a line in which the signature stands. */
const fastLogLengthMax = 4_096;
