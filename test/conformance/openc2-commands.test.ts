import { nodeTimers } from "@reflex/edge-agent/adapters/node-timers";
import { createHttpCalls } from "@reflex/edge-agent/adapters/outbound-http";
import { createSecrets } from "@reflex/edge-agent/adapters/secrets";
import type { Connector } from "@reflex/edge-agent/connectors/contract";
import type { Profiles } from "@reflex/edge-agent/connectors/openc2/command-of";
import type { OpenC2Command } from "@reflex/edge-agent/connectors/openc2/message";
import { openOpenC2 } from "@reflex/edge-agent/connectors/openc2/open";
import { createOpenC2 } from "@reflex/edge-agent/connectors/openc2/openc2";
import type { Transfer } from "@reflex/edge-agent/connectors/openc2/transfer";
import type { ActionName } from "@reflex/protocol/action";
import type { Entity } from "@reflex/protocol/entity";
import { ok } from "@reflex/protocol/result";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { newCall as callFor } from "./stage.ts";

const clock = { nowMs: Date.now };
const profiles: Profiles = { filter: { profile: "pf" }, endpoint: { deviceGroups: ["all"] } };
const address: Entity = { type: "address", value: "203.0.113.9" };
const connectorOver = async (transfer: Transfer, given = profiles, producer = "reflex"): Promise<Connector> => {
  const connector = createOpenC2({
    name: "openc2",
    profiles: given,
    producer,
    place: "here",
    transfer,
    timers: nodeTimers,
  });
  await connector.start();
  return connector;
};

/** Keeps what would be sent and says yes. */
const recording = (): { readonly sent: OpenC2Command[]; readonly transfer: Transfer } => {
  const sent: OpenC2Command[] = [];
  return {
    sent,
    transfer: {
      start: async () => ok(undefined),
      exchange: async (command) => {
        sent.push(command);
        return ok({ status: 200 });
      },
      stop: async () => {},
    },
  };
};

/** Names of everything, values of nothing. */
const shapeOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
};

describe("a command says what we mean and nothing else", () => {
  const kinds: readonly (readonly [ActionName, Entity["type"], string])[] = [
    ["block_ip", "address", "203.0.113.9"],
    ["block_range", "network", "203.0.113.0/24"],
    ["block_domain", "domain", "bad.example"],
    ["isolate_host", "host", "web01"],
    ["quarantine_file", "file", "a".repeat(64)],
  ];
  test.each(kinds)("%s: no value changes the structure of its message", async (action, type, plain) => {
    const isNews = ({ action: sent }: OpenC2Command): boolean => sent !== "query";
    const sentFor = async (value: string): Promise<readonly OpenC2Command[]> => {
      const { sent, transfer } = recording();
      const connector = await connectorOver(transfer);
      sent.length = 0;
      await connector.apply(callFor(action, { type, value }));
      await connector.undo(callFor(action, { type, value }));
      return (JSON.parse(JSON.stringify(sent)) as OpenC2Command[]).filter(isNews);
    };
    const expected = (await sentFor(plain)).map(shapeOf);
    expect(expected).toHaveLength(2);
    const pieces = fc.constantFrom(plain, '"', "}", "{", "\\", "\n", "\0", '","device_id":"*', "*", ":", "/", "é", " ");
    await fc.assert(
      fc.asyncProperty(fc.array(pieces, { minLength: 1, maxLength: 6 }), async (parts) => {
        const sent = await sentFor(parts.join(""));
        if (sent.length > 0) expect(sent.map(shapeOf).map(withoutFamily)).toEqual(expected.map(withoutFamily));
      }),
      { numRuns: 100 },
    );
  });
  /** An IPv6 text may come out of the pieces, and is another target type. */
  const withoutFamily = (shape: unknown): unknown => JSON.parse(JSON.stringify(shape).replace("ipv6_net", "ipv4_net"));

  test("a rule has one number for ever, and no other target or producer has it", async () => {
    const numberOf = async (value: string, producer: string): Promise<unknown> => {
      const { sent, transfer } = recording();
      const connector = await connectorOver(transfer, { filter: { profile: "pf" } }, producer);
      await connector.undo(callFor("block_ip", { type: "address", value }));
      return sent.at(-1)?.target["pf:rule_number"];
    };
    expect(await numberOf("203.0.113.9", "a")).toBe(await numberOf("203.0.113.9", "a"));
    expect(await numberOf("::ffff:203.0.113.9", "a")).toBe(await numberOf("203.0.113.9", "a"));
    const numbers = await Promise.all(
      ["a", "b"].flatMap((producer) =>
        Array.from({ length: 200 }, (_, last) => numberOf(`203.0.113.${last}`, producer)),
      ),
    );
    expect(new Set(numbers).size).toBe(400);
  });

  test("slpf knows no domains, takes its own name for everything, and both ways without saying so", async () => {
    const { sent, transfer } = recording();
    const connector = await connectorOver(transfer, { filter: { profile: "slpf", nativeTtl: true } });
    expect(Object.keys(connector.describe().actions)).toEqual(["block_ip", "block_range"]);
    expect((await connector.apply(callFor("block_domain", { type: "domain", value: "bad.example" }))).kind).toBe(
      "refused",
    );
    await connector.apply(callFor("block_ip", address, 90));
    expect(sent.at(-1)).toMatchObject({
      action: "deny",
      target: { ipv4_net: "203.0.113.9/32" },
      args: { duration: 90_000, slpf: { drop_process: "none", insert_rule: expect.any(Number) } },
      actuator: { slpf: {} },
    });
  });
});

describe("the configuration says what is wrong with it", () => {
  const base = { kind: "openc2", name: "fw", url: "https://c.example", producer: "p", bearer: "env:T" } as const;
  const filter = { packet_filter: { profile: "pf" } } as const;
  test.each([
    [{ ...base }, "give packet_filter, endpoint or both"],
    [{ ...base, ...filter, url: "http://c.example" }, "url: http: only on loopback"],
    [{ ...base, ...filter, url: "mqtt://b.example", consumer: "c" }, "url: mqtt: only on loopback"],
    [{ ...base, ...filter, url: "mqtts://b.example" }, "consumer is missing: its device id at the broker"],
    [{ ...base, ...filter, consumer: "c" }, "consumer is for a broker; over HTTPS the url is the consumer"],
    [{ ...base, ...filter, url: "https://u:p@c.example" }, "url may not hold a user or password"],
    [{ ...base, ...filter, cert_file: "c" }, "cert_file and key_file belong together"],
    [
      { kind: "openc2", name: "fw", url: "https://c.example", producer: "p", ...filter },
      "give cert_file and key_file, or bearer: a consumer must know who commands it",
    ],
    [
      { ...base, packet_filter: { profile: "pf", rule_numbers: { from: 5, to: 5 } } },
      "packet_filter.rule_numbers: from must be below to",
    ],
  ] as const)("%#: %s", (config, error) => {
    const made = openOpenC2(config, {
      secrets: createSecrets({}),
      clock,
      timers: nodeTimers,
      readText: () => "",
      httpCalls: createHttpCalls,
      publicAuthorities: () => [],
    });
    expect(made).toEqual({ ok: false, error });
  });
});
