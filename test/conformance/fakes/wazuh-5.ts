import type { Fake, FakeAnswer, FakeChange, FakeRequest } from "../fake.ts";
import { isObject, readJsonObject, segmentsOf } from "./fake-body.ts";
import { basicAuthorization } from "./token-desk.ts";

/**
 * Wazuh 5.0 indexer with the manager and agents behind it, from github.com/wazuh/wazuh docs/ref/modules/active-response/
 * (architecture.md: the document, AR_SCHEMA, the read; configuration.md: response timing) and the OpenSearch index and search APIs.
 * Quirks kept: there is no endpoint; a document in `wazuh-active-responses` is read by the manager later, and one that does not
 * pass its schema, or points to an event that is not there, is thrown away without a word to whoever wrote it; unknown field
 * names are refused by the index; an id that is there is 409; a stateful one ends by itself; nothing says whether it ran.
 */
export const wazuh5Account = {
  user: "reflex",
  password: "planted-wazuh5-password",
  eventIndex: "wazuh-events-v5-reflex",
} as const;

export const wazuh5Hosts = {
  free: { name: "app-081", id: "081" },
  other: { name: "app-082", id: "082" },
  foreign: { name: "app-083", id: "083" },
  twice: { name: "app-twice" },
  gateway: { name: "gw-5", id: "090" },
} as const;

const agents = [
  { id: wazuh5Hosts.free.id, name: "app-081", ip: "10.0.8.81", groups: ["default", "web"] },
  { id: wazuh5Hosts.other.id, name: "app-082", ip: "10.0.8.82", groups: ["default"] },
  { id: wazuh5Hosts.foreign.id, name: "app-083", ip: "10.0.8.83", groups: ["default"] },
  { id: "084", name: "app-twice", ip: "10.0.8.84", groups: ["default"] },
  { id: "085", name: "app-twice", ip: "10.0.8.85", groups: ["default"] },
  { id: wazuh5Hosts.gateway.id, name: "gw-5", ip: "10.0.8.1", groups: ["gateway"] },
] as const;

const activeResponses = "wazuh-active-responses";
const inventory = "wazuh-states-inventory-system*";
const eventIndexPattern = /^(?:\.ds-)?wazuh-(?:events|findings)-v5-[a-z0-9._-]+$/;
/** What the scripts do on the agent, by name: applies, or takes back. */
const executables: Readonly<Record<string, { readonly action: string; readonly verb: FakeChange["verb"] }>> = {
  "reflex-isolate": { action: "isolate_host", verb: "apply" },
  "reflex-release": { action: "isolate_host", verb: "undo" },
  "block-ip": { action: "block_ip", verb: "apply" },
  "reflex-unblock-ip": { action: "block_ip", verb: "undo" },
};

type Document = Readonly<Record<string, unknown>>;

export const createFakeWazuh5 = (): Fake => {
  const documents = new Map<string, Document>();
  const present = new Set<string>();
  const changes: FakeChange[] = [];

  const create = (request: FakeRequest, index: string, id: string): FakeAnswer => {
    const document = readJsonObject(request);
    if (document === undefined) return failed(400, "mapper_parsing_exception", "failed to parse");
    if (index !== activeResponses && index !== wazuh5Account.eventIndex)
      return failed(
        403,
        "security_exception",
        `no permissions for [indices:data/write/index] and User [name=${wazuh5Account.user}]`,
      );
    const unknown = index === activeResponses ? strayNameIn(document) : undefined;
    if (unknown !== undefined)
      return failed(
        400,
        "strict_dynamic_mapping_exception",
        `mapping set to strict, dynamic introduction of [${unknown}] is not allowed`,
      );
    const key = `${index}/${id}`;
    if (documents.has(key))
      return failed(
        409,
        "version_conflict_engine_exception",
        `[${id}]: version conflict, document already exists (current version [1])`,
      );
    documents.set(key, document);
    if (index === activeResponses) managerReads(document);
    return {
      status: 201,
      json: {
        _index: index,
        _id: id,
        _version: 1,
        result: "created",
        _shards: { total: 2, successful: 1, failed: 0 },
        _seq_no: documents.size,
        _primary_term: 1,
      },
    };
  };

  /** What cannot be run is thrown away, and whoever wrote it never hears of it. */
  const managerReads = (document: Document): void => {
    const response = readActiveResponse(document);
    const event = response === undefined ? undefined : documents.get(response.eventKey);
    const executable = response === undefined ? undefined : executables[response.executable];
    if (response === undefined || event === undefined || executable === undefined) return;
    if (!agents.some(({ id }) => id === response.agentId)) return;
    const source = event["source"];
    const address = isObject(source) ? source["ip"] : undefined;
    if (executable.action === "block_ip" && typeof address !== "string") return;
    const key = executable.action === "block_ip" ? `block_ip ${String(address)}` : `isolate_host ${response.agentId}`;
    if (present.has(key) === (executable.verb === "apply")) return;
    if (executable.verb === "apply") present.add(key);
    else present.delete(key);
    changes.push({ verb: executable.verb, key });
  };

  const search = (request: FakeRequest): FakeAnswer => {
    const query = readJsonObject(request)?.["query"];
    const term = isObject(query) ? query["term"] : undefined;
    const wanted = isObject(term) ? term["wazuh.agent.name"] : undefined;
    if (typeof wanted !== "string") return failed(400, "parsing_exception", "[term] query malformed");
    const hits = agents
      .filter(({ name }) => name === wanted)
      .map(({ id, name, ip, groups }) => ({
        _index: "wazuh-states-inventory-system",
        _id: `cluster_${id}`,
        _score: 1,
        _source: {
          wazuh: { agent: { id, name, groups, version: "v5.0.0", host: { ip: [ip] } } },
          host: { hostname: name },
        },
      }));
    return {
      status: 200,
      json: {
        took: 1,
        timed_out: false,
        _shards: { total: 1, successful: 1, skipped: 0, failed: 0 },
        hits: { total: { value: hits.length, relation: "eq" }, max_score: 1, hits },
      },
    };
  };

  return {
    handle: (request) => {
      if (request.headers["authorization"] !== basicAuthorization(wazuh5Account.user, wazuh5Account.password))
        return { status: 401, text: "Unauthorized" };
      const [index, verb, id] = segmentsOf(request.path) ?? [];
      if (index === inventory && verb === "_search" && ["GET", "POST"].includes(request.method)) return search(request);
      if (index !== undefined && verb === "_create" && id !== undefined && ["PUT", "POST"].includes(request.method))
        return create(request, index, id);
      return failed(404, "index_not_found_exception", `no such index [${index}]`);
    },
    present: () => [...present].sort(),
    changes: () => [...changes],
    addForeign: () => {
      present.add(`isolate_host ${wazuh5Hosts.foreign.id}`);
      return `isolate_host ${wazuh5Hosts.foreign.id}`;
    },
  };
};

/** A name that the index's own template does not know. */
const strayNameIn = (document: Document): string | undefined =>
  Object.keys(document).find((name) => !["@timestamp", "event", "wazuh"].includes(name));

const activeResponseNames = [
  "name",
  "executable",
  "extra_arguments",
  "type",
  "stateful_timeout",
  "location",
  "agent_id",
];

/** AR_SCHEMA, for the one location that Reflex uses. */
const readActiveResponse = (document: Document) => {
  const { event, wazuh } = document;
  const response = isObject(wazuh) ? wazuh["active_response"] : undefined;
  if (!isObject(event) || !isObject(response) || typeof document["@timestamp"] !== "string") return undefined;
  const { index, doc_id: documentId } = event;
  const {
    name,
    executable,
    extra_arguments: extra,
    type,
    stateful_timeout: timeout,
    location,
    agent_id: agentId,
  } = response;
  const isWhole =
    typeof index === "string" &&
    eventIndexPattern.test(index) &&
    typeof documentId === "string" &&
    documentId !== "" &&
    Object.keys(response).every((one) => activeResponseNames.includes(one)) &&
    typeof name === "string" &&
    typeof executable === "string" &&
    (extra === null || typeof extra === "string") &&
    (type === "stateless" || (type === "stateful" && Number.isInteger(timeout) && Number(timeout) > 0)) &&
    location === "defined-agent" &&
    typeof agentId === "string" &&
    agentId !== "";
  return isWhole ? { eventKey: `${index}/${documentId}`, executable, agentId } : undefined;
};

const failed = (status: number, type: string, reason: string): FakeAnswer => ({
  status,
  json: { error: { root_cause: [{ type, reason }], type, reason }, status },
});
