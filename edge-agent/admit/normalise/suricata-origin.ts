/**
 * Kind of rule as policies see it, from what rule authors write in front of a signature (`ET CINS …`) and its class.
 * The first row that matches counts: a scan from a known bad address is first of all a known bad address.
 */
export const suricataOrigin = (signature: string, category: string): RuleOrigin => {
  for (const { origin, signature: pattern, categories } of rows) {
    if (pattern.test(signature) || categories.includes(category.toLowerCase())) return origin;
  }
  return "signature";
};

export type RuleOrigin = "known_ioc" | "anomaly" | "scan" | "policy" | "signature";

type Row = { readonly origin: RuleOrigin; readonly signature: RegExp; readonly categories: readonly string[] };
const rows: readonly Row[] = [
  {
    origin: "known_ioc",
    signature:
      /^(?:ET|ETPRO) (?:CINS|DROP|COMPROMISED|CNC|BOTCC|3CORESEC|THREATVIEW) |^(?:ET|ETPRO) (?:MALWARE|TROJAN|MOBILE_MALWARE) .*\b(?:CnC|C2)\b/i,
    categories: [
      "malware command and control activity detected",
      "domain observed used for c2 detected",
      "targeted malicious activity was detected",
    ],
  },
  // Suricata's own decoder events: malformed traffic, nobody's signature.
  { origin: "anomaly", signature: /^SURICATA /, categories: ["generic protocol command decode"] },
  { origin: "scan", signature: /^(?:ET|ETPRO|GPL) SCAN /i, categories: ["detection of a network scan"] },
  {
    origin: "policy",
    signature:
      /^(?:ET|ETPRO|GPL) (?:POLICY|INFO|CHAT|GAMES|P2P|TOR|DYN_DNS|INAPPROPRIATE|FILE_SHARING|REMOTE_ACCESS) /i,
    categories: [
      "potential corporate privacy violation",
      "not suspicious traffic",
      "inappropriate content was detected",
    ],
  },
];
