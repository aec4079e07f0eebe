import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { readConfig } from "../config.ts";
import { createConnector } from "./connectors.ts";

const folder = mkdtempSync(join(tmpdir(), "reflex-connectors-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const configured = async (connector: Readonly<Record<string, unknown>>) => {
  const path = join(folder, "agent.json");
  const config = {
    data_dir: folder,
    org: "example",
    site: "hq",
    agent: "a1",
    controller: { url: "https://controller.example", broker_url: "mqtts://controller.example", ca_file: "/ca.pem" },
    sources: [],
    connectors: [connector],
  };
  writeFileSync(path, JSON.stringify(config));
  const read = readConfig(path);
  if (!read.ok) throw new Error(read.error);
  const [first] = read.value.connectors;
  if (first === undefined) throw new Error("no connector");
  return createConnector(first, { dataDir: folder, clock: { nowMs: () => 0 } });
};

test("a pack is a connector by its name in the configuration", async () => {
  const opened = await configured({
    kind: "rest",
    name: "edge-fw",
    manifest: "fortigate",
    base_url: "https://fw.example:8443",
    settings: { vdom: "root" },
    secrets: { api_token: "env:FW_TOKEN" },
  });
  expect(opened.connector.name).toBe("edge-fw");
  expect(opened.connector.describe().actions).toHaveProperty("block_ip");
});

test("a configuration that does not fit its manifest says what to correct", async () => {
  const wrong = { kind: "rest", name: "edge-fw", manifest: "fortigate", base_url: "https://fw.example", secrets: {} };
  await expect(configured(wrong)).rejects.toThrow("connector edge-fw: fortigate: secrets.api_token is missing");
  await expect(configured({ ...wrong, secrets: { api_token: "the-token-itself" } })).rejects.toThrow();
  await expect(configured({ ...wrong, verify_tls: false })).rejects.toThrow();
});

test("every pack that acts is found by its name", async () => {
  const packs = join(dirname(fileURLToPath(import.meta.url)), "..", "packs");
  for (const file of readdirSync(packs).filter((name) => name.endsWith(".yaml"))) {
    const name = file.slice(0, -".yaml".length);
    // Without what a site fills in it is refused for that, not for a file that is not there.
    await expect(
      configured({ kind: "rest", name: "c", manifest: name, base_url: "http://nowhere.example" }),
    ).rejects.toThrow(/base_url|openedr|velociraptor|is not/);
  }
});
