import type { Severity } from "@reflex/protocol/detection";
import type { EntityRole } from "@reflex/protocol/entity";
import { isInNet, parseAddress } from "../address.ts";
import { type Draft, finishDetection } from "./draft.ts";
import { canonicalEntityValue, createEntityList } from "./entities.ts";
import { deadLetter, type Normaliser, type NormaliserSettings, notDetection } from "./normaliser.ts";
import { below, type Fields, fieldsOf, readId, readNumber, readText, readTexts, readTime } from "./reading.ts";
import { suricataOrigin } from "./suricata-origin.ts";

/** Suricata EVE. Only `event_type: alert` is a finding; flows, dns, statistics and the rest are records about traffic. */
export const normaliseSuricata: Normaliser = (value, settings) => {
  const record = fieldsOf(value);
  if (record === undefined) return deadLetter("schema-invalid", "an EVE record is an object");
  const eventType = readText(record["event_type"], 32);
  if (eventType === undefined) return deadLetter("schema-invalid", "event_type is missing");
  if (eventType !== "alert") return notDetection(`event_type ${knownTypes.has(eventType) ? eventType : "other"}`);

  const time = readTime(record["timestamp"]);
  if (time === undefined) return deadLetter("timestamp-malformed", "timestamp");
  const finding = readSuricataFinding(record, settings);
  if (finding === undefined) return deadLetter("schema-invalid", "alert.signature_id is missing");
  const flowId = wholeNumberText(record["flow_id"]) ?? "-";
  const transaction = wholeNumberText(record["tx_id"]) ?? wholeNumberText(below(record, "alert")["tx_id"]);
  // EVE has no id. One flow may match one signature many times, hence the time; packets without a flow, hence the "-".
  const eventId = ["suricata", flowId, finding.rule.id, readText(record["timestamp"], 64), transaction];
  return finishDetection({
    ...finding,
    eventId: eventId.filter((part) => part !== undefined).join(":"),
    timeMs: time.timeMs,
    correlationId: flowId === "-" ? undefined : `flow:${flowId}`,
    tags: [...finding.tags, time.tag],
    source: { kind: "suricata", domain: "network", sensor: readText(record["host"], 256) },
  });
};

/** Reasons are counted by their text, so it may not be the sender's. */
const knownTypes = new Set(
  "anomaly dhcp dns drop fileinfo flow ftp http http2 ikev2 krb5 mqtt netflow nfs quic rdp sip smb smtp snmp ssh stats tftp tls".split(
    " ",
  ),
);

/** What an EVE alert says, whoever delivers it; Wazuh wraps the same object and quotes its numbers. */
export const readSuricataFinding = (
  record: Fields,
  settings: NormaliserSettings,
): Omit<Draft, "eventId" | "timeMs" | "source" | "correlationId"> | undefined => {
  const alert = below(record, "alert");
  const metadata = below(alert, "metadata");
  const signatureId = readId(alert["signature_id"], 32);
  if (signatureId === undefined) return undefined;
  const name = readText(alert["signature"], 512) ?? "";
  const category = readText(alert["category"], 128);
  const origin = suricataOrigin(name, category ?? "");
  const entities = createEntityList();
  const ends = { src: record["src_ip"], dst: record["dest_ip"] };
  entities.add("address", ends.src, "source");
  entities.add("address", ends.dst, "destination");
  for (const [role, address] of attackRoles(record, origin, settings)) entities.add("address", address, role);
  for (const [key, field] of lookedUpNames) {
    const looked = readText(below(record, key)[field], 253);
    if (looked?.includes(".") === true && isForeign(ends.dst, key, settings)) {
      const host = looked.replace(/:\d{1,5}$/, "");
      if (canonicalEntityValue("domain", host) !== undefined) entities.add("domain", host, "destination");
    }
  }
  const isBlocked = alert["action"] === "blocked" || below(record, "verdict")["action"] === "drop";
  return {
    severity: suricataSeverity(readNumber(alert["severity"]), readTexts(metadata["signature_severity"], 32)[0]),
    confidence: mappedConfidence(readTexts(metadata["confidence"], 32)[0]),
    srcHost: machineText(ends.src),
    dstHost: machineText(ends.dst),
    tags: [
      signatureId,
      category,
      ...attackTags(metadata),
      isBlocked ? "contained" : undefined,
      readText(record["proto"], 16),
      readText(record["app_proto"], 32),
    ],
    entities,
    rule: { id: signatureId, name, origin },
    enrichment: {
      "alert.action": alert["action"],
      src_ip: ends.src,
      dest_ip: ends.dst,
      src_port: readNumber(record["src_port"]),
      dest_port: readNumber(record["dest_port"]),
      "http.hostname": below(record, "http")["hostname"],
      "http.url": below(record, "http")["url"],
      "tls.sni": below(record, "tls")["sni"],
    },
  };
};

/** `alert.severity` is the rule's priority: 1 is the highest. Critical only where the rule's author says so. */
export const suricataSeverity = (priority: number | undefined, authors: string | undefined): Severity | undefined => {
  if (authors?.toLowerCase() === "critical") return "critical";
  if (priority === undefined || priority < 1) return undefined;
  if (priority < 2) return "high";
  return priority < 3 ? "medium" : "low";
};

/** An author's grade is a probability grade, not a measured one: origin `mapped`. */
const mappedConfidence = (grade: string | undefined): Draft["confidence"] => {
  const value = { low: 0.3, medium: 0.6, high: 0.85 }[grade?.toLowerCase() ?? ""];
  return value === undefined ? undefined : { value, origin: "mapped" };
};

type Role = readonly [role: EntityRole, address: unknown];

/**
 * Attacker and victim, where the record says who is who; a packet's direction alone never does, since the packet
 * that matched may be the victim's answer.
 */
const attackRoles = (record: Fields, origin: string, { homeNets }: NormaliserSettings): readonly Role[] => {
  const alert = below(record, "alert");
  // The rule keyword `target` names the side outright.
  const [attacker, victim] = [below(alert, "source")["ip"], below(alert, "target")["ip"]];
  if (attacker !== undefined && victim !== undefined) return roles(attacker, victim);

  const [src, dst] = [record["src_ip"], record["dest_ip"]];
  const isHome = (address: unknown): boolean | undefined => {
    const bytes = typeof address === "string" ? parseAddress(address) : undefined;
    return bytes === undefined ? undefined : homeNets.some((net) => isInNet(bytes, net));
  };
  const [srcIsHome, dstIsHome] = [isHome(src), isHome(dst)];
  const crossesTheBorder = srcIsHome !== undefined && dstIsHome !== undefined && srcIsHome !== dstIsHome;
  const target = readTexts(below(alert, "metadata")["attack_target"], 64)[0]?.toLowerCase() ?? "";
  const targetsClient = target.startsWith("client_endpoint");
  const targetsServer = target.includes("server") && !target.startsWith("client");
  const client = clientOf(record);
  if (targetsClient || targetsServer) {
    if (client !== undefined) return (client === src) === targetsClient ? roles(dst, src) : roles(src, dst);
    // Rules with a target are written for attacks on one's own machines.
    if (crossesTheBorder) return srcIsHome ? roles(dst, src) : roles(src, dst);
    return [];
  }
  // A list of known bad addresses accuses the outside end; with both ends inside or outside it could be either.
  if (origin === "known_ioc" && crossesTheBorder) return srcIsHome ? roles(dst, src) : roles(src, dst);
  return [];
};

const roles = (attacker: unknown, victim: unknown): readonly Role[] => [
  ["attacker", attacker],
  ["victim", victim],
];

/** Which end opened the connection; Suricata 7 says it by `direction`, 6 by the flow's own addresses. */
const clientOf = (record: Fields): unknown => {
  if (record["direction"] === "to_server") return record["src_ip"];
  if (record["direction"] === "to_client") return record["dest_ip"];
  const opener = below(record, "flow")["src_ip"];
  return opener === record["src_ip"] || opener === record["dest_ip"] ? opener : undefined;
};

const lookedUpNames = [
  ["dns", "rrname"],
  ["tls", "sni"],
  ["http", "hostname"],
] as const;

/** A name asked of a server of ours is our own name: it is no destination to block. A look-up names the foreign machine itself. */
const isForeign = (dst: unknown, layer: string, { homeNets }: NormaliserSettings): boolean => {
  const bytes = typeof dst === "string" ? parseAddress(dst) : undefined;
  return layer === "dns" || (bytes !== undefined && !homeNets.some((net) => isInNet(bytes, net)));
};

/** The machine as text, where it is one: 0.0.0.0 is "no address", not a source. */
const machineText = (value: unknown): string | undefined => {
  const list = createEntityList();
  list.add("address", value);
  return list.entities[0]?.value;
};

const attackTags = (metadata: Fields): readonly string[] =>
  ["mitre_technique_id", "mitre_tactic_id"].flatMap((key) =>
    readTexts(metadata[key], 32).map((id) => `attack.${id.toLowerCase()}`),
  );

/** Wazuh writes flow ids as `1914330066006315.000000`. */
const wholeNumberText = (value: unknown): string | undefined => readId(value, 32)?.replace(/\.0+$/, "");
