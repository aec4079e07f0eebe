import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { status } from "@grpc/grpc-js";
import { createConnector } from "@reflex/edge-agent/adapters/connectors";
import { createGrpcCalls } from "@reflex/edge-agent/adapters/outbound-grpc";
import { createSecrets } from "@reflex/edge-agent/adapters/secrets";
import type { Connector } from "@reflex/edge-agent/connectors/contract";
import type { GrpcConfig } from "@reflex/edge-agent/connectors/grpc/config";
import { openGrpc } from "@reflex/edge-agent/connectors/grpc/open";
import type { Result } from "@reflex/protocol/result";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { readGrpcCounts } from "./grpc-counts.ts";
import { startGrpcFarEnd } from "./grpc-far-end.ts";
import { type GrpcMessage, protoIn, startGrpcServer } from "./grpc-server.ts";
import { newCall as callFor } from "./stage.ts";

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const manifest = join(import.meta.dirname, "far-end.yaml");
const plantedToken = "grpc-planted-token-0123456789";
const open = (more: Partial<GrpcConfig>, files: Readonly<Record<string, string>> = {}): Result<Connector, string> =>
  openGrpc(
    { kind: "grpc", name: "grpc", manifest, ...more },
    {
      secrets: createSecrets({ TOKEN: plantedToken, API: `client_private_key: ${plantedToken}` }),
      clock: { nowMs: Date.now },
      readText: (path) => files[path] ?? readFileSync(path, "utf8"),
      packFile: (name) => `${name}.yaml`,
      openGrpc: createGrpcCalls,
      publicAuthorities: () => [],
    },
  );
const connectorAt = (
  port: number,
  more: Partial<GrpcConfig> = {},
  files?: Readonly<Record<string, string>>,
): Connector => {
  const connector = open({ base_url: `http://127.0.0.1:${port}`, ...more }, files);
  if (!connector.ok) throw new Error(connector.error);
  opened.push(connector.value.stop);
  return connector.value;
};
const block = (value = "203.0.113.9") => callFor("block_ip", { type: "address", value });

describe("a manifest over gRPC", () => {
  test("what a value holds fills its field, whatever it looks like, and changes nothing else", async () => {
    const heard: GrpcMessage[] = [];
    const server = await startGrpcServer({
      proto: protoIn("far-end.yaml"),
      service: "farend.v1.Enforcement",
      handlers: {
        Apply: async (message) => {
          heard.push(message);
          return { messages: [{ changed: true }] };
        },
      },
    });
    opened.push(server.cut);
    const connector = connectorAt(server.port);
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: "grapheme", maxLength: 200 }),
        fc.string({ maxLength: 60 }),
        async (reason, id) => {
          const call = { ...block(), reason, commandId: id };
          expect(await connector.apply(call)).toEqual({ kind: "applied" });
          expect(heard.at(-1)).toEqual({
            target: "203.0.113.9",
            key: call.idempotencyKey,
            ttl_seconds: 600,
            reason,
            mark: { command: id, decision: call.decisionId },
          });
        },
      ),
      { numRuns: 200 },
    );
  });

  test("each no of the far end means what the manifest language says", async () => {
    const far = await startGrpcFarEnd();
    opened.push(far.cut);
    const connector = connectorAt(far.port());
    const said: Record<string, string> = {};
    for (const name of [
      "INVALID_ARGUMENT",
      "NOT_FOUND",
      "PERMISSION_DENIED",
      "FAILED_PRECONDITION",
      "UNIMPLEMENTED",
      "UNAUTHENTICATED",
      "ALREADY_EXISTS",
      "RESOURCE_EXHAUSTED",
      "UNAVAILABLE",
      "INTERNAL",
      "ABORTED",
    ] as const) {
      far.misbehave("Apply", { kind: "status", code: status[name] });
      said[name] = (await connector.apply(block())).kind;
    }
    expect(said).toEqual({
      INVALID_ARGUMENT: "refused",
      NOT_FOUND: "refused",
      PERMISSION_DENIED: "refused",
      FAILED_PRECONDITION: "refused",
      UNIMPLEMENTED: "refused",
      UNAUTHENTICATED: "refused",
      // As far-end.yaml says.
      ALREADY_EXISTS: "applied",
      RESOURCE_EXHAUSTED: "retry",
      UNAVAILABLE: "unknown",
      INTERNAL: "unknown",
      ABORTED: "unknown",
    });
  });

  test("a token goes as metadata, and what a far end repeats of it does not come back", async () => {
    const far = await startGrpcFarEnd();
    opened.push(far.cut);
    const text = readFileSync(manifest, "utf8").replace(
      "auth: none",
      "auth: { bearer: $secrets.token }\nsecrets:\n  token: { about: token }",
    );
    const connector = connectorAt(
      far.port(),
      { manifest: "with-token.yaml", secrets: { token: "env:TOKEN" } },
      { "with-token.yaml": text },
    );
    const applied = await connector.apply(block());
    expect(far.lastMetadata()["authorization"]).toBe(`Bearer ${plantedToken}`);
    far.misbehave("Apply", { kind: "status", code: status.PERMISSION_DENIED, details: `no: ${plantedToken}` });
    const refused = await connector.apply(block());
    expect(refused).toMatchObject({ kind: "refused", detail: "PERMISSION_DENIED: no: [secret]" });
    expect(JSON.stringify([applied, refused, connector.describe()])).not.toContain(plantedToken);
  });

  test("as a site configures it, through everything that ships", async () => {
    const far = await startGrpcFarEnd();
    opened.push(far.cut);
    const config = { kind: "grpc", name: "far", manifest, base_url: `http://127.0.0.1:${far.port()}` } as const;
    const { connector } = await createConnector(config, { dataDir: "unused", clock: { nowMs: Date.now } });
    opened.push(connector.stop);
    expect((await connector.start()).ok).toBe(true);
    expect((await connector.apply(block())).kind).toBe("applied");
    expect((await connector.verify(block())).kind).toBe("present");
    expect(await connector.listInForce?.()).toEqual({ ok: true, value: [{ action: "block_ip", id: "203.0.113.9" }] });
    const wrong = {
      ...config,
      base_url: "https://127.0.0.1:1",
      ca_file: join(import.meta.dirname, "grpc.test.ts"),
    } as const;
    const { connector: broken } = await createConnector(wrong, { dataDir: "unused", clock: { nowMs: Date.now } });
    opened.push(broken.stop);
    expect((await broken.apply(block())).kind).toBe("retry");
    const edr = { kind: "grpc", name: "edr", manifest: "velociraptor", base_url: "https://h:1" } as const;
    await expect(createConnector(edr, { dataDir: "unused", clock: { nowMs: Date.now } })).rejects.toThrow(
      "settings.api_user is missing",
    );
  });

  test("a far end in a process of its own is killed and comes back: no second effect, nothing taken for done", async () => {
    const program = join(import.meta.dirname, "grpc-far-end.ts");
    const start = async (...args: readonly string[]) => {
      const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
      opened.push(() => child.kill("SIGKILL"));
      const port = await new Promise<number>((resolve) =>
        createInterface({ input: child.stdout }).once("line", (line) => resolve(Number(line))),
      );
      return { child, port };
    };
    const first = await start("0");
    const connector = connectorAt(first.port);
    const call = block();
    expect((await connector.apply(call)).kind).toBe("applied");
    expect((await connector.apply(call)).kind).toBe("applied");
    expect((await readGrpcCounts(first.port)).effects).toEqual({ [call.idempotencyKey]: 1 });
    const ended = new Promise((resolve) => first.child.once("exit", resolve));
    first.child.kill("SIGKILL");
    await ended;
    // The first may still go onto the connection that just died, and is then honestly unknown.
    const outcomes: string[] = [];
    for (let count = 0; count < 20 && outcomes.at(-1) !== "retry"; count += 1)
      outcomes.push((await connector.apply(call)).kind);
    expect(outcomes.slice(0, -1).every((kind) => kind === "unknown")).toBe(true);
    expect(outcomes.at(-1)).toBe("retry");
    expect((await connector.verify(call)).kind).toBe("unknown");
    expect((await connector.undo(call)).kind).toBe("retry");
    const second = await start("0", String(first.port));
    expect(second.port).toBe(first.port);
    const verified = [];
    for (let count = 0; count < 20 && verified.at(-1) !== "absent"; count += 1)
      verified.push((await connector.verify(call)).kind);
    expect(verified.at(-1)).toBe("absent");
    expect((await readGrpcCounts(second.port)).calls).toEqual([]);
  });
});

describe("the configuration says what is wrong with it", () => {
  test.each([
    [{}, "give base_url or api_config, and not both"],
    [{ base_url: "https://h:1", api_config: "env:TOKEN" }, "give base_url or api_config, and not both"],
    [{ base_url: "http://h:1" }, "base_url: http only on loopback"],
    [{ base_url: "https://h:1/path" }, "base_url is an origin: https://host:port"],
    [{ base_url: "https://h:1", client_cert_file: "c" }, "client_cert_file and client_key_file belong together"],
    [{ base_url: "https://h:1", manifest: "../x" }, "../x is not the name of a pack; a path ends with .yaml"],
    [{ api_config: "env:API" }, "api_config: env:API lacks ca_certificate, client_cert or client_private_key"],
  ] as const)("%#", (more, error) => {
    expect(open(more)).toEqual({ ok: false, error });
  });

  test("a call or field that the proto does not have is named with its line", () => {
    const text = readFileSync(manifest, "utf8");
    const wrong = text.replace("Enforcement/Undo\n", "Enforcement/Undoo\n").replace("ttl_seconds: $ttl", "ttl: $ttl");
    const said = open({ base_url: "https://h:1", manifest: "m.yaml" }, { "m.yaml": wrong });
    const lineOf = (part: string): number => wrong.slice(0, wrong.indexOf(part)).split("\n").length;
    expect(said.ok || said.error.split("\n")).toEqual([
      `m.yaml:${lineOf("call: farend.v1.Enforcement/Apply")}:9: ApplyRequest has no field ttl; compare with the proto file`,
      `m.yaml:${lineOf("call: farend.v1.Enforcement/Undoo")}:9: farend.v1.Enforcement/Undoo: the service has Apply, Undo, Verify, List, Counts; compare with the proto file`,
    ]);
  });
});
