import { isIP } from "node:net";
import { actions } from "@reflex/protocol/action";
import { type Entity, entityText } from "@reflex/protocol/entity";
import type { ConnectorCall } from "../contract.ts";
import { formatCef } from "./cef.ts";
import { formatSyslog } from "./rfc5424.ts";

export type NoticeOptions = {
  readonly format: "cef" | "rfc5424";
  readonly facility: number;
  /** Of this agent. */
  readonly hostname: string;
  /** IANA private enterprise number in the id of the structured data; 32473 is the one for examples (RFC 5612). */
  readonly enterprise: number;
};

/** RFC 5424 6.2.1: normal but significant. */
const severityNotice = 5;
/** Version of what is in a notice. */
const noticeVersion = "1";

/** A command as one syslog message: what, about whom, why, and the ids by which it is found again. Pure. */
export const formatNotice = (options: NoticeOptions, call: ConnectorCall, atMs: number): string => {
  const sentence = `${actions[call.action].sentence} ${entityText(call.target)}: ${call.reason}`;
  const common = {
    facility: options.facility,
    severity: severityNotice,
    atMs,
    hostname: options.hostname,
    appName: "reflex",
    procId: "-",
    msgId: call.action,
  };
  if (options.format === "cef") return formatSyslog({ ...common, text: cefOf(options, call, atMs, sentence) });
  const values = {
    commandId: call.commandId,
    decisionId: call.decisionId,
    action: call.action,
    targetType: call.target.type,
    target: call.target.value,
    ttlSeconds: String(call.ttlSeconds),
    reason: call.reason,
  };
  return formatSyslog({ ...common, data: { id: `reflex@${options.enterprise}`, values }, text: sentence });
};

const cefOf = (options: NoticeOptions, call: ConnectorCall, atMs: number, sentence: string): string =>
  formatCef({
    vendor: "Reflex",
    product: "Reflex",
    version: noticeVersion,
    signatureId: call.action,
    name: sentence,
    severity: 5,
    extension: {
      rt: String(atMs),
      dvchost: options.hostname,
      externalId: call.commandId,
      act: call.action,
      ...targetFields(call.target),
      reason: call.reason,
      cs1Label: "decisionId",
      cs1: call.decisionId,
      cs2Label: "targetType",
      cs2: call.target.type,
      cn1Label: "ttlSeconds",
      cn1: String(call.ttlSeconds),
    },
  });

/** The dictionary's own key where it has one; `dst` takes nothing but an IPv4 address. */
const targetFields = ({ type, value }: Entity): Readonly<Record<string, string>> => {
  switch (type) {
    case "address":
      if (isIP(value) === 4) return { dst: value };
      return isIP(value) === 6
        ? { c6a3Label: "Destination IPv6 Address", c6a3: value }
        : { cs3Label: "target", cs3: value };
    case "host":
      return { dhost: value };
    case "user":
      return { duser: value };
    case "domain":
      return { destinationDnsDomain: value };
    case "process":
      return { dproc: value };
    case "file":
      return { fileHash: value };
    case "network":
    case "key":
      return { cs3Label: "target", cs3: value };
  }
};
