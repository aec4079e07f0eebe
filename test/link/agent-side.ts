// The agent's side of the link with its real adapters, without the detections: what main.ts wires, in a temporary folder.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHttpBlobs } from "@reflex/edge-agent/adapters/http-blob";
import { createHttpsClient } from "@reflex/edge-agent/adapters/https-client";
import { createNodeClock } from "@reflex/edge-agent/adapters/node-clock";
import { createNodeCrypto, nodeRandom } from "@reflex/edge-agent/adapters/node-crypto";
import { createReportSigner, nodeIdentityKeys } from "@reflex/edge-agent/adapters/node-identity";
import { createNodeSlots } from "@reflex/edge-agent/adapters/node-slots";
import { nodeTimers } from "@reflex/edge-agent/adapters/node-timers";
import { enrolAgent } from "@reflex/edge-agent/link/enrol";
import { createHttpsLink } from "@reflex/edge-agent/link/https-link";
import { createMqttLink, type MqttLinkTimes } from "@reflex/edge-agent/link/mqtt-link";
import { createSession, type SessionTimes } from "@reflex/edge-agent/link/session";
import { createActivation } from "@reflex/edge-agent/policy/activate";
import { createKillSwitch } from "@reflex/edge-agent/policy/kill";
import { createLease } from "@reflex/edge-agent/policy/lease";
import { createMarks } from "@reflex/edge-agent/policy/marks-port";
import { selfTestBundle } from "@reflex/edge-agent/policy/self-test";
import { createTrustStore } from "@reflex/edge-agent/policy/trust";
import { eventWrite } from "@reflex/edge-agent/report/records";
import { createReporter } from "@reflex/edge-agent/report/reporter";
import { openJournal } from "@reflex/edge-agent/store/journal";
import { openMarks } from "@reflex/edge-agent/store/marks";
import { ok } from "@reflex/protocol/result";
import type { SmallController } from "./small-controller.ts";

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const times: Partial<SessionTimes & MqttLinkTimes> = {
  heartbeatMs: 500,
  syncAnswerMs: 500,
  httpsAfterMs: 300,
  httpsEveryMs: 200,
  refetchMs: 400,
  keepaliveS: 1,
  connectMs: 2_000,
  backoffFromMs: 50,
  backoffToMs: 200,
};

export const enrolled = async (controller: SmallController, agent: string, dir?: string) => {
  const folder = dir ?? (await mkdtemp(join(tmpdir(), "reflex-agent-")));
  const crypto = createNodeCrypto();
  const slots = createNodeSlots(join(folder, "policy"));
  const http = createHttpsClient();
  const deps = { controllerUrl: controller.url, slots, keys: nodeIdentityKeys, http, crypto };
  controller.tokens.add(agent);
  const answer = await enrolAgent(
    deps,
    agent,
    { kind: "fingerprint", sha256: controller.authority.caFingerprint },
    agent,
  );
  if (!answer.ok) throw new Error(`${answer.error.code} ${answer.error.detail}`);
  return { folder, deps, ...answer.value };
};

export type Enrolled = Awaited<ReturnType<typeof enrolled>>;

/** Starts the linked part of an agent on the folder it was enrolled in; again on the same folder is a restart. */
export const startAgentSide = async (
  controller: SmallController,
  from: Enrolled,
  brokerUrl = `mqtts://127.0.0.1:${controller.brokerPort()}`,
) => {
  const { identity, folder } = from;
  const { slots, crypto, http } = from.deps;
  const self = { org: identity.org, site: identity.site, agent: identity.agent };
  const clock = createNodeClock({ log });
  const opened = openJournal({ folder: join(folder, "journal"), clock, timers: nodeTimers, log });
  if (!opened.ok) throw new Error(opened.error.detail);
  const journal = opened.value;
  const marks = createMarks(openMarks(join(folder, "marks")));
  const trust = createTrustStore({ crypto, slots, marks, org: self.org });
  await trust.load();
  await trust.pin(from.trustEnvelope);
  const told: string[] = [];
  const tell = (_level: string, name: string): void => void told.push(name);
  const kill = createKillSwitch({
    crypto,
    slots,
    marks,
    trust,
    self,
    localFile: () => existsSync(join(folder, "KILL")),
    timers: nodeTimers,
    tell,
    log,
  });
  await kill.boot();
  const lease = createLease({ clock, monotonicMs: clock.monotonicMs, marks });
  const activation = createActivation({
    crypto,
    self,
    engine: "reflex/1",
    slots,
    marks,
    trust,
    selfTest: async (payload, site) => selfTestBundle(crypto, payload, site),
    build: (bundle, weights) => ok({ bundle: bundle.version, weights: weights.version }),
    tell,
    log,
  });
  await activation.boot();
  const tls = () => identity.tls;
  const link = createMqttLink({
    address: self,
    url: brokerUrl,
    identity: tls,
    timers: nodeTimers,
    random: nodeRandom,
    log,
    onRefused: () => undefined,
    times,
  });
  const base = { self, bootId: "boot-0001", crypto, clock, timers: nodeTimers, log };
  const reporter = createReporter({
    ...base,
    journal,
    link,
    signer: createReportSigner(identity.reportKey),
    times: { ackMs: 500 },
  });
  const session = createSession({
    ...base,
    engine: "reflex/1",
    link,
    syncOverHttps: createHttpsLink({ baseUrl: controller.url, identity: tls, http }),
    blobs: createHttpBlobs({ baseUrl: controller.url, identity: tls, http, timers: nodeTimers, log }),
    trust,
    activation,
    kill,
    orders: { take: async () => ok(undefined) },
    lease,
    marks,
    reporter,
    facts: () => ({
      mode: "enforce",
      counts: { detections: 0, dead_letters: 0, in_force: 0, stuck: 0, spool: 0 },
      connectors: {},
      spool: { first: journal.spool().first, last: journal.spool().last },
    }),
    random: nodeRandom,
    tell,
    times,
  });
  reporter.start();
  session.start();
  return {
    self,
    link,
    session,
    kill,
    lease,
    trust,
    activation,
    reporter,
    journal,
    told,
    folder,
    report: async (count: number) => {
      const writes = Array.from({ length: count }, (_, index) => eventWrite(clock, "info", "test", `event ${index}`));
      await journal.write(writes);
      reporter.wake();
    },
    stop: async () => {
      reporter.stop();
      await session.stop();
      await journal.close();
    },
    remove: () => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }),
  };
};

/** Looks until it holds; the test's own time-out ends a wait for what never comes. */
export const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
};
