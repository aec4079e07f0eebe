import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readConfig } from "./config.ts";

const folder = mkdtempSync(join(tmpdir(), "reflex-config-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = (more: Readonly<Record<string, unknown>>) => {
  const path = join(folder, "agent.json");
  const controller = { url: "https://c.example", broker_url: "mqtts://c.example", ca_file: "/etc/reflex/ca.pem" };
  const whole = {
    data_dir: "/var/lib/reflex",
    org: "o",
    site: "s",
    agent: "a",
    controller,
    sources: [],
    connectors: [],
  };
  writeFileSync(path, JSON.stringify({ ...whole, ...more }));
  return readConfig(path);
};

const ldap = {
  kind: "ldap",
  name: "ad",
  style: "active-directory",
  url: "ldaps://dc1.corp.example",
  bind_dn: "CORP\\svc",
  bind_password: "credential:bind",
  base: "DC=corp,DC=example",
};
const webhook = { kind: "webhook", name: "soar", url: "https://soar.example/hook", secret: "env:HOOK" };
const syslog = { kind: "syslog", name: "siem", host: "siem.example" };

describe("the configuration", () => {
  test("that is whole is taken", () => {
    expect(read({ connectors: [ldap, webhook, syslog], sources: [{ kind: "stdin" }] })).toMatchObject({ ok: true });
  });

  test.each([
    [{ connectors: [syslog, { ...ldap, style: "ad" }] }, "/connectors/1/style"],
    [{ connectors: [{ ...syslog, port: 0 }] }, "/connectors/0/port"],
    [{ connectors: [{ ...syslog, hots: "x" }] }, "hots"],
    [{ connectors: [{ ...webhook, hand_off: ["reboot"] }] }, "/connectors/0/hand_off/0"],
    [{ connectors: [{ kind: "ldpa" }] }, "/connectors/0/kind must be one of edl, nftables"],
    [{ connectors: ["ldap"] }, "/connectors/0/kind must be one of"],
    [{ sources: [{ kind: "mqtt", topics: ["t"] }] }, "url"],
    [{ site: "Not A Segment" }, "/site"],
  ])("%j is refused with the field that is wrong", (more, words) => {
    const made = read(more);
    expect(made.ok).toBe(false);
    if (!made.ok) expect(made.error).toContain(words);
  });
});
