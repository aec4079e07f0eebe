import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { signPolicyFolder } from "@reflex/controller/reflexctl/bundle";
import { type Client, createClient } from "@reflex/controller/reflexctl/client";
import { createKeys, type KeyFile, readKey } from "@reflex/controller/reflexctl/keys";
import type { AgentConfig } from "@reflex/edge-agent/config";
import { type Child, startChild, within } from "@reflex/installers/start/child";
import { type PolicyFolder, writePolicyFolder } from "./policy-folder.ts";

const org = "killed";
const site = "lab";
const agent = "agent-1";
const root = join(import.meta.dirname, "../../..");
const stopWithinMs = 20_000;

export type SiteOptions = {
  /** Empty folder for everything but the agent's state. */
  readonly folder: string;
  /** The agent's state folder; below `folder` unless said otherwise. */
  readonly agentFolder?: string;
  readonly policy: PolicyFolder;
  readonly connectors: AgentConfig["connectors"];
  /** The far end that counts; without it the agent is `edge-agent/main.ts` itself. */
  readonly farEndUrl?: string;
};

export type Site = {
  readonly agent: string;
  readonly webhook: string;
  readonly client: Client;
  readonly keys: (...keyids: readonly string[]) => readonly KeyFile[];
  readonly org: string;
  readonly name: string;
  readonly journalFolder: string;
  /** One life of the agent. The first one enrols. */
  readonly startAgent: () => Child;
  readonly stop: () => Promise<void>;
};

/** A real controller with its database and broker, a policy signed and released, and an agent that may be started and killed. */
export const startSite = async (options: SiteOptions): Promise<Site> => {
  const { folder, agentFolder = join(folder, "agent") } = options;
  // PostgreSQL runs as another user when the tests run as root: the folder must let it pass.
  chmodSync(folder, 0o711);
  const keysDir = join(folder, "keys");
  createKeys({ dir: keysDir, org, releaseKeys: 2, releaseThreshold: 2, issuedAt: new Date().toISOString() });
  const keys = (...keyids: readonly string[]): readonly KeyFile[] =>
    keyids.map((keyid) => readKey(join(keysDir, `${keyid}.key`)));

  const controller = startChild({
    name: "controller",
    script: join(root, "controller/main.ts"),
    args: [
      ...["--data", join(folder, "controller"), "--org", org, "--trust", join(keysDir, "trust.json")],
      ...["--head-key", join(keysDir, "head-1.key"), "--weights-key", join(keysDir, "weights-1.key")],
      ...["--port", "0", "--broker-port", "0"],
    ],
    logFile: join(folder, "controller.log"),
    stdin: "ignore",
    onLine: () => undefined,
  });
  const agents: Child[] = [];
  const stop = async (): Promise<void> => {
    for (const one of [...agents, controller]) await one.stop(stopWithinMs);
  };
  try {
    const ready = await within(controller.line("ready"), "starting the controller");
    const url = String(ready["url"]);
    const caFile = String(ready["ca_file"]);
    const token = readFileSync(String(ready["token_file"]), "utf8").trim();
    const client = createClient({ url, token, ca: readFileSync(caFile, "utf8") });

    const policies = join(folder, "policies");
    writePolicyFolder(policies, options.policy);
    const release = { dir: policies, org, sites: [site], version: 1, changelog: "to be killed with" };
    const signed = signPolicyFolder({ ...release, issuedAt: new Date().toISOString() }, keys("release-1", "release-2"));
    await client.post("/v1/bundles", signed.envelope);

    mkdirSync(agentFolder, { recursive: true });
    const joinTokenFile = join(folder, "join-token");
    const { join_token: joinToken } = await client.post<{ join_token: string }>("/v1/join-tokens", { site });
    writeFileSync(joinTokenFile, joinToken, { mode: 0o600 });
    // The same port in every life, so that senders need not be told.
    const port = await freePort();
    const config: AgentConfig = {
      data_dir: agentFolder,
      org,
      site,
      agent,
      controller: { url, broker_url: String(ready["broker_url"]), ca_file: caFile, join_token_file: joinTokenFile },
      sources: [{ kind: "webhook", port }],
      connectors: options.connectors,
      log_file: join(folder, "agent.log"),
    };
    const configFile = join(folder, "agent.json");
    writeFileSync(configFile, JSON.stringify(config));

    const startAgent = (): Child => {
      const started = startChild({
        name: "agent",
        ...(options.farEndUrl === undefined
          ? { script: join(root, "edge-agent/main.ts"), args: ["--config", configFile] }
          : {
              script: join(root, "test/fixtures/agent-process.ts"),
              args: [configFile, options.farEndUrl],
            }),
        logFile: join(folder, "agent.stderr.log"),
        stdin: "ignore",
        onLine: () => undefined,
      });
      agents.push(started);
      return started;
    };
    return {
      agent,
      webhook: `http://127.0.0.1:${port}/v1/detections`,
      client,
      keys,
      org,
      name: site,
      journalFolder: join(agentFolder, "journal"),
      startAgent,
      stop,
    };
  } catch (cause) {
    await stop();
    throw cause;
  }
};

/** Serving: enrolled, policy active, webhook open. */
export const serves = async (life: Child): Promise<void> => {
  await within(life.line("webhook"), "starting the agent");
};

export const killed = async (life: Child): Promise<void> => {
  life.process.kill("SIGKILL");
  await life.ended;
};

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
