import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ConnectorConfig } from "@reflex/edge-agent/config";
import type { Fake, FakeChange } from "../../conformance/fake.ts";
import { startFakeServer } from "../../conformance/fake-server.ts";
import { createFakeFortigate, fakeFortigateToken } from "../../conformance/fakes/fortigate.ts";
import { createFakeOpenC2, openC2Token } from "../../conformance/fakes/openc2.ts";
import {
  createFakeOpnsense,
  fakeOpnsenseAlias,
  fakeOpnsenseKey,
  fakeOpnsenseSecret,
} from "../../conformance/fakes/opnsense.ts";
import { startGrpcFarEnd } from "../../conformance/grpc-far-end.ts";
import type { Work } from "../../fixtures/acting-plan.ts";
import { slapdMissing, startSlapd } from "../../lab/servers/slapd.ts";

/** A target system that lives through the deaths of the agent and counts what really changed. */
export type CountedTarget = {
  readonly config: ConnectorConfig;
  readonly work: Work;
  /** Environment of the agent. */
  readonly secrets: Readonly<Record<string, string>>;
  /** How many commands of the plan are about one key. */
  readonly commandsPerKey: number;
  readonly present: () => Promise<readonly string[]>;
  readonly changes: () => Promise<readonly FakeChange[]>;
  readonly close: () => Promise<void>;
};

/** Answers take their time, so that a kill falls into the middle of calls. */
const answerMsMax = 30;
const accounts = 40;
const pause = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));

/** A firewall that expires, one that does not, a directory, a packet filter over OpenC2 and one over gRPC. */
export const openFiveTargets = async (folder: string, commandsEach: number): Promise<readonly CountedTarget[]> => [
  await faked(folder, {
    fake: createFakeFortigate(),
    secrets: { FORTIGATE: fakeFortigateToken },
    work: { connector: "fortigate", action: "block_ip", type: "address", targets: addresses("10.1", commandsEach) },
    config: (url, ca_file) => ({
      kind: "rest",
      name: "fortigate",
      manifest: hurried(folder, "fortigate"),
      base_url: url,
      secrets: { api_token: "env:FORTIGATE" },
      ca_file,
    }),
  }),
  await faked(folder, {
    fake: createFakeOpnsense(),
    secrets: { OPNSENSE_KEY: fakeOpnsenseKey, OPNSENSE_SECRET: fakeOpnsenseSecret },
    work: { connector: "opnsense", action: "block_ip", type: "address", targets: addresses("10.2", commandsEach) },
    config: (url, ca_file) => ({
      kind: "rest",
      name: "opnsense",
      manifest: hurried(folder, "opnsense"),
      base_url: url,
      settings: { alias: fakeOpnsenseAlias },
      secrets: { key: "env:OPNSENSE_KEY", secret: "env:OPNSENSE_SECRET" },
      ca_file,
    }),
  }),
  await faked(folder, {
    fake: createFakeOpenC2(),
    secrets: { OPENC2: openC2Token },
    work: { connector: "openc2", action: "block_ip", type: "address", targets: addresses("10.3", commandsEach) },
    config: (url, ca_file) => ({
      kind: "openc2",
      name: "openc2",
      url,
      producer: "reflex-killed",
      bearer: "env:OPENC2",
      packet_filter: { profile: "pf" },
      ca_file,
    }),
  }),
  await overGrpc(commandsEach),
  // Four are as good as five on a machine without slapd; the build server has it.
  ...(slapdMissing() === undefined ? [await directory(folder, commandsEach)] : []),
];

const addresses = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${prefix.replace("10.", "203.")}.${index >> 8}.${index & 255}`);

/** The pack as it ships, but for the rate of its product: the deaths come faster than a real firewall would take calls. */
const hurried = (folder: string, pack: string): string => {
  const path = join(folder, `${pack}.yaml`);
  const text = readFileSync(join(import.meta.dirname, `../../../edge-agent/packs/${pack}.yaml`), "utf8");
  writeFileSync(path, text.replace(/^rate: .*$/m, "rate: { per_second: 1000, burst: 100, at_once: 16 }"));
  return path;
};

type Faked = {
  readonly fake: Fake;
  readonly secrets: CountedTarget["secrets"];
  readonly work: Work;
  readonly config: (url: string, caFile: string) => ConnectorConfig;
};
const faked = async (folder: string, { fake, secrets, work, config }: Faked): Promise<CountedTarget> => {
  const server = await startFakeServer({
    handle: async (request) => {
      const answer = fake.handle(request);
      await pause(Math.random() * answerMsMax);
      return answer;
    },
    changeCount: () => fake.changes().length,
  });
  const caFile = join(folder, `${work.connector}-ca.pem`);
  writeFileSync(caFile, server.caPem);
  return {
    config: config(server.url, caFile),
    work,
    secrets,
    commandsPerKey: 1,
    present: async () => fake.present(),
    changes: async () => fake.changes(),
    close: server.close,
  };
};

const overGrpc = async (commandsEach: number): Promise<CountedTarget> => {
  const farEnd = await startGrpcFarEnd({ answerDelayMs: answerMsMax });
  return {
    config: {
      kind: "grpc",
      name: "grpc",
      manifest: join(import.meta.dirname, "../../conformance/far-end.yaml"),
      base_url: `http://127.0.0.1:${farEnd.port()}`,
    },
    work: { connector: "grpc", action: "block_ip", type: "address", targets: addresses("10.4", commandsEach) },
    secrets: {},
    commandsPerKey: 1,
    present: async () => farEnd.present(),
    changes: async () =>
      farEnd
        .counts()
        .calls.filter(({ hasEffect }) => hasEffect)
        .map(({ verb, target }) => ({ verb, key: target })),
    close: async () => farEnd.cut(),
  };
};

/** The same accounts again and again, as in a directory: what one command closed another closes later. */
const directory = async (folder: string, commandsEach: number): Promise<CountedTarget> => {
  const slapd = await startSlapd("openldap");
  const uids = Array.from({ length: accounts }, (_, index) => `worker${index}`);
  const dnOf = (uid: string): string => `uid=${uid},ou=people,${slapd.base}`;
  for (const uid of uids)
    await slapd.add(dnOf(uid), {
      objectClass: ["inetOrgPerson"],
      uid,
      cn: uid,
      sn: uid,
      userPassword: "a-user-password",
    });
  const caFile = join(folder, "ldap-ca.pem");
  writeFileSync(caFile, slapd.ca);
  const attribute = "pwdAccountLockedTime";
  return {
    config: {
      kind: "ldap",
      name: "directory",
      style: "openldap",
      url: slapd.urls.ldaps,
      base: slapd.base,
      bind_dn: slapd.service.dn,
      bind_password: "env:LDAP",
      ca_file: caFile,
    },
    work: { connector: "directory", action: "disable_user", type: "user", targets: uids },
    secrets: { LDAP: slapd.service.password },
    commandsPerKey: Math.ceil(commandsEach / accounts),
    present: async () => {
      const locked = await Promise.all(
        uids.map(async (uid) => ((await slapd.read(dnOf(uid), attribute)).length > 0 ? [uid] : [])),
      );
      return locked.flat();
    },
    changes: async () =>
      (await slapd.modifications()).flatMap(({ dn, kind, changes }) => {
        if (kind !== "modify") return [];
        const isLock = changes.some((change) => change.startsWith(`${attribute}:+`));
        const isRelease = changes.some((change) => change.startsWith(`${attribute}:-`) || change === `${attribute}:=`);
        return isLock || isRelease ? [{ verb: isLock ? ("apply" as const) : ("undo" as const), key: dn }] : [];
      }),
    close: slapd.stop,
  };
};
