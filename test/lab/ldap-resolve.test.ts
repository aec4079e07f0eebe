import type { Connector } from "@reflex/edge-agent/connectors/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callFor, connectorTo } from "./ldap-calls.ts";
import { type Slapd, slapdMissing, startSlapd } from "./servers/slapd.ts";
import { type DirectoryStyle, dnOf, oddName } from "./servers/slapd-entries.ts";

describe.skipIf(slapdMissing() !== undefined)("a user of a directory", () => {
  const servers = new Map<DirectoryStyle, Slapd>();
  const opened: Connector[] = [];
  const serverOf = (style: DirectoryStyle): Slapd => {
    const slapd = servers.get(style);
    if (slapd === undefined) throw new Error("not started");
    return slapd;
  };
  const open = (style: DirectoryStyle): Connector => {
    const connector = connectorTo(serverOf(style), style);
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

  const names: readonly [DirectoryStyle, string, string][] = [
    ["openldap", "alice", "alice"],
    ["openldap", "ALICE", "alice"],
    ["openldap", "alice@corp.example", "alice"],
    ["openldap", oddName, oddName],
    ["active-directory", "alice", "alice"],
    ["active-directory", "corp\\alice", "alice"],
    ["active-directory", "alice@corp.example", "alice"],
    ["active-directory", "bob@CORP.EXAMPLE", "bob"],
  ];
  test.each(names)("%s: %s is exactly one account", async (style, value, uid) => {
    const connector = open(style);
    const resolved = await connector.resolve?.(callFor("disable_user", value));
    if (resolved?.ok !== true) throw new Error(resolved?.error.detail);
    expect(await serverOf(style).read(resolved.value.label, "mail")).toEqual(
      await serverOf(style).read(dnOf(style, uid), "mail"),
    );
    expect(resolved.value.entities).toContainEqual({
      type: "user",
      value: `${uid === oddName ? "odd" : uid}@corp.example`,
    });
  });

  test.each([
    ["openldap", "nobody", "target-unresolved"],
    ["openldap", "desk@corp.example", "target-unresolved"],
    ["openldap", "*", "target-unresolved"],
    ["openldap", "a*", "target-unresolved"],
    ["openldap", "alice)(objectClass=*", "target-unresolved"],
    ["openldap", "*)(uid=*))(|(uid=*", "target-unresolved"],
    ["openldap", "\\2a", "target-unresolved"],
    ["openldap", "alice\u0000", "entity-malformed"],
    ["openldap", " alice", "entity-malformed"],
    ["active-directory", "OTHER\\alice", "target-unresolved"],
    ["active-directory", "alice@other.example", "target-unresolved"],
    ["active-directory", "Domain Users", "target-unresolved"],
  ] as const)("%s: %j is refused as %s", async (style, value, code) => {
    const resolved = await open(style).resolve?.(callFor("disable_user", value));
    expect(resolved).toMatchObject({ ok: false, error: { code } });
  });

  test.each(["openldap", "active-directory"] as const)(
    "%s: groups are named through nesting and primary group, for the never-touch list",
    async (style) => {
      const resolved = await open(style).resolve?.(callFor("disable_user", "alice"));
      if (resolved?.ok !== true) throw new Error(resolved?.error.detail);
      const primary = style === "openldap" ? "accounts" : "Domain Users";
      for (const name of ["operators", "administrators", primary]) {
        expect(resolved.value.groups).toContain(name);
      }
      expect(resolved.value.groups).toContain(`cn=administrators,ou=groups,${serverOf(style).base}`);
      expect(resolved.value.groups).not.toContain("printers");
    },
  );

  test("openldap: a group counts of which no member knows", async () => {
    const resolved = await open("openldap").resolve?.(callFor("disable_user", "alice"));
    expect(resolved?.ok === true && resolved.value.groups).toContain("auditors");
  });

  test("openldap: a group that lists login names counts as well", async () => {
    const resolved = await open("openldap").resolve?.(callFor("disable_user", "bob"));
    expect(resolved?.ok === true && resolved.value.groups).toContain("printers");
  });
});
