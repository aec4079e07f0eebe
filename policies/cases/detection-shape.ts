import { confidenceOrigins, severities, sourceDomains, utcTimestampPattern } from "@reflex/protocol/detection";
import { type Entity, entityRoles, entityTypes } from "@reflex/protocol/entity";
import {
  enrichmentFieldsMax,
  entitiesMax,
  entityValueLengthMax,
  tagLengthMax,
  tagsMax,
  textLengthMax,
} from "@reflex/protocol/limits";
import { readAddressText } from "../language/address-text.ts";
import type { Position, Problems } from "../language/policy-error.ts";
import { block, list, name, number, oneOrMany, type ReadKeys, type Shape, text } from "../language/shape.ts";
import { writeInstead } from "../language/suggest.ts";
import type { CaseDetection } from "./case-detection.ts";

const word = (expected: string, lengthMax: number) => text({ expected, lengthMax });

const entityBlock = block("an entity", {
  type: { shape: name("a type of entity", entityTypes), about: "type", missing: "write type: address" },
  value: {
    shape: word("a value", entityValueLengthMax),
    about: "value",
    missing: "write value: and the entity itself",
  },
  role: { shape: name("a role of an entity", entityRoles), about: "part it plays in the detection" },
});

const entityText = word("an entity such as attacker.address 203.0.113.9", entityValueLengthMax + 32);

/** `attacker.address 203.0.113.9`, `user alice`, or the wire form { type, value, role }. */
const entity: Shape<Entity> = {
  schema: {
    anyOf: [
      { type: "string", pattern: `^((${entityRoles.join("|")})\\.)?(${entityTypes.join("|")}) .+$` },
      entityBlock.schema,
    ],
  },
  read: (node, problems) => {
    if (node.kind === "map") {
      const { type, value, role } = entityBlock.read(node, problems) ?? {};
      if (type === undefined || value === undefined) return undefined;
      return legalEntity({ type, value, ...(role === undefined ? {} : { role }) }, node.at, problems);
    }
    const written = entityText.read(node, problems);
    if (written === undefined) return undefined;
    const [, selector = "", value = ""] = /^(\S+)\s+(.+)$/.exec(written) ?? [];
    const [first = "", second] = selector.split(".");
    const typeText = second ?? first;
    const type = entityTypes.find((known) => known === typeText);
    if (type === undefined) {
      const fix =
        typeText === ""
          ? "write an entity as `attacker.address 203.0.113.9` or `user alice`"
          : writeInstead(typeText, entityTypes);
      return problems.report(node.at, `${JSON.stringify(written)} does not begin with a type of entity`, fix);
    }
    if (second === undefined) return legalEntity({ type, value }, node.at, problems);
    const role = entityRoles.find((known) => known === first);
    if (role === undefined)
      return problems.report(node.at, `"${first}" is not a role of an entity`, writeInstead(first, entityRoles));
    return legalEntity({ type, value, role }, node.at, problems);
  },
};

/** A case about an impossible entity would pass or fail for the wrong reason. */
const legalEntity = (found: Entity, at: Position, problems: Problems): Entity | undefined => {
  if (found.type === "address" || found.type === "network") {
    const address = readAddressText(found.value);
    const isWanted = address.kind === "legal" && (address.prefix !== undefined) === (found.type === "network");
    if (isWanted) return { ...found, value: address.text };
    const example = found.type === "address" ? "address 203.0.113.9" : "network 203.0.113.0/24";
    return problems.report(
      at,
      `${JSON.stringify(found.value)} is not a legal ${found.type}`,
      `write an entity such as ${example}`,
    );
  }
  if (found.type === "file" && !/^[0-9a-f]{64}$/.test(found.value)) {
    return problems.report(at, "a file is named by its SHA-256", "write 64 hexadecimal digits in lower case");
  }
  return found;
};

const ruleKeys = {
  id: { shape: word("a rule id", 256), about: "vendor's rule id" },
  name: { shape: word("a rule name", textLengthMax), about: "vendor's rule name" },
  origin: { shape: word("a rule origin such as known_ioc", 64), about: "kind of rule" },
} as const;
const sourceKeys = {
  kind: { shape: word("a source kind such as suricata", 64), about: "format of the source" },
  domain: { shape: name("a source domain", sourceDomains), about: "where the source looks" },
  sensor: { shape: word("a sensor name", entityValueLengthMax), about: "sensor or manager name" },
} as const;

const enrichment: Shape<Record<string, string | number | boolean>> = {
  schema: { type: "object", additionalProperties: { type: ["string", "number", "boolean"] } },
  read: (node, problems) => {
    if (node.kind !== "map") return problems.report(node.at, "enrichment must be a block", "write { key: value }");
    if (node.entries.length > enrichmentFieldsMax)
      return problems.report(node.at, "enrichment has too many keys", `keep at most ${enrichmentFieldsMax}`);
    const facts: [string, string | number | boolean][] = [];
    for (const { key, keyAt, value } of node.entries) {
      if (!/^[a-z0-9_.-]{1,64}$/.test(key))
        problems.report(keyAt, `"${key}" is not an enrichment key`, "write lower-case letters, digits, _, . and -");
      else if (value.kind !== "scalar" || value.value === null)
        problems.report(value.at, `${key} must be a text, number, true or false`, "write one value");
      else facts.push([key, value.value]);
    }
    return Object.fromEntries(facts);
  },
};

const keys = {
  event_id: { shape: word("an event id", 256), about: "default: case" },
  timestamp: {
    shape: text({ expected: "a time such as 2026-01-01T12:00:00.000Z", lengthMax: 24, pattern: utcTimestampPattern }),
    about: "default: 2026-01-01T12:00:00.000Z",
  },
  confidence: { shape: number("a confidence", 0, 1), about: "default: 0.5" },
  confidence_origin: { shape: name("an origin of confidence", confidenceOrigins), about: "default: vendor" },
  severity: { shape: name("a severity", severities), about: "default: medium" },
  src_host: { shape: word("a host or address", entityValueLengthMax), about: "source as sent" },
  dst_host: { shape: word("a host or address", entityValueLengthMax), about: "destination as sent" },
  tags: {
    shape: oneOrMany(text({ expected: "a tag in lower case", lengthMax: tagLengthMax, pattern: "^[^A-Z]+$" }), {
      what: "tags",
      maxItems: tagsMax,
    }),
    about: "default: none",
  },
  recommended_action: { shape: word("an action", 64), about: "what the SIEM recommends" },
  policy_scope: { shape: word("a scope", 64), about: "scope the SIEM sent" },
  correlation_id: { shape: word("a correlation id", 256), about: "correlation id" },
  entities: {
    shape: list(entity, { what: "entities", maxItems: entitiesMax }),
    about: "entities: `attacker.address 203.0.113.9`, `victim.host ws-017`, `user alice`",
  },
  rule: { shape: block("rule", ruleKeys), about: "rule, as sent" },
  "rule.id": { ...ruleKeys.id },
  "rule.name": { ...ruleKeys.name },
  "rule.origin": { ...ruleKeys.origin, about: "kind of rule; default: signature" },
  source: { shape: block("source", sourceKeys), about: "source, as sent" },
  "source.kind": { ...sourceKeys.kind, about: "format of the source; default: native" },
  "source.domain": { ...sourceKeys.domain, about: "where the source looks; default: network" },
  "source.sensor": { ...sourceKeys.sensor },
  enrichment: { shape: enrichment, about: "facts beside the known fields" },
} as const;

const detectionBlock = block("a case's detection", keys, {
  agreement: "write it into `given:` beside `detection:`",
  history: "write it into `given:` beside `detection:`",
  score: "the score is computed; write confidence and severity",
  "asset.class": "the inventory says it; name an entity of the inventory",
  attacker: "write entities: [attacker.address 203.0.113.9]",
  victim: "write entities: [victim.host ws-017]",
  user: "write entities: [user alice]",
});

const defined = (record: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));

export const caseDetection: Shape<CaseDetection> = {
  schema: detectionBlock.schema,
  read: (node, problems) => {
    const read: ReadKeys<typeof keys> | undefined = detectionBlock.read(node, problems);
    if (read === undefined) return undefined;
    const { rule, source, "rule.id": id, "rule.name": ruleName, "rule.origin": origin, ...rest } = read;
    const { "source.kind": kind, "source.domain": domain, "source.sensor": sensor, ...plain } = rest;
    const wholeRule = { ...rule, ...defined({ id, name: ruleName, origin }) };
    const wholeSource = { ...source, ...defined({ kind, domain, sensor }) };
    return {
      ...plain,
      ...(Object.keys(wholeRule).length === 0 ? {} : { rule: wholeRule }),
      ...(Object.keys(wholeSource).length === 0 ? {} : { source: wholeSource }),
    };
  },
};
