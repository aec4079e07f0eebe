import { hash } from "node:crypto";
import type { FakeChange } from "../fake.ts";
import type { GrpcHandler, GrpcMessage } from "../grpc-server.ts";

/**
 * A Velociraptor server's API.Query, for the four queries that our pack sends and no other: it takes them by the digest of their
 * text, so that a changed query meets a fake that does not know it, and knows values from Env alone. Made from
 *
 * - github.com/Velocidex/pyvelociraptor (api.proto, client_example.py) and github.com/Velocidex/velociraptor api/query.go:
 *   messages, logs between answers, what is denied is a line of the log
 * - docs.velociraptor.app/vql_reference/server: clients, client_info, flows, collect_client
 * - docs.velociraptor.app/artifact_references/pages/{windows,linux}.remediation.quarantine: RemovePolicy and what they say
 *
 * Not checked by it: whether a server reads the VQL as we mean it.
 */
export type VelociraptorFake = {
  readonly proto: string;
  readonly query: GrpcHandler;
  readonly present: () => readonly string[];
  /** What our own flows changed. */
  readonly changes: () => readonly FakeChange[];
  /** An analyst quarantines a host in the console. */
  readonly quarantineBy: (user: string, hostname: string) => void;
  readonly label: (hostname: string, label: string) => void;
  /** Clients that are away carry out their flows when they are back. */
  readonly setAway: (hostname: string, isAway: boolean) => void;
  /** The quarantine of this host loses the way back to the server, so the artifact takes it away again. */
  readonly loseWayBack: (hostname: string) => void;
  /** The API user may not read any more. */
  readonly deny: () => void;
  /** Every Env value and VQL text so far. */
  readonly heard: () => readonly { readonly vql: string; readonly env: Readonly<Record<string, string>> }[];
};

export const velociraptorUser = "reflex";
const domain = "corp.example";
const artifacts: Readonly<Record<string, string>> = {
  windows: "Windows.Remediation.Quarantine",
  linux: "Linux.Remediation.Quarantine",
};

/** SHA-256 of each query, by its name. */
const knownQueries: Readonly<Record<string, string>> = {
  "reflex-resolve": "7b808a1af635ca236ef10989a6c6c777a05e497fbe7f131a1425ddf1a2e01111",
  "reflex-quarantine": "30d38bc081e75039a842875680bccf6f19da1055f6322ebe7bfa452c2f7da17f",
  "reflex-verify": "26f4c0b854b6f0b66f30bceb41fdb2ae8be5a66ac6b81dcb66fc8c074c3c690c",
  "reflex-release": "f7f271f3970adb2eeda1b0f9ae7a7ec7d176a0e1948ac3ac1d94305aa64f3f30",
};

type Client = {
  readonly id: string;
  readonly hostname: string;
  readonly system: string;
  readonly labels: string[];
  readonly flows: Flow[];
  isAway: boolean;
  hasWayBack: boolean;
};
type Flow = {
  readonly id: string;
  readonly creator: string;
  readonly remove: "Y" | "N";
  state: "WAITING" | "FINISHED";
  result: string;
};
type Row = Readonly<Record<string, unknown>>;

export const createFakeVelociraptor = (): VelociraptorFake => {
  const clients: Client[] = [
    ["web01", "windows"],
    ["web02", "linux"],
    ["twin", "windows"],
    ["twin", "linux"],
    ["mac01", "darwin"],
    ["db01", "linux"],
  ].map(([hostname = "", system = ""], index) => ({
    id: `C.${(0xabc0 + index).toString(16).padStart(16, "0")}`,
    hostname,
    system,
    labels: [],
    flows: [],
    isAway: false,
    hasWayBack: true,
  }));
  const changes: FakeChange[] = [];
  const heard: { vql: string; env: Readonly<Record<string, string>> }[] = [];
  let isDenied = false;
  let serial = 0;

  const isOn = ({ flows }: Client): boolean => {
    const last = flows.findLast(({ state }) => state === "FINISHED");
    return last?.remove === "N" && last.result.includes("connection test successful");
  };
  const run = (client: Client): void => {
    for (const flow of client.flows.filter(({ state }) => state === "WAITING")) {
      if (client.isAway) return;
      const before = isOn(client);
      flow.state = "FINISHED";
      if (flow.remove === "Y") flow.result = "policy removed.";
      else flow.result = client.hasWayBack ? "connection test successful." : "failed connection test. Removing policy.";
      const after = isOn(client);
      if (before !== after && flow.creator === velociraptorUser)
        changes.push({ verb: after ? "apply" : "undo", key: `isolate_host ${client.hostname}` });
    }
  };
  const collect = (client: Client, creator: string, remove: Flow["remove"]): Flow => {
    serial += 1;
    const flow: Flow = {
      id: `F.${serial.toString(36).toUpperCase().padStart(8, "0")}`,
      creator,
      remove,
      state: "WAITING",
      result: "",
    };
    client.flows.push(flow);
    run(client);
    return flow;
  };
  const lastOf = (client: Client, isWanted: (flow: Flow) => boolean = () => true): Flow | undefined =>
    client.flows.findLast(isWanted);
  const artifactOf = (client: Client | undefined): string =>
    client === undefined || isDenied ? "" : (artifacts[client.system] ?? "");
  const stateOf = (flow: Flow | undefined): string | null => (flow?.state === "FINISHED" ? "FINISHED" : null);

  const queries: Readonly<Record<string, (env: Readonly<Record<string, string>>) => readonly Row[]>> = {
    "reflex-resolve": ({ ReflexHost: host = "" }) =>
      clients
        .filter(({ system }) => system in artifacts)
        .filter(({ hostname }) => [hostname, `${hostname}.${domain}`].includes(host.toLowerCase()))
        .slice(0, 3)
        .map(({ id, hostname, labels }) => ({ client_id: id, hostname, fqdn: `${hostname}.${domain}`, labels })),
    "reflex-quarantine": ({ ReflexClient: id, ReflexUser: user = "" }) => {
      const client = clients.find((one) => one.id === id);
      const artifact = artifactOf(client);
      if (client === undefined || artifact === "") return [{ artifact, flow: "", state: null, result: "" }];
      const before = lastOf(client, ({ creator }) => creator === user);
      const flow = before?.remove === "N" ? before : collect(client, velociraptorUser, "N");
      return [{ artifact, flow: flow.id, state: stateOf(flow), result: flow.result }];
    },
    "reflex-verify": ({ ReflexClient: id }) => {
      const client = clients.find((one) => one.id === id);
      const last = client === undefined || isDenied ? undefined : lastOf(client);
      if (last === undefined) return [{ flows: 0, state: null, remove: null, result: "" }];
      return [{ flows: 1, state: last.state, remove: last.remove, result: last.result }];
    },
    "reflex-release": ({ ReflexClient: id, ReflexUser: user = "" }) => {
      const client = clients.find((one) => one.id === id);
      const artifact = artifactOf(client);
      if (client === undefined || artifact === "")
        return [{ artifact, theirs: false, ours: false, flow: "", state: null }];
      const ours = lastOf(client, ({ creator }) => creator === user);
      const other = lastOf(client, ({ creator }) => creator !== user);
      const theirs = client.labels.includes("Quarantine") || other?.remove === "N";
      const isOurs = ours !== undefined && (ours.remove === "N" || ours.state !== "FINISHED");
      if (theirs || !isOurs) return [{ artifact, theirs, ours: isOurs, flow: "", state: null }];
      const flow = ours.remove === "Y" ? ours : collect(client, velociraptorUser, "Y");
      return [{ artifact, theirs, ours: isOurs, flow: flow.id, state: stateOf(flow) }];
    },
  };

  const query: GrpcHandler = async (message) => {
    const [asked, ...others] = (message["Query"] ?? []) as GrpcMessage[];
    const pairs = (message["env"] ?? []) as readonly { readonly key: string; readonly value: string }[];
    const env = Object.fromEntries(pairs.map(({ key, value }) => [key, value]));
    const [name, vql] = [String(asked?.["Name"]), String(asked?.["VQL"])];
    heard.push({ vql, env });
    const answer = queries[name];
    const started = { log: "vql: Starting query execution." };
    if (others.length > 0 || answer === undefined || hash("sha256", vql, "hex") !== knownQueries[name])
      return { messages: [started, { log: `VQL Error: ${name} is not a query that this fake knows.` }] };
    if (message["org_id"] !== "root") return { messages: [started, { log: "ERROR: no such org" }] };
    const rows = answer(env);
    return {
      messages: [
        started,
        ...(isDenied ? [{ log: "flows: PermissionDenied: User reflex requires permission READ_RESULTS" }] : []),
        { Response: JSON.stringify(rows), Columns: Object.keys(rows[0] ?? {}) },
      ],
    };
  };

  const named = (hostname: string): Client => {
    const found = clients.find((one) => one.hostname === hostname);
    if (found === undefined) throw new Error(`no client ${hostname}`);
    return found;
  };
  return {
    proto,
    query,
    present: () => clients.filter(isOn).map(({ hostname }) => `isolate_host ${hostname}`),
    changes: () => changes,
    quarantineBy: (user, hostname) => void collect(named(hostname), user, "N"),
    label: (hostname, label) => void named(hostname).labels.push(label),
    setAway: (hostname, isAway) => {
      const client = named(hostname);
      client.isAway = isAway;
      run(client);
    },
    loseWayBack: (hostname) => {
      named(hostname).hasWayBack = false;
    },
    deny: () => {
      isDenied = true;
    },
    heard: () => heard,
  };
};

/** Written from Velociraptor's own, so that a wrong number in our pack is noticed. */
const proto = `
syntax = "proto3";
package proto;
message VQLRequest { string VQL = 1; string Name = 2; }
message VQLEnv { string key = 1; string value = 2; }
message VQLCollectorArgs {
  repeated VQLRequest Query = 2;
  repeated VQLEnv env = 3;
  uint64 max_row = 4;
  uint64 max_wait = 6;
  float ops_per_second = 24;
  string org_id = 35;
}
message VQLTypeMap { string column = 1; string type = 2; }
message VQLResponse {
  string Response = 1;
  repeated string Columns = 2;
  VQLRequest Query = 3;
  uint64 timestamp = 4;
  uint64 query_id = 5;
  uint64 part = 6;
  uint64 total_rows = 7;
  repeated VQLTypeMap types = 8;
  string log = 9;
}
service API { rpc Query(VQLCollectorArgs) returns (stream VQLResponse); }
`;
