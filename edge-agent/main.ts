import { randomUUID } from "node:crypto";
import { createWriteStream, existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createConnector } from "./adapters/connectors.ts";
import { createHostFacts } from "./adapters/host-facts.ts";
import { createHttpBlobs } from "./adapters/http-blob.ts";
import { createHttpsClient } from "./adapters/https-client.ts";
import { createNodeClock } from "./adapters/node-clock.ts";
import { createNodeCrypto, nodeRandom } from "./adapters/node-crypto.ts";
import { createReportSigner, nodeIdentityKeys } from "./adapters/node-identity.ts";
import { createNodeSlots } from "./adapters/node-slots.ts";
import { nodeTimers } from "./adapters/node-timers.ts";
import { createPinoLog } from "./adapters/pino-log.ts";
import { createSource, type OpenedSource } from "./adapters/sources.ts";
import { createWorkerSelfTest } from "./adapters/worker-self-test.ts";
import { type Assembled, assembleAgent, type World } from "./assemble.ts";
import { type AgentConfig, readConfig } from "./config.ts";
import type { Connector } from "./connectors/contract.ts";
import { warmUp } from "./decide/warm-up.ts";
import { type AgentIdentity, enrolAgent, keepRenewed, loadIdentity } from "./link/enrol.ts";
import { createHttpsLink } from "./link/https-link.ts";
import { createMqttLink } from "./link/mqtt-link.ts";
import { createFeedClock } from "./listen/feed-clock.ts";
import { createMarks } from "./policy/marks-port.ts";
import type { Journal, Log } from "./ports.ts";
import { createLatency } from "./report/latency.ts";
import { openJournal } from "./store/journal.ts";
import { openMarks } from "./store/marks.ts";

/** What the agent tells the program that started it: one JSON object a line on stdout. */
export type Told = { readonly kind: string; readonly [field: string]: unknown };
export type RunOptions = {
  readonly config: AgentConfig;
  readonly tell: (told: Told) => void;
  /** Connectors beside the configured ones. */
  readonly connectors?: readonly Connector[];
};
export type Running = { readonly stop: () => Promise<void> };

/** Reports still waiting after a feed are given this long to reach the controller. */
const reportedWithinMs = 120_000;
const drainedWithinMs = 60_000;

const fail = (what: string, why: { readonly code: string; readonly detail: string }): never => {
  throw new Error(`${what}: ${why.code}${why.detail === "" ? "" : `, ${why.detail}`}`);
};

/** The composition root: opens every real thing and hands it to the agent. */
export const runAgent = async ({ config, tell, connectors: more = [] }: RunOptions): Promise<Running> => {
  const dataDir = resolve(config.data_dir);
  const log = createPinoLog(
    config.log_file === undefined ? {} : { destination: createWriteStream(config.log_file, { flags: "a" }) },
  );
  const wall = createNodeClock({ log });
  const crypto = createNodeCrypto();
  const slots = createNodeSlots(join(dataDir, "policy"));
  const http = createHttpsClient();

  const feedClock = createFeedClock(wall);
  const sources = config.sources.map((source) =>
    createSource(source, {
      timers: nodeTimers,
      random: nodeRandom,
      log,
      wall,
      feedClock,
      onProgress: (progress) => tell({ kind: "progress", ...progress }),
    }),
  );
  const feeds = sources.filter((source) => source.kind === "feed");
  for (const feed of feeds) await feed.source.prime();
  const clock = feeds.length > 0 ? feedClock : wall;

  const journalOpened = openJournal({ folder: join(dataDir, "journal"), clock, timers: nodeTimers, log });
  const journal = journalOpened.ok
    ? journalOpened.value
    : fail("the agent's journal cannot be opened", journalOpened.error);
  const marks = createMarks(openMarks(join(dataDir, "marks")));

  const enrolDeps = { controllerUrl: config.controller.url, slots, keys: nodeIdentityKeys, http, crypto };
  let identity = await identityOf(config, enrolDeps);

  const connectors = new Map<string, Connector>();
  const opened = await Promise.all(config.connectors.map((one) => createConnector(one, { dataDir, clock: wall })));
  for (const connector of [...opened.map((one) => one.connector), ...more]) {
    const started = await connector.start();
    if (!started.ok) fail(`connector ${connector.name}`, started.error);
    connectors.set(connector.name, connector);
  }

  const self = { org: identity.org, site: identity.site, agent: identity.agent };
  const hostFacts = createHostFacts(dataDir);
  const tls = (): AgentIdentity["tls"] => identity.tls;
  const link = createMqttLink({
    address: self,
    url: config.controller.broker_url,
    identity: tls,
    timers: nodeTimers,
    random: nodeRandom,
    log,
    onRefused: (name, why) => log.warn({ name, code: why.code, detail: why.detail }, "message refused"),
  });
  const assembled = assembleAgent({
    self,
    bootId: randomUUID(),
    clock,
    wall,
    monotonicMs: wall.monotonicMs,
    timers: nodeTimers,
    random: nodeRandom,
    crypto,
    log,
    journal,
    marks,
    slots,
    connectors,
    link,
    syncOverHttps: createHttpsLink({ baseUrl: config.controller.url, identity: tls, http }),
    blobs: createHttpBlobs({ baseUrl: config.controller.url, identity: tls, http, timers: nodeTimers, log }),
    selfTest: createWorkerSelfTest(),
    signer: createReportSigner(identity.reportKey),
    localKillFile: () => existsSync(join(dataDir, "KILL")),
    host: hostFacts.now,
    homeNets: config.home_nets ?? [],
  });
  // At every start: a crash between enrolling and pinning must not strand the agent. Pinning the same again changes nothing.
  const pinned = await assembled.trust.pin(crypto.utf8(identity.trust));
  if (!pinned.ok) fail("the controller's trust document", pinned.error);
  const started = await assembled.start();
  if (!started.ok) fail("the agent cannot start", started.error);
  const renewal = keepRenewed(
    {
      ...enrolDeps,
      clock: wall,
      timers: nodeTimers,
      random: nodeRandom,
      log,
      onRenewed: (renewed) => {
        identity = renewed;
      },
    },
    identity,
  );
  const firstSequence = (journal.lastToken()?.sequence ?? 0) + 1;
  let isStopping = false;
  void listen({
    assembled,
    sources,
    journal,
    log,
    tell,
    self,
    crypto,
    monotonicMs: wall.monotonicMs,
    firstSequence,
    isStopping: () => isStopping,
    onEnded: feedClock.runOn,
  }).catch((error: unknown) => {
    tell({ kind: "failed", detail: error instanceof Error ? error.message : String(error) });
  });
  tell({
    kind: "ready",
    agent: self.agent,
    site: self.site,
    connectors: Object.fromEntries([...connectors].map(([name, connector]) => [name, connector.describe().about])),
    lists: opened.flatMap((one) => one.addresses()),
  });

  return {
    stop: async () => {
      isStopping = true;
      renewal.stop();
      hostFacts.stop();
      await assembled.stop();
      for (const connector of connectors.values()) await connector.stop();
    },
  };
};

/** Who this agent is: from its own file, or by enrolling once with the join token. */
const identityOf = async (config: AgentConfig, deps: Parameters<typeof enrolAgent>[0]): Promise<AgentIdentity> => {
  const known = await loadIdentity(deps);
  if (!known.ok) return fail("the agent's identity", known.error);
  if (known.value !== undefined) return known.value;
  const tokenFile = config.controller.join_token_file;
  if (tokenFile === undefined || !existsSync(tokenFile)) {
    throw new Error(
      `this agent is not enrolled and has no join token; make one with: reflexctl join-token --site ${config.site}, and name its file as controller.join_token_file`,
    );
  }
  const ca = readFileSync(config.controller.ca_file, "utf8");
  const enrolled = await enrolAgent(
    deps,
    readFileSync(tokenFile, "utf8").trim(),
    { kind: "pem", pem: ca },
    config.agent,
  );
  return enrolled.ok ? enrolled.value.identity : fail("enrolment", enrolled.error);
};

type ListenDeps = {
  readonly assembled: Assembled;
  readonly sources: readonly OpenedSource[];
  readonly journal: Journal;
  readonly log: Log;
  readonly tell: (told: Told) => void;
  readonly self: World["self"];
  readonly crypto: World["crypto"];
  readonly monotonicMs: () => number;
  readonly firstSequence: number;
  readonly isStopping: () => boolean;
  /** Every source that ends has ended. */
  readonly onEnded: () => void;
};

/** Sources open once there is a verified policy: what is not taken yet stays safe with its source. */
const listen = async (deps: ListenDeps): Promise<void> => {
  const { assembled, tell, journal } = deps;
  const latency = createLatency(deps.monotonicMs);
  while (assembled.activation.active() === undefined) {
    if (deps.isStopping()) return;
    await new Promise((wake) => nodeTimers.after(50, () => wake(undefined)));
  }
  const policy = assembled.activation.active();
  if (policy !== undefined) warmUp(policy, assembled.activation.bundle()?.value.cases ?? [], deps);
  const { bundle, weights } = policy ?? {};
  tell({ kind: "policy", bundle, weights });
  const endings: Promise<unknown>[] = [];
  for (const { kind, source } of deps.sources) {
    await assembled.agent.listenTo({ ...source, start: (offer) => source.start(latency.timed(offer)) });
    if (kind === "feed" || kind === "stdin") endings.push(source.finished);
    if (kind === "webhook") tell({ kind: "webhook", address: source.address() });
  }
  if (endings.length === 0) return;
  await Promise.all(endings);
  deps.onEnded();
  await assembled.executor.drain(drainedWithinMs);
  tell({
    kind: "feed-done",
    lines: assembled.agent.tally().records,
    tally: assembled.agent.tally(),
    latency_ms: latency.quantilesMs(),
    commands: journal.counts().commandsByState,
    first_sequence: deps.firstSequence,
    last_sequence: journal.lastToken()?.sequence ?? 0,
  });
  const deadlineMs = deps.monotonicMs() + reportedWithinMs;
  while (
    !deps.isStopping() &&
    journal.spool().first <= journal.spool().last &&
    journal.spool().last > 0 &&
    deps.monotonicMs() < deadlineMs
  ) {
    await new Promise((wake) => nodeTimers.after(50, () => wake(undefined)));
  }
  const waiting = Math.max(0, journal.spool().last - journal.spool().first + 1);
  tell({ kind: "reported", waiting, commands: journal.counts().commandsByState });
};

/** The process: configuration from --config, one JSON line on stdout for each thing worth telling, signals end it cleanly. */
const main = async (argv: readonly string[]): Promise<void> => {
  const path = argv[argv.indexOf("--config") + 1];
  if (!argv.includes("--config") || path === undefined)
    throw new Error("which configuration? edge-agent --config agent.json");
  const config = readConfig(path);
  if (!config.ok) throw new Error(config.error);
  const tell = (told: Told): void => void process.stdout.write(`${JSON.stringify(told)}\n`);
  const running = await runAgent({ config: config.value, tell });
  let isStopping = false;
  const stop = (): void => {
    if (isStopping) return;
    isStopping = true;
    void running.stop().then(() => process.exit(0));
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  // Started by another program: when that is gone, nobody would stop this one.
  process.on("disconnect", stop);
};

if (import.meta.main) {
  main(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`reflex edge-agent: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  });
}
