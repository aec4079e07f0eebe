import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGrpcCalls } from "@reflex/edge-agent/adapters/outbound-grpc";
import { createSecrets } from "@reflex/edge-agent/adapters/secrets";
import type { Connector } from "@reflex/edge-agent/connectors/contract";
import { openGrpc } from "@reflex/edge-agent/connectors/grpc/open";
import { createFakeVelociraptor, type VelociraptorFake, velociraptorUser } from "../fakes/velociraptor.ts";
import { type FaultyGrpcServer, startFaultyGrpcServer } from "../grpc-faults.ts";
import type { Subject } from "../subject.ts";

/** The fake behind mutual TLS under the name that all Velociraptor servers have. */
export const serveVelociraptor = (fake: VelociraptorFake): Promise<FaultyGrpcServer> =>
  startFaultyGrpcServer({
    proto: fake.proto,
    service: "proto.API",
    handlers: { Query: fake.query },
    changeCount: () => fake.changes().length,
    name: "VelociraptorServer",
    asksCertificate: true,
  });

const indented = (pem: string): string => pem.trim().replaceAll("\n", "\n  ");

/** As a site has it: one file of `velociraptor config api_client`, which nobody else may read. */
export const openVelociraptor = (server: FaultyGrpcServer, folder: string): Connector => {
  const apiConfig = join(folder, "api_client.yaml");
  const text = [
    `ca_certificate: |\n  ${indented(server.caPem)}`,
    `client_cert: |\n  ${indented(server.client.cert)}`,
    `client_private_key: |\n  ${indented(server.client.key)}`,
    `api_connection_string: localhost:${server.port}`,
    `name: ${velociraptorUser}`,
  ].join("\n");
  writeFileSync(apiConfig, `${text}\n`, { mode: 0o600 });
  const opened = openGrpc(
    {
      kind: "grpc",
      name: "velociraptor",
      manifest: "velociraptor",
      api_config: `file:${apiConfig}`,
      settings: { api_user: velociraptorUser },
    },
    {
      secrets: createSecrets({}),
      clock: { nowMs: Date.now },
      readText: (path) => readFileSync(path, "utf8"),
      packFile: (name) => join(import.meta.dirname, "../../../edge-agent/packs", `${name}.yaml`),
      openGrpc: createGrpcCalls,
      publicAuthorities: () => [],
    },
  );
  if (!opened.ok) throw new Error(opened.error);
  return opened.value;
};

export const subjects: readonly Subject[] = [
  {
    name: "velociraptor",
    action: "isolate_host",
    target: { type: "host", value: "web01" },
    otherTarget: { type: "host", value: "WEB02.corp.example" },
    illegalTargets: [
      { type: "host", value: "twin" },
      { type: "host", value: "nobody" },
      { type: "host", value: "mac01" },
      { type: "host", value: '" OR TRUE OR hostname = "' },
      { type: "host", value: ".*" },
      { type: "address", value: "203.0.113.9" },
    ],
    notApplicable: {
      "lists ours alone": "flows are kept by client: a list would read those of every client of the organisation",
    },
    open: async () => {
      const fake = createFakeVelociraptor();
      const server = await serveVelociraptor(fake);
      const folder = mkdtempSync(join(tmpdir(), "reflex-velociraptor-"));
      return {
        connector: async () => {
          const connector = openVelociraptor(server, folder);
          await connector.start();
          return connector;
        },
        secrets: () => [server.client.key.split("\n")[1] ?? ""],
        present: async () => fake.present(),
        changes: async () => fake.changes(),
        faults: server.faults,
        addForeign: async () => {
          fake.quarantineBy("analyst", "db01");
          return "isolate_host db01";
        },
        addSame: async () => fake.quarantineBy("analyst", "web01"),
        close: async () => {
          await server.close();
          rmSync(folder, { recursive: true, force: true });
        },
      };
    },
  },
];
