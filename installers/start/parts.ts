import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { signPolicyFolder } from "@reflex/controller/reflexctl/bundle";
import { type ClientOptions, createClient } from "@reflex/controller/reflexctl/client";
import { createKeys, readKey } from "@reflex/controller/reflexctl/keys";
import { type Child, startChild, within } from "./child.ts";
import type { StartOptions } from "./options.ts";
import { playScenario } from "./scenario.ts";
import type { Screen } from "./screen.ts";

export const org = "demo";
export const site = "demo";
export const agentName = "agent-1";

export type PartsRequest = {
  readonly options: StartOptions;
  readonly dataDir: string;
  /** Root of the checkout: programs and the starter policies are below it. */
  readonly root: string;
  readonly screen: Screen;
  readonly signal: AbortSignal;
};

export type Parts = {
  readonly agent: string;
  readonly connection: ClientOptions;
  readonly addresses: string;
  /** Resolves when every record of the feed was decided and its commands settled. */
  readonly feedDone: (once: boolean) => Promise<"done">;
  /** The agent's own count, once the controller has acknowledged every report. */
  readonly feedReported: () => Promise<Record<string, unknown>>;
  /** Rejects when a part ended by itself. */
  readonly broken: Promise<never>;
  readonly stop: () => Promise<void>;
};

/** How long a part gets to end by itself before it is killed: the agent settles what it took, PostgreSQL writes its checkpoint. */
const stopWithinMs = 15_000;
const never = new Promise<never>(() => undefined);

/** Keys, controller (with broker and database), policy, agent: in this order, each ready before the next. */
export const startParts = async (request: PartsRequest): Promise<Parts> => {
  const { options, dataDir, root, screen } = request;
  const isRecording = options.feed.length > 0;
  const children: Child[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children.toReversed()) await child.stop(stopWithinMs);
  };
  const port = (offset: number): number => (options.portBase === 0 ? 0 : options.portBase + offset);
  try {
    const keysDir = join(dataDir, "keys");
    if (!existsSync(join(keysDir, "trust.json")))
      createKeys({ dir: keysDir, org, releaseKeys: 2, releaseThreshold: 2, issuedAt: new Date().toISOString() });
    mkdirSync(join(dataDir, "logs"), { recursive: true });

    screen.progress("starting the controller, its broker and its database");
    const controllerDir = join(dataDir, "controller");
    const controller = startChild({
      name: "controller",
      script: join(root, "controller/main.ts"),
      args: [
        "--data",
        controllerDir,
        "--org",
        org,
        "--trust",
        join(keysDir, "trust.json"),
        "--head-key",
        join(keysDir, "head-1.key"),
        "--weights-key",
        join(keysDir, "weights-1.key"),
        "--host",
        "127.0.0.1",
        "--port",
        String(port(0)),
        "--broker-port",
        String(port(1)),
      ],
      logFile: join(dataDir, "logs/controller.log"),
      stdin: "ignore",
      onLine: () => undefined,
    });
    children.push(controller);
    const ready = await within(controller.line("ready"), "starting the controller");
    const url = String(ready.url);
    const caFile = String(ready.ca_file);
    const tokenFile = String(ready.token_file);
    const connection = { url, token: readFileSync(tokenFile, "utf8").trim(), ca: readFileSync(caFile, "utf8") };
    writeFileSync(
      join(dataDir, "connection.json"),
      `${JSON.stringify({ url, token_file: tokenFile, ca_file: caFile }, undefined, 2)}\n`,
    );
    const client = createClient(connection);

    await publishStarter(request, keysDir, connection);

    screen.progress("starting the agent");
    const agentDir = join(dataDir, "agent");
    mkdirSync(agentDir, { recursive: true });
    const joinTokenFile = join(agentDir, "join-token");
    if (!existsSync(join(agentDir, "policy/identity.json"))) {
      const { join_token: joinToken } = await client.post<{ join_token: string }>("/v1/join-tokens", { site });
      writeFileSync(joinTokenFile, joinToken, { mode: 0o600 });
    }
    const configFile = join(agentDir, "agent.json");
    // A recording has a clock of its own, so nothing live is mixed into it.
    const live = [{ kind: "stdin" }, { kind: "webhook", port: port(2) }];
    const config = {
      data_dir: agentDir,
      org,
      site,
      agent: agentName,
      controller: { url, broker_url: String(ready.broker_url), ca_file: caFile, join_token_file: joinTokenFile },
      sources: isRecording ? [{ kind: "feed", paths: options.feed }] : live,
      connectors: [{ kind: "edl", name: "edl", port: port(3) }],
      log_file: join(dataDir, "logs/agent.log"),
    };
    writeFileSync(configFile, `${JSON.stringify(config, undefined, 2)}\n`);
    const agent = startChild({
      name: "agent",
      script: join(root, "edge-agent/main.ts"),
      args: ["--config", configFile],
      logFile: join(dataDir, "logs/agent.log"),
      stdin: isRecording ? (options.feed.includes("-") ? "inherit" : "ignore") : "pipe",
      onLine: (line) => {
        if (line.kind === "progress") screen.progress(progressText(line));
      },
    });
    children.push(agent);
    const failed = agent.line("failed").then((line): never => {
      throw new Error(`the agent: ${String(line.detail)}`);
    });
    failed.catch(() => undefined);
    const becomes = (kind: string, what: string): Promise<Record<string, unknown>> =>
      within(Promise.race([agent.line(kind), failed]), what);
    const agentReady = await becomes("ready", "starting the agent");
    await becomes("policy", "activating the policy on the agent");
    const webhook = isRecording ? undefined : await becomes("webhook", "opening the webhook");

    const ended = Promise.race(children.map((child, index) => child.ended.then(() => index))).then(
      (index): never | Promise<never> => {
        if (request.signal.aborted) return never;
        throw new Error(`the ${index === 0 ? "controller" : "agent"} ended by itself; see ${join(dataDir, "logs")}`);
      },
    );
    const broken = Promise.race([failed, ended]);
    broken.catch(() => undefined); // looked at by whoever waits; not waiting yet is no reason to crash
    return {
      agent: agentName,
      connection,
      addresses: addressText(dataDir, ready, agentReady, webhook),
      feedDone: async (once) => {
        if (!isRecording)
          await playScenario(join(root, "installers/start/scenario.ndjson"), agent.process.stdin as Writable, {
            paced: !once,
            signal: request.signal,
            nowMs: () => Date.now(),
          });
        await agent.line("feed-done");
        return "done";
      },
      feedReported: async () => {
        const done = await agent.line("feed-done");
        const reported = await agent.line("reported");
        if (Number(reported.waiting) > 0)
          throw new Error(
            `${String(reported.waiting)} reports did not reach the controller in time; they stay in the agent's spool`,
          );
        return { ...done, commands: reported.commands };
      },
      broken,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
};

/** The starter policies as version 1 of site `demo`, signed by both release keys; once per data folder. */
const publishStarter = async (
  { root, screen }: PartsRequest,
  keysDir: string,
  connection: ClientOptions,
): Promise<void> => {
  const client = createClient(connection);
  const { bundles } = await client.get<{ bundles: unknown[] }>("/v1/bundles");
  if (bundles.length > 0) return;
  screen.progress("checking, signing and publishing the starter policies");
  const keys = ["release-1", "release-2"].map((keyid) => readKey(join(keysDir, `${keyid}.key`)));
  const signed = signPolicyFolder(
    {
      dir: join(root, "policies/library/starter"),
      org,
      sites: [site],
      version: 1,
      issuedAt: new Date().toISOString(),
      changelog: "starter policies",
    },
    keys,
  );
  await client.post("/v1/bundles", signed.envelope);
};

const progressText = ({ records, bytes, totalBytes }: Record<string, unknown>): string => {
  const percent = Number(totalBytes) > 0 ? `, ${Math.floor((100 * Number(bytes)) / Number(totalBytes))} %` : "";
  return `feed: ${String(records)} records${percent}`;
};

const addressText = (
  dataDir: string,
  ready: Record<string, unknown>,
  agent: Record<string, unknown>,
  webhook: Record<string, unknown> | undefined,
): string => {
  const listening = webhook?.address as { host: string; port: number } | undefined;
  return [
    "",
    `  API       ${String(ready.url)}/v1/openapi.json`,
    `  broker    ${String(ready.broker_url)}`,
    ...((agent.lists ?? []) as string[]).map((url) => `  EDL       ${url}`),
    ...(listening === undefined
      ? []
      : [`  webhook   curl --data-binary @detection.json http://${listening.host}:${listening.port}/v1/detections`]),
    `  look      npm run reflexctl -- decisions list --data ${dataDir}`,
    `  stop      npm run reflexctl -- kill engage --site ${site} --key ${dataDir}/keys/kill-1.key --data ${dataDir}`,
    ...(webhook === undefined
      ? ["  The recording plays on its own time: freshness, windows and TTLs are judged against the times in it."]
      : []),
    "",
  ].join("\n");
};
