import { actionNames } from "@reflex/protocol/action";
import type { Operator } from "@reflex/protocol/policy";

/**
 * Every field a policy may match on, in one table: the parser, the JSON Schema, the matcher and the docs derive from it.
 * `from: detection` fields are known once per detection; `from: candidate` fields once per granted (action, target).
 * Permits may use both kinds: their candidate fields are judged for each target they would grant on.
 */
export type FieldType =
  | "decimal" // [0,1], compared as integers scaled by 1e6
  | "ordinal" // one of an ordered list of names
  | "word" // one string
  | "words" // a set of strings
  | "address" // one IPv4 or IPv6 address
  | "flag"; // true or false

export type FieldSource = "detection" | "candidate";
export type Field = {
  readonly type: FieldType;
  readonly from: FieldSource;
  readonly about: string;
  /** Lowest first, for ordinals; the closed vocabulary, for words that have one. */
  readonly values?: readonly string[];
};

const severityOrder = ["low", "medium", "high", "critical"] as const;
const exposureOrder = ["internal", "dmz", "external"] as const;

export const fields = {
  confidence: {
    type: "decimal",
    from: "detection",
    about: "calibrated confidence; a mapped or default one counts at most 0.6",
  },
  score: { type: "decimal", from: "detection", about: "calibrated response score" },
  confidence_origin: {
    type: "word",
    from: "detection",
    about: "where the confidence came from",
    values: ["vendor", "learned", "mapped", "default"],
  },
  severity: { type: "ordinal", from: "detection", about: "severity of the detection", values: severityOrder },
  tags: { type: "words", from: "detection", about: "tags of the detection, lower case" },
  recommended_action: { type: "word", from: "detection", about: "what the SIEM recommends" },
  policy_scope: { type: "word", from: "detection", about: "scope the SIEM sent" },
  "rule.id": { type: "word", from: "detection", about: "vendor's rule id" },
  "rule.name": { type: "word", from: "detection", about: "vendor's rule name, exactly" },
  "rule.origin": {
    type: "word",
    from: "detection",
    about: "kind of rule: known_ioc, signature, behaviour, anomaly, …",
  },
  "source.kind": { type: "word", from: "detection", about: "format of the source: native, suricata, wazuh, …" },
  "source.domain": {
    type: "word",
    from: "detection",
    about: "where the source looks",
    values: ["network", "host", "identity", "cloud", "application"],
  },
  "source.sensor": { type: "word", from: "detection", about: "sensor or manager name" },
  agreement: {
    type: "words",
    from: "detection",
    about: "domains that saw one of the entities within the window, this one included",
  },
  src_host: { type: "word", from: "detection", about: "source of the detection as sent" },
  dst_host: { type: "word", from: "detection", about: "destination of the detection as sent" },
  "src.net": { type: "address", from: "detection", about: "address of src_host, where it is one" },
  "dst.net": { type: "address", from: "detection", about: "address of dst_host, where it is one" },
  "src.class": { type: "word", from: "detection", about: "inventory class of the source" },
  "dst.class": { type: "word", from: "detection", about: "inventory class of the destination" },
  "dst.criticality": {
    type: "ordinal",
    from: "detection",
    about: "inventory criticality of the destination",
    values: severityOrder,
  },
  site: { type: "word", from: "detection", about: "site that decides" },
  action: { type: "word", from: "candidate", about: "granted action", values: actionNames },
  "target.type": {
    type: "word",
    from: "candidate",
    about: "type of the target",
    values: ["address", "network", "host", "user", "domain", "process", "file", "key"],
  },
  "target.role": {
    type: "word",
    from: "candidate",
    about: "part the target plays in the detection",
    values: ["source", "destination", "attacker", "victim", "actor", "target"],
  },
  "target.value": { type: "word", from: "candidate", about: "the target itself" },
  "target.net": { type: "address", from: "candidate", about: "the target, where it is an address" },
  "asset.class": { type: "word", from: "candidate", about: "inventory class of the target" },
  "asset.criticality": {
    type: "ordinal",
    from: "candidate",
    about: "inventory criticality of the target",
    values: severityOrder,
  },
  "asset.owner": { type: "word", from: "candidate", about: "inventory owner of the target" },
  "asset.groups": { type: "words", from: "candidate", about: "inventory groups of the target" },
  "asset.exposure": { type: "ordinal", from: "candidate", about: "exposure of the target", values: exposureOrder },
  "asset.subnet": { type: "word", from: "candidate", about: "inventory subnet of the target" },
  "asset.known": {
    type: "flag",
    from: "candidate",
    about: "true when the inventory knows the target as exactly one thing; never unknown",
  },
} as const satisfies Record<string, Field>;

export type FieldName = keyof typeof fields;
export const fieldNames = Object.keys(fields) as readonly FieldName[];
export const isFieldName = (name: string): name is FieldName => Object.hasOwn(fields, name);

/** Operators each type allows. `in` with one value is "equals"; lists are OR. No regular expressions: exact analysis ends there. */
export const operatorsByType: Readonly<Record<FieldType, readonly Operator[]>> = {
  decimal: ["gt", "gte", "lt", "lte", "present"],
  ordinal: ["in", "not_in", "gt", "gte", "lt", "lte", "present"],
  word: ["in", "not_in", "present"],
  words: ["has_any", "has_all", "present"],
  address: ["in_cidr", "outside", "overlaps", "present"],
  flag: ["in"],
};
