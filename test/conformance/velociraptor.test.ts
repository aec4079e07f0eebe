import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connector, ConnectorCall } from "@reflex/edge-agent/connectors/contract";
import type { Entity } from "@reflex/protocol/entity";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { createFakeVelociraptor, type VelociraptorFake } from "./fakes/velociraptor.ts";
import { newCall as callFor } from "./stage.ts";
import { openVelociraptor, serveVelociraptor } from "./subjects/velociraptor.ts";

const opened: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const open = async (): Promise<{ fake: VelociraptorFake; connector: Connector; key: string }> => {
  const fake = createFakeVelociraptor();
  const server = await serveVelociraptor(fake);
  const folder = mkdtempSync(join(tmpdir(), "reflex-velociraptor-"));
  const connector = openVelociraptor(server, folder);
  opened.push(
    () => rmSync(folder, { recursive: true, force: true }),
    server.close,
    () => connector.stop(),
  );
  return { fake, connector, key: server.client.key };
};
const host = (value: string): Entity => ({ type: "host", value });
const resolved = async (connector: Connector, name: string): Promise<ConnectorCall> => {
  const call = callFor("isolate_host", host(name));
  const found = await connector.resolve?.(call);
  if (found?.ok !== true) throw new Error(found?.error.detail);
  return { ...call, resolved: found.value, undoData: "" };
};

describe("velociraptor", () => {
  test("no value ever stands in a query: four texts, whatever the host is called", async () => {
    const { fake, connector } = await open();
    const pieces = fc.constantFrom("web01", "'", '"', "\n", "` OR 1=1 --", "$(x)", "..", "*", "é", "\\", "-- ");
    await fc.assert(
      fc.asyncProperty(fc.array(pieces, { minLength: 1, maxLength: 5 }), async (parts) => {
        const call = callFor("isolate_host", host(parts.join("")));
        const found = await connector.resolve?.(call);
        if (found?.ok !== true) return;
        await connector.apply({ ...call, resolved: found.value });
        await connector.verify({ ...call, resolved: found.value });
        await connector.undo({ ...call, resolved: found.value });
      }),
      { numRuns: 60 },
    );
    const whole = await resolved(connector, "web01");
    await connector.apply(whole);
    await connector.verify(whole);
    await connector.undo(whole);
    const said = fake.heard();
    expect(new Set(said.map(({ vql }) => vql)).size).toBe(4);
    for (const { vql } of said) expect(vql).not.toMatch(/web01|C\.0/);
    expect(said.at(-1)?.env).toEqual({ ReflexClient: whole.resolved?.id, ReflexUser: "reflex" });
  });

  test("a name stands for one client, by host name or in full, and never for two", async () => {
    const { connector } = await open();
    expect((await resolved(connector, "WEB01.corp.example")).resolved).toMatchObject({
      id: "C.000000000000abc0",
      label: "web01",
      entities: [host("web01"), host("web01.corp.example")],
    });
    for (const name of ["twin", "mac01", "nobody", "web0"]) {
      const found = await connector.resolve?.(callFor("isolate_host", host(name)));
      expect(found).toMatchObject({ ok: false, error: { code: "target-unresolved" } });
    }
  });

  test("a host that is away is neither quarantined nor free until it is back", async () => {
    const { fake, connector } = await open();
    const call = await resolved(connector, "web02");
    fake.setAway("web02", true);
    expect((await connector.apply(call)).kind).toBe("unknown");
    expect((await connector.verify(call)).kind).toBe("unknown");
    fake.setAway("web02", false);
    expect((await connector.verify(call)).kind).toBe("present");
    fake.setAway("web02", true);
    expect((await connector.undo(call)).kind).toBe("retry");
    expect((await connector.undo(call)).kind).toBe("retry");
    fake.setAway("web02", false);
    expect((await connector.undo(call)).kind).toBe("undone");
    expect(fake.changes().map(({ verb }) => verb)).toEqual(["apply", "undo"]);
  });

  test("a quarantine that took itself away is refused, and absent", async () => {
    const { fake, connector } = await open();
    const call = await resolved(connector, "web01");
    fake.loseWayBack("web01");
    expect((await connector.apply(call)).kind).toBe("refused");
    expect((await connector.verify(call)).kind).toBe("absent");
    expect(fake.present()).toEqual([]);
  });

  test("what an analyst asked for, before us or meanwhile, outlives ours", async () => {
    const { fake, connector } = await open();
    const call = await resolved(connector, "web01");
    await connector.apply(call);
    fake.quarantineBy("analyst", "web01");
    expect((await connector.undo(call)).kind).toBe("undone");
    const labelled = await resolved(connector, "web02");
    await connector.apply(labelled);
    fake.label("web02", "Quarantine");
    expect((await connector.undo(labelled)).kind).toBe("undone");
    expect(fake.present()).toEqual(["isolate_host web01", "isolate_host web02"]);
  });

  test("what may not be read is not taken for absent, nor for released", async () => {
    const { fake, connector } = await open();
    const call = await resolved(connector, "web01");
    await connector.apply(call);
    fake.deny();
    expect((await connector.verify(call)).kind).toBe("unknown");
    expect((await connector.undo(call)).kind).toBe("retry");
    expect(fake.present()).toEqual(["isolate_host web01"]);
  });

  test("the key of the API client is nowhere but in its file", async () => {
    const { connector, key } = await open();
    const call = await resolved(connector, "web01");
    const said = JSON.stringify([
      connector.describe(),
      call,
      await connector.apply(call),
      await connector.verify(call),
    ]);
    const [, body = ""] = key.split("\n");
    expect(body.length).toBeGreaterThan(20);
    expect(said).not.toContain(body);
  });
});
