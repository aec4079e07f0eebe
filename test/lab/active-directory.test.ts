import type { Connector } from "@reflex/edge-agent/connectors/contract";
import { openLdap } from "@reflex/edge-agent/connectors/ldap/config";
import { secretOf } from "@reflex/edge-agent/connectors/secrets-port";
import { ok } from "@reflex/protocol/result";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callFor, prepared, replace } from "./ldap-calls.ts";
import { type SambaDomain, sambaMissing, startSambaDomain } from "./servers/samba.ts";

const missing = sambaMissing();
if (missing !== undefined) process.stderr.write(`Active Directory is not tested: ${missing}\n`);

describe.skipIf(missing !== undefined)("an Active Directory domain (Samba)", () => {
  let domain: SambaDomain;
  const opened: Connector[] = [];
  const open = (way: { url?: string; start_tls?: boolean; bind_dn?: string } = {}): Connector => {
    const made = openLdap(
      {
        kind: "ldap",
        name: "ad",
        style: "active-directory",
        url: domain.urls.ldaps,
        ca_file: "ca.pem",
        bind_dn: domain.service.dn,
        bind_password: "env:BIND",
        base: domain.base,
        domains: ["CORP"],
        ...way,
      },
      { secrets: { read: () => ok(secretOf(domain.service.password)) }, readText: () => domain.ca },
    );
    if (!made.ok) throw new Error(made.error);
    opened.push(made.value);
    return made.value;
  };
  beforeAll(async () => {
    domain = await startSambaDomain();
  });
  afterAll(async () => {
    for (const connector of opened) await connector.stop();
    await domain?.stop();
  });

  test("a disabled user is not let in, and is again after undo, whatever else was changed meanwhile", async () => {
    const connector = open();
    const call = await prepared(connector, "disable_user", "CORP\\bob");
    expect(await domain.canLogIn("bob")).toBe(true);
    expect((await connector.apply(call)).kind).toBe("applied");
    expect((await connector.apply(call)).kind).toBe("applied");
    expect((await connector.verify(call)).kind).toBe("present");
    expect(await domain.canLogIn("bob")).toBe(false);
    expect(await domain.read(domain.dnOf("bob"), "userAccountControl")).toEqual([String(0x202)]);
    // An administrator sets "password never expires" while the lease runs.
    await domain.change(domain.dnOf("bob"), [replace("userAccountControl", [String(0x10202)])]);
    expect((await connector.undo(call)).kind).toBe("undone");
    expect((await connector.undo(call)).kind).toBe("undone");
    expect(await domain.read(domain.dnOf("bob"), "userAccountControl")).toEqual([String(0x10200)]);
    expect(await domain.canLogIn("bob")).toBe(true);
  });

  test("a suspended account is not let in while it is also disabled and enabled again by the other action", async () => {
    const connector = open();
    const suspended = await prepared(connector, "suspend_account", "bob@corp.example");
    const disabled = await prepared(connector, "disable_user", "bob");
    expect(suspended.resolved?.id).toBe(disabled.resolved?.id);
    await connector.apply(suspended);
    await connector.apply(disabled);
    expect((await connector.undo(disabled)).kind).toBe("undone");
    expect(await domain.canLogIn("bob")).toBe(false);
    expect((await connector.verify(suspended)).kind).toBe("present");
    expect((await connector.undo(suspended)).kind).toBe("undone");
    expect(await domain.canLogIn("bob")).toBe(true);
    expect(await domain.read(domain.dnOf("bob"), "accountExpires")).toEqual(["9223372036854775807"]);
  });

  test("who was disabled before stays disabled", async () => {
    const connector = open();
    await domain.change(domain.dnOf("bob"), [replace("userAccountControl", [String(0x202)])]);
    const call = await prepared(connector, "disable_user", "bob");
    await connector.apply(call);
    expect((await connector.undo(call)).kind).toBe("undone");
    expect(await domain.read(domain.dnOf("bob"), "userAccountControl")).toEqual([String(0x202)]);
    await domain.change(domain.dnOf("bob"), [replace("userAccountControl", [String(0x200)])]);
  });

  test("a change by another writer is never lost", async () => {
    const connector = open();
    const call = await prepared(connector, "disable_user", "bob");
    for (let round = 0; round < 10; round += 1) {
      const other = 0x200 | (round % 2 === 0 ? 0x10000 : 0x100000);
      const [outcome] = await Promise.all([
        connector.apply(call),
        domain.change(domain.dnOf("bob"), [replace("userAccountControl", [String(other)])]),
      ]);
      const [now] = await domain.read(domain.dnOf("bob"), "userAccountControl");
      expect([String(other), String(other | 2)]).toContain(now);
      expect(["applied", "retry"]).toContain(outcome.kind);
    }
    await domain.change(domain.dnOf("bob"), [replace("userAccountControl", [String(0x200)])]);
  });

  test("nested groups and the primary group are named; a group, and a name of another domain, is no user", async () => {
    const connector = open({ url: domain.urls.ldap, start_tls: true });
    const resolved = await connector.resolve?.(callFor("disable_user", "alice"));
    if (resolved?.ok !== true) throw new Error(resolved?.error.detail);
    for (const name of ["operators", "protected", "Domain Users"]) expect(resolved.value.groups).toContain(name);
    const admin = await connector.resolve?.(callFor("disable_user", "mallory"));
    expect(admin?.ok === true && admin.value.groups).toContain("Administrators");
    for (const value of ["nobody", "OTHER\\alice", "*", "Domain Users"]) {
      expect(await connector.resolve?.(callFor("disable_user", value))).toMatchObject({
        ok: false,
        error: { code: "target-unresolved" },
      });
    }
    expect(await connector.resolve?.(callFor("disable_user", "svc-reflex"))).toMatchObject({
      ok: false,
      error: { code: "never-touch" },
    });
  });

  test("without the right to write, nothing is applied and it says so", async () => {
    const connector = open({ bind_dn: "CORP\\alice" });
    const call = await prepared(connector, "disable_user", "bob");
    expect(await connector.apply(call)).toMatchObject({ kind: "refused", code: "connector-refused" });
    expect(await domain.canLogIn("bob")).toBe(true);
  });
});
