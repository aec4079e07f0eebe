import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { err, ok } from "@reflex/protocol/result";
import { openCallers } from "./api/callers.ts";
import { startApi } from "./api/server.ts";
import { startBrokerProcess } from "./broker-process.ts";
import { startHousekeeping } from "./housekeeping.ts";
import { createAnswerSync } from "./link/answer-sync.ts";
import { createHeads } from "./link/heads.ts";
import { createIngest } from "./link/ingest.ts";
import { startLink } from "./link/link.ts";
import { createLive } from "./link/live.ts";
import { connectMqtt } from "./link/mqtt-connection.ts";
import { nodeCrypto } from "./link/node-crypto.ts";
import { createOrders } from "./link/orders.ts";
import { createMetrics } from "./metrics.ts";
import { startMirroring } from "./mirror/start-mirror.ts";
import { createAuthority } from "./pki/authority.ts";
import { acceptKill } from "./release/accept-kill.ts";
import { createKillRegister } from "./release/kill-register.ts";
import { readSigningKey } from "./release/signing-key.ts";
import type { Settings } from "./settings.ts";
import { openDatabase } from "./store/database.ts";
import { startEmbeddedPostgres } from "./store/embedded-postgres.ts";
import { createFleetStore } from "./store/fleet-store.ts";
import { createIngestStore } from "./store/ingest-store.ts";
import { migrate } from "./store/migrate.ts";
import { createMirrorStore } from "./store/mirror-store.ts";
import { createOrderStore } from "./store/order-store.ts";
import { createReleaseStore } from "./store/release-store.ts";
import { createReportStore } from "./store/report-store.ts";
import { checkHeadKey, loadTrust } from "./trust-in-force.ts";

export type Controller = { readonly ready: Readonly<Record<string, unknown>>; readonly stop: () => Promise<void> };
type Log = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** What one controller tells the others (and itself) through the database, so that all keep the same in memory. */
const changeChannel = "reflex_change";
const isChange = (text: string): text is "kill" | "release" | "revoked" | "trust" =>
  ["kill", "release", "revoked", "trust"].includes(text);

/** Database, keys, broker, link, API: in this order, and back in the other one. */
export const startController = async (settings: Settings, log: Log): Promise<Controller> => {
  const { org, data } = settings;
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse())
      await end().catch((error: Error) => log({ error: error.message }, "a part did not stop cleanly"));
  };
  try {
    // Open for passage, not for reading: an embedded PostgreSQL runs as another user below it when this one is root.
    mkdirSync(data, { recursive: true, mode: 0o711 });
    if (process.getuid?.() === 0 && settings.databaseUrl === undefined) chmodSync(data, 0o711);

    // ---- database -------------------------------------------------------------------------------------------------
    const postgres =
      settings.databaseUrl === undefined
        ? await startEmbeddedPostgres({
            folder: join(data, "postgres"),
            ...(settings.postgresBin === undefined ? {} : { binFolder: settings.postgresBin }),
            log: (line) => log({ line }, "postgresql"),
          })
        : undefined;
    if (postgres !== undefined) stops.push(postgres.stop);
    const database = openDatabase(postgres?.url ?? settings.databaseUrl ?? "");
    stops.push(database.close);
    await migrate(database);
    const fleet = createFleetStore(database);
    const releases = createReleaseStore(database);
    const reports = createReportStore(database);
    const ingestStore = createIngestStore(database);
    const orderStore = createOrderStore(database);
    const mirrorStore = createMirrorStore(database);

    // ---- keys and trust -------------------------------------------------------------------------------------------
    let trust = await loadTrust(nodeCrypto, org, releases, settings.trust);
    const headKey = readSigningKey(settings.headKey, "head");
    checkHeadKey(trust, headKey);
    const authority = await createAuthority({ dir: join(data, "pki"), org, nowMs: Date.now });
    const serverTls = await authority.issueServer(settings.names);
    const callers = openCallers(data);
    const files = {
      cert: join(data, "pki", "server.pem"),
      key: join(data, "pki", "server.key"),
      ca: join(data, "pki", "ca.pem"),
    };
    writeFileSync(files.cert, serverTls.cert);
    writeFileSync(files.key, serverTls.key, { mode: 0o600 });
    const controllerTls =
      settings.brokerTls === undefined ? await authority.issueController(settings.name) : readTls(settings.brokerTls);

    // ---- what is kept in memory -----------------------------------------------------------------------------------
    const kills = createKillRegister();
    const loadKills = async (): Promise<void> => {
      for (const { envelope } of await releases.kills()) {
        // From the signed bytes, not from the columns: whoever can write to the database still cannot release a kill.
        const accepted = acceptKill(nodeCrypto, trust.trust, Buffer.from(envelope));
        if (accepted.ok) kills.take({ state: accepted.value.value, envelope });
        else log({ code: accepted.error.code }, "a stored kill state is not valid any more and is not sent");
      }
    };
    await loadKills();
    const live = createLive();
    const heads = createHeads({
      org,
      key: headKey,
      store: releases,
      kills,
      trustVersion: () => trust.trust.version,
      nowMs: Date.now,
    });
    const ingest = createIngest({ org, store: ingestStore, ...nodeCrypto });
    const answerSync = createAnswerSync({ org, agents: ingestStore, fleet, heads, kills });

    // ---- broker and link ------------------------------------------------------------------------------------------
    const broker =
      settings.brokerUrl === undefined
        ? await startBrokerProcess({
            org,
            host: settings.host,
            port: settings.brokerPort,
            wsPort: settings.brokerWsPort,
            files,
            logLevel: settings.logLevel,
            log,
          })
        : undefined;
    if (broker !== undefined) stops.push(broker.stop);
    const tellRevoked = async (): Promise<void> => broker?.setRevoked(await fleet.revoked());
    await tellRevoked();
    const link = startLink({
      org,
      connect: (more) =>
        connectMqtt({
          ...more,
          url: () => settings.brokerUrl ?? `mqtts://localhost:${broker?.port()}`,
          name: settings.name,
          tls: () => ({ ca: authority.caPem, ...controllerTls }),
          log,
        }),
      ingest,
      answerSync,
      fleet,
      sites: releases.siteNames,
      heads,
      kills,
      live,
      nowMs: Date.now,
      textOf: nodeCrypto.textOf,
      log,
    });
    stops.push(link.stop);

    const onChange = async (change: string): Promise<void> => {
      if (!isChange(change)) return;
      if (change === "trust") trust = await loadTrust(nodeCrypto, org, releases, undefined);
      if (change === "revoked") return tellRevoked();
      if (change === "kill") await loadKills();
      if (link.connected()) await link.sendHeads(await releases.siteNames());
    };
    const noteChange = (change: string): void => {
      onChange(change).catch((error: Error) => log({ change, error: error.message }, "change not followed yet"));
    };
    await database.listen(changeChannel, noteChange, () => {
      // Also after a lost connection: what was said meanwhile was not heard.
      for (const change of ["trust", "kill", "revoked"]) noteChange(change);
    });

    const housekeeping = startHousekeeping(database, settings.name, settings.retentionDays, log);
    stops.push(housekeeping.stop);

    // ---- SIEM -----------------------------------------------------------------------------------------------------
    const { siem } = settings;
    if (siem === "none") await mirrorStore.turnOff(`controller ${settings.name}`);
    if (siem === undefined && (await mirrorStore.isOn())) {
      const detail = `reports wait for a SIEM that controller ${settings.name} is not told of: --siem-url, or none to end mirroring`;
      await mirrorStore.tell({ level: "warning", name: "siem-unknown", detail });
    }
    const mirror =
      siem === undefined || siem === "none"
        ? undefined
        : await startMirroring({
            database,
            store: mirrorStore,
            siem,
            org,
            name: settings.name,
            log,
          });
    if (mirror !== undefined) stops.push(mirror.stop);

    // ---- API ------------------------------------------------------------------------------------------------------
    const api = await startApi(
      {
        org,
        callers,
        authority,
        crypto: nodeCrypto,
        trust: () => trust,
        fleet,
        releases,
        reports,
        kills,
        orders: createOrders({
          org,
          key: headKey,
          fleet,
          store: orderStore,
          send: link.sendOrder,
          nowMs: Date.now,
          random: (count) => randomBytes(count),
        }),
        orderLists: orderStore,
        mirrorLists: mirrorStore,
        mirror,
        live,
        brokerPorts: () => (broker === undefined ? undefined : { port: broker.port(), ws_port: broker.wsPort() }),
        answerSync,
        takeReport: async (agent, bytes) => {
          const outcome = await ingest(agent, bytes);
          if (outcome.kind === "stored" || outcome.kind === "ignored")
            return ok({ v: 1, agent, acknowledged: outcome.acknowledged });
          return err(outcome.refusal);
        },
        sendKill: link.sendKill,
        announce: (change) => database.notify(changeChannel, change),
        metrics: createMetrics({
          linkCounts: link.counts,
          isBrokerConnected: link.connected,
          isLeader: housekeeping.isLeader,
          siem: async () => (mirror === undefined ? undefined : { ...mirror.state(), lags: await mirrorStore.lags() }),
          agents: async () => {
            const agents = await fleet.agents();
            return { total: agents.length, online: agents.filter(({ online }) => online).length };
          },
        }),
        health: async () => ({
          database: await releases.newestVersion("bundle").then(
            () => true,
            () => false,
          ),
          broker: link.connected(),
        }),
        nowMs: Date.now,
        random: (count) => randomBytes(count),
        log,
      },
      { host: settings.host, port: settings.port, tls: { cert: serverTls.cert, key: serverTls.key } },
    );
    stops.push(api.close);
    await connectedToBroker(link.connected);

    const wsPort = broker?.wsPort() ?? null;
    return {
      stop,
      ready: {
        kind: "ready",
        org,
        name: settings.name,
        url: `https://localhost:${api.port}`,
        port: api.port,
        broker_url: settings.brokerUrl ?? `mqtts://localhost:${broker?.port()}`,
        broker_ws_url: wsPort === null ? null : `wss://localhost:${wsPort}/mqtt`,
        ca_file: files.ca,
        ca_fingerprint: authority.caFingerprint,
        token_file: callers.tokenFile,
        database: postgres === undefined ? "external" : "embedded",
        trust_version: trust.trust.version,
        pid: process.pid,
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
};

const readTls = (files: { readonly cert: string; readonly key: string; readonly ca: string }) => ({
  cert: readFileSync(files.cert, "utf8"),
  key: readFileSync(files.key, "utf8"),
  ca: readFileSync(files.ca, "utf8"),
});

/** A broker of one's own answers at once; one elsewhere may be away, and the API must serve agents then. */
const connectedToBroker = async (isConnected: () => boolean): Promise<void> => {
  const deadline = performance.now() + 10_000;
  while (!isConnected() && performance.now() < deadline) await new Promise((done) => setTimeout(done, 20));
};
