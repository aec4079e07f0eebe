import type { Connector } from "@reflex/edge-agent/connectors/contract";
import type { LdapConfig } from "@reflex/edge-agent/connectors/ldap/config";
import { createLink } from "@reflex/edge-agent/connectors/ldap/link";
import { secretOf } from "@reflex/edge-agent/connectors/secrets-port";
import { ok } from "@reflex/protocol/result";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callFor, connectorTo, prepared, replace } from "./ldap-calls.ts";
import { type Slapd, slapdMissing, startSlapd } from "./servers/slapd.ts";
import { type DirectoryStyle, dnOf } from "./servers/slapd-entries.ts";

const missing = slapdMissing();
if (missing !== undefined) process.stderr.write(`the directory is not tested: ${missing}\n`);

/** Which attribute each style closes an account with, and who can see it closed. */
const cases = [
  { style: "openldap", action: "disable_user", attribute: "pwdAccountLockedTime", before: [], during: "000001010000Z" },
  {
    style: "active-directory",
    action: "disable_user",
    attribute: "userAccountControl",
    before: ["66048"],
    during: "66050",
  },
  {
    style: "active-directory",
    action: "suspend_account",
    attribute: "accountExpires",
    before: ["9223372036854775807"],
    during: "125911584000000000",
  },
] as const;

describe.skipIf(missing !== undefined)("a directory behind slapd", () => {
  const servers = new Map<DirectoryStyle, Slapd>();
  const opened: Connector[] = [];
  const serverOf = (style: DirectoryStyle): Slapd => {
    const slapd = servers.get(style);
    if (slapd === undefined) throw new Error("not started");
    return slapd;
  };
  const open = (style: DirectoryStyle, more: Partial<LdapConfig> = {}): Connector => {
    const connector = connectorTo(serverOf(style), style, more);
    opened.push(connector);
    return connector;
  };

  beforeAll(async () => {
    for (const style of ["openldap", "active-directory"] as const) servers.set(style, await startSlapd(style));
  });
  afterAll(async () => {
    for (const connector of opened) await connector.stop();
    for (const slapd of servers.values()) await slapd.stop();
  });

  describe.each(cases)("$style: $action in $attribute", ({ style, action, attribute, before, during }) => {
    const read = (uid: string) => serverOf(style).read(dnOf(style, uid), attribute);
    const count = async (uid: string): Promise<number> =>
      (await serverOf(style).modifications()).filter(
        ({ dn, kind, changes }) =>
          kind === "modify" && dn === dnOf(style, uid) && changes.some((change) => change.startsWith(`${attribute}:`)),
      ).length;

    test("applying twice is applying once, and undo gives back exactly what was there", async () => {
      const connector = open(style);
      const call = await prepared(connector, action, "bob");
      expect(await read("bob")).toEqual(before);
      const countBefore = await count("bob");
      expect((await connector.verify(call)).kind).toBe("absent");
      expect((await connector.apply(call)).kind).toBe("applied");
      expect(await read("bob")).toEqual([during]);
      expect((await connector.apply(call)).kind).toBe("applied");
      expect((await connector.verify(call)).kind).toBe("present");
      expect((await count("bob")) - countBefore).toBe(1);
      expect((await connector.undo(call)).kind).toBe("undone");
      expect((await connector.undo(call)).kind).toBe("undone");
      expect(await read("bob")).toEqual(before);
      expect((await connector.verify(call)).kind).toBe("absent");
      expect((await count("bob")) - countBefore).toBe(2);
    });

    test("who was closed out before stays closed out", async () => {
      const connector = open(style);
      const dn = dnOf(style, "erin");
      const slapd = serverOf(style);
      await slapd.change(dn, [replace(attribute, [during])]);
      const call = await prepared(connector, action, "erin");
      expect((await connector.apply(call)).kind).toBe("applied");
      expect((await connector.undo(call)).kind).toBe("undone");
      expect(await read("erin")).toEqual([during]);
      await slapd.change(dn, [replace(attribute, [...before])]);
    });

    test("an account that was moved meanwhile is found again, verified and opened", async () => {
      const connector = open(style);
      const slapd = serverOf(style);
      const dn = dnOf(style, "erin");
      const moved = dn.replace("ou=people", "ou=leavers");
      const forbidden = dn.replace("ou=people", "ou=services");
      const call = await prepared(connector, action, "erin");
      expect((await connector.apply(call)).kind).toBe("applied");
      await slapd.rename(dn, moved);
      expect((await connector.verify(call)).kind).toBe("present");
      // The service may not write where it went then, so it must not be told undone.
      await slapd.rename(moved, forbidden);
      expect((await connector.undo(call)).kind).toBe("retry");
      await slapd.rename(forbidden, moved);
      expect((await connector.undo(call)).kind).toBe("undone");
      await slapd.rename(moved, dn);
      expect(await read("erin")).toEqual(before);
    });

    test("an account that is gone is absent and undone, unless the whole tree is hidden", async () => {
      const connector = open(style);
      const slapd = serverOf(style);
      const call = await prepared(connector, action, "erin");
      const resolved = call.resolved;
      if (resolved === undefined) throw new Error("not resolved");
      const elsewhere = { ...resolved, id: "0".repeat(36), label: `cn=nobody,ou=people,${slapd.base}` };
      const gone = { ...call, resolved: elsewhere };
      expect((await connector.verify(gone)).kind).toBe("absent");
      expect((await connector.undo(gone)).kind).toBe("undone");
      expect((await connector.apply(gone)).kind).toBe("refused");
      const hidden = open(style, { base: "dc=elsewhere,dc=example", user_base: slapd.base });
      expect((await hidden.verify(gone)).kind).toBe("unknown");
      expect((await hidden.undo(gone)).kind).toBe("retry");
      const blind = open(style, { bind_dn: slapd.stranger.dn });
      expect((await blind.verify(gone)).kind).toBe("unknown");
      expect((await blind.undo(gone)).kind).toBe("retry");
    });

    test("without the right to write, nothing is applied and it says so", async () => {
      const connector = open(style, { bind_dn: serverOf(style).reader.dn });
      const call = await prepared(connector, action, "bob");
      expect(await connector.apply(call)).toMatchObject({ kind: "refused", code: "connector-refused" });
      expect(await read("bob")).toEqual(before);
    });
  });

  test("openldap: a disabled user cannot log in, and can again after undo", async () => {
    const connector = open("openldap");
    const slapd = serverOf("openldap");
    const call = await prepared(connector, "disable_user", "bob");
    expect(await slapd.canLogIn(dnOf("openldap", "bob"))).toBe(true);
    await connector.apply(call);
    expect(await slapd.canLogIn(dnOf("openldap", "bob"))).toBe(false);
    await connector.undo(call);
    expect(await slapd.canLogIn(dnOf("openldap", "bob"))).toBe(true);
  });

  test("active-directory: undo restores one bit and keeps what others changed since", async () => {
    const connector = open("active-directory");
    const slapd = serverOf("active-directory");
    const dn = dnOf("active-directory", "bob");
    const call = await prepared(connector, "disable_user", "bob");
    await connector.apply(call);
    // Smart card required (0x40000) is set, password never expires (0x10000) is taken away, while the lease runs.
    await slapd.change(dn, [replace("userAccountControl", [String(0x40000 | 0x200 | 0x2)])]);
    expect((await connector.undo(call)).kind).toBe("undone");
    expect(await slapd.read(dn, "userAccountControl")).toEqual([String(0x40000 | 0x200)]);
    await slapd.change(dn, [replace("userAccountControl", [String(0x10200)])]);
  });

  test("active-directory: a change by another writer is never lost, however the two meet", async () => {
    const slapd = serverOf("active-directory");
    const dn = dnOf("active-directory", "bob");
    const connector = open("active-directory");
    const call = await prepared(connector, "disable_user", "bob");
    for (let round = 0; round < 20; round += 1) {
      const other = 0x200 | ((round + 1) << 20);
      const [outcome] = await Promise.all([
        connector.apply(call),
        slapd.change(dn, [replace("userAccountControl", [String(other)])]),
      ]);
      const [now] = await slapd.read(dn, "userAccountControl");
      // Either we came first and were overwritten, or we came second on top of the other's value, or we stood back.
      expect([String(other), String(other | 2)]).toContain(now);
      if (outcome.kind !== "applied") expect(outcome.kind).toBe("retry");
    }
    await slapd.change(dn, [replace("userAccountControl", [String(0x10200)])]);
  });

  test("openldap: a lock that another writer set since we looked is neither replaced nor added to", async () => {
    const slapd = serverOf("openldap");
    const dn = dnOf("openldap", "bob");
    const earlier = "20260101000000Z";
    const link = createLink({
      transport: { url: slapd.urls.ldaps, startTls: false, ca: slapd.ca },
      bind: { dn: slapd.service.dn, passwordRef: "env:SERVICE" },
      callMs: 4_000,
      secrets: { read: () => ok(secretOf(slapd.service.password)) },
    });
    await slapd.change(dn, [replace("pwdAccountLockedTime", [earlier])]);
    const swap = { attribute: "pwdAccountLockedTime", remove: [], add: ["000001010000Z"] };
    expect(await link.begin().modify(dn, swap)).toMatchObject({ ok: false, error: { kind: "answered" } });
    expect(await slapd.read(dn, "pwdAccountLockedTime")).toEqual([earlier]);
    await link.close();
    // Who looks again takes it into account, and gives it back.
    const connector = open("openldap");
    const call = await prepared(connector, "disable_user", "bob");
    expect((await connector.apply(call)).kind).toBe("applied");
    expect(await slapd.read(dn, "pwdAccountLockedTime")).toEqual(["000001010000Z"]);
    expect((await connector.undo(call)).kind).toBe("undone");
    expect(await slapd.read(dn, "pwdAccountLockedTime")).toEqual([earlier]);
    await slapd.change(dn, [replace("pwdAccountLockedTime", [])]);
  });

  test("openldap: any attribute can be the lock; what somebody put there since is left alone", async () => {
    const slapd = serverOf("openldap");
    const dn = dnOf("openldap", "bob");
    const connector = open("openldap", {
      locks: { suspend_account: { attribute: "loginShell", value: "/usr/sbin/nologin" } },
    });
    const call = await prepared(connector, "suspend_account", "bob");
    expect((await connector.apply(call)).kind).toBe("applied");
    expect(await slapd.read(dn, "loginShell")).toEqual(["/usr/sbin/nologin"]);
    expect((await connector.undo(call)).kind).toBe("undone");
    expect(await slapd.read(dn, "loginShell")).toEqual(["/bin/bash"]);
    await connector.apply(call);
    await slapd.change(dn, [replace("loginShell", ["/bin/zsh"])]);
    expect((await connector.undo(call)).kind).toBe("undone");
    expect(await slapd.read(dn, "loginShell")).toEqual(["/bin/zsh"]);
    await slapd.change(dn, [replace("loginShell", ["/bin/bash"])]);
  });

  describe("when the server is not well", () => {
    test("a server that hangs: nothing is claimed, and what comes after has a connection of its own", async () => {
      const slapd = serverOf("openldap");
      const connector = open("openldap", { call_ms: 700 });
      const call = await prepared(open("openldap"), "disable_user", "bob");
      await expect.poll(async () => (await connector.verify(call)).kind, { timeout: 30_000 }).toBe("absent");
      await slapd.pause();
      try {
        // Even reading hangs, so nothing can have been applied.
        expect((await connector.apply(call)).kind).toBe("retry");
        expect((await connector.verify(call)).kind).toBe("unknown");
      } finally {
        slapd.resume();
      }
      // A connection that was begun while it hung may still fail; one after it does not.
      await expect.poll(async () => (await connector.verify(call)).kind, { timeout: 30_000 }).toBe("absent");
      await expect.poll(async () => (await connector.apply(call)).kind, { timeout: 30_000 }).toBe("applied");
      await expect.poll(async () => (await connector.undo(call)).kind, { timeout: 30_000 }).toBe("undone");
    });

    test("a server that dies and comes back: the connection is made again, and bound again", async () => {
      const slapd = serverOf("active-directory");
      const connector = open("active-directory");
      const call = await prepared(connector, "disable_user", "bob");
      expect((await connector.apply(call)).kind).toBe("applied");
      await slapd.restart();
      // The first call may still meet the dead connection; none may be answered as nobody.
      await expect.poll(async () => (await connector.verify(call)).kind, { timeout: 30_000 }).toBe("present");
      expect((await connector.undo(call)).kind).toBe("undone");
    });

    test("a wrong password is refused with what to do, and is not in what it says", async () => {
      const connector = open("openldap", { bind_password: "env:WRONG" });
      const started = await connector.start();
      expect(started).toMatchObject({ ok: false, error: { code: "unauthorised" } });
      expect(JSON.stringify(started)).not.toContain("not-the-password");
    });

    test("StartTLS works, and a certificate nobody vouches for is refused on both ways in", async () => {
      const slapd = serverOf("openldap");
      const { ldap } = slapd.urls;
      const upgraded = open("openldap", { url: ldap, start_tls: true });
      expect((await upgraded.resolve?.(callFor("disable_user", "alice")))?.ok).toBe(true);
      for (const way of [{ url: ldap, start_tls: true }, { url: slapd.urls.ldaps }]) {
        const connector = connectorTo({ ...slapd, ca: serverOf("active-directory").ca }, "openldap", way);
        opened.push(connector);
        const resolved = await connector.resolve?.(callFor("disable_user", "alice"));
        expect(resolved).toMatchObject({ ok: false, error: { code: "unreachable" } });
      }
    });

    test("Reflex never closes the account it works with", async () => {
      const connector = open("openldap", { bind_dn: dnOf("openldap", "alice"), bind_password: "env:USER" });
      const resolved = await connector.resolve?.(callFor("disable_user", "alice"));
      expect(resolved).toMatchObject({ ok: false, error: { code: "never-touch" } });
    });

    test("an empty password is never sent: a server would take it for nobody and say yes", async () => {
      const connector = open("openldap", { bind_password: "env:EMPTY" });
      expect(await connector.start()).toMatchObject({ ok: false, error: { code: "unauthorised" } });
    });
  });
});
