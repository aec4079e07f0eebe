import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGrpcCalls } from "@reflex/edge-agent/adapters/outbound-grpc";
import { createSecrets } from "@reflex/edge-agent/adapters/secrets";
import { openGrpc } from "@reflex/edge-agent/connectors/grpc/open";
import { startGrpcFarEnd } from "../grpc-far-end.ts";
import { startFaultyGrpcServer } from "../grpc-faults.ts";
import { protoIn } from "../grpc-server.ts";
import { illegalAddresses } from "../illegal-targets.ts";
import type { Subject } from "../subject.ts";

const manifest = join(import.meta.dirname, "..", "far-end.yaml");
const token = "grpc-planted-token-9f3b5c";
/** The far end as a product that wants a token. */
const manifestText = readFileSync(manifest, "utf8").replace(
  "auth: none",
  "secrets:\n  token: { about: token }\nauth: { bearer: $secrets.token }",
);

/** A manifest over gRPC, in front of a real gRPC server. */
export const subjects: readonly Subject[] = [
  {
    name: "grpc (grpc-js server)",
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "203.0.113.10" },
    illegalTargets: illegalAddresses,
    open: async () => {
      const farEnd = await startGrpcFarEnd();
      const effects = () => farEnd.counts().calls.filter(({ hasEffect }) => hasEffect);
      const server = await startFaultyGrpcServer({
        proto: protoIn("far-end.yaml"),
        service: "farend.v1.Enforcement",
        handlers: farEnd.handlers,
        changeCount: () => effects().length,
        name: "localhost",
      });
      const folder = mkdtempSync(join(tmpdir(), "reflex-grpc-"));
      const caFile = join(folder, "ca.pem");
      writeFileSync(caFile, server.caPem);
      return {
        connector: async () => {
          const opened = openGrpc(
            {
              kind: "grpc",
              name: "grpc",
              manifest,
              base_url: `https://localhost:${server.port}`,
              ca_file: caFile,
              secrets: { token: "env:TOKEN" },
            },
            {
              secrets: createSecrets({ TOKEN: token }),
              clock: { nowMs: Date.now },
              readText: (path) => (path === manifest ? manifestText : readFileSync(path, "utf8")),
              packFile: (name) => name,
              openGrpc: createGrpcCalls,
              publicAuthorities: () => [],
            },
          );
          if (!opened.ok) throw new Error(opened.error);
          await opened.value.start();
          return opened.value;
        },
        secrets: () => [token],
        present: async () => farEnd.present().map((target) => `block_ip ${target}`),
        changes: async () => effects().map(({ verb, target }) => ({ verb, key: `block_ip ${target}` })),
        faults: server.faults,
        addForeign: async () => {
          farEnd.addForeign("192.0.2.77");
          return "block_ip 192.0.2.77";
        },
        addSame: async () => farEnd.addForeign("203.0.113.9"),
        close: async () => {
          farEnd.cut();
          await server.close();
          rmSync(folder, { recursive: true, force: true });
        },
      };
    },
  },
];
