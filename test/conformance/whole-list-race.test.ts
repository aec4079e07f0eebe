import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connector } from "@reflex/edge-agent/connectors/contract";
import { afterAll, expect, test } from "vitest";
import type { Fake } from "./fake.ts";
import { handlerOf, startFakeServer } from "./fake-server.ts";
import { createFakeEc2, fakeEc2Region, fakePrefixList } from "./fakes/aws-ec2.ts";
import { fakeAwsAccessKey, fakeAwsSecretKey } from "./fakes/aws-signature.ts";
import { createFakeFortigate, fakeFortigateToken } from "./fakes/fortigate.ts";
import { newCall, prepared } from "./stage.ts";
import { packConnector } from "./subject-of-pack.ts";

const folder = mkdtempSync(join(tmpdir(), "reflex-race-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A started connector before a fake, for one test. */
const before = async (
  fake: Fake,
  pack: string,
  settings: Readonly<Record<string, string>>,
  secrets: Readonly<Record<string, string>>,
  act: (connector: Connector) => Promise<void>,
): Promise<void> => {
  const server = await startFakeServer(handlerOf(fake));
  const connector = packConnector({
    pack,
    place: { url: server.url, caPem: server.caPem, folder },
    settings,
    secrets,
  });
  try {
    expect((await connector.start()).ok).toBe(true);
    await act(connector);
  } finally {
    await connector.stop();
    await server.close();
  }
};

const addresses = Array.from({ length: 12 }, (_, index) => `203.0.113.${index + 1}`);
const blockOf = (value: string) => newCall("block_ip", { type: "address", value });

test("a FortiGate that two write to at once keeps every ban of both", async () => {
  const fake = createFakeFortigate();
  const secrets = { api_token: fakeFortigateToken };
  await before(fake, "fortigate", {}, secrets, async (ours) => {
    await before(fake, "fortigate", {}, secrets, async (theirs) => {
      const calls = await Promise.all(
        addresses.map(async (value, index) => {
          const writer = index % 2 === 0 ? ours : theirs;
          return { writer, call: await prepared(writer, blockOf(value)) };
        }),
      );
      await Promise.all(calls.map(async ({ writer, call }) => expect((await writer.apply(call)).kind).toBe("applied")));
      expect([...fake.present()].sort()).toEqual(addresses.map((value) => `block_ip ${value}`).sort());
      // One takes its own back while the other goes on adding.
      const more = addresses.map((value) => blockOf(value.replace("203.0.113", "198.51.100")));
      await Promise.all([
        ...calls
          .filter(({ writer }) => writer === ours)
          .map(async ({ call }) => expect((await ours.undo(call)).kind).toBe("undone")),
        ...more.map((call) => theirs.apply(call)),
      ]);
      const kept = calls.filter(({ writer }) => writer === theirs).map(({ call }) => call);
      const wanted = [...kept, ...more].map(({ target }) => `block_ip ${target.value}`);
      expect([...fake.present()].sort()).toEqual(wanted.sort());
    });
  });
});

/** Somebody else is faster, once: right after the version of the list was read. */
const overtaken = (fake: ReturnType<typeof createFakeEc2>, overtake: () => void): Fake => {
  let isDue = true;
  return {
    ...fake,
    handle: (request) => {
      const answer = fake.handle(request);
      if (isDue && request.text.includes("Action=DescribeManagedPrefixLists")) {
        isDue = false;
        overtake();
      }
      return answer;
    },
  };
};

const ec2Settings = { region: fakeEc2Region, prefix_list: fakePrefixList };
const ec2Secrets = { access_key: fakeAwsAccessKey, secret_key: fakeAwsSecretKey };

test.each(["apply", "undo"] as const)(
  "a prefix list that somebody else changed after our read keeps their entry: %s",
  async (step) => {
    const real = createFakeEc2();
    const call = blockOf("203.0.113.9");
    if (step === "undo")
      await before(real, "aws-ec2", ec2Settings, ec2Secrets, async (ec2) => {
        expect((await ec2.apply(call)).kind).toBe("applied");
      });
    const fake = overtaken(real, () => void real.addForeign?.());
    await before(fake, "aws-ec2", ec2Settings, ec2Secrets, async (ec2) => {
      const isOurs = () => real.present().includes("block_ip 203.0.113.9");
      const first = await ec2[step](call);
      if (first.kind === "retry") {
        expect(isOurs()).toBe(step === "undo");
        expect((await ec2[step](call)).kind).toBe(step === "apply" ? "applied" : "undone");
      }
      expect(isOurs()).toBe(step === "apply");
      expect(real.present()).toContain("block_ip 192.0.2.77");
    });
  },
);
