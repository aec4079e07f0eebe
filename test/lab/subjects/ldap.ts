import { type LdapConfig, openLdap } from "@reflex/edge-agent/connectors/ldap/config";
import { secretOf } from "@reflex/edge-agent/connectors/secrets-port";
import type { ActionName } from "@reflex/protocol/action";
import { ok } from "@reflex/protocol/result";
import { Attribute, Change } from "ldapts";
import { illegalUsers } from "../../conformance/illegal-names.ts";
import type { Opened, OpenOptions, Subject } from "../../conformance/subject.ts";
import { startLdapFaults } from "../servers/ldap-faults.ts";
import { slapdMissing, startSlapd } from "../servers/slapd.ts";
import { type DirectoryStyle, dnOf } from "../servers/slapd-entries.ts";

/** Accounts in OpenLDAP's slapd: counted by the server's own access log, read as its administrator. */
type Account = {
  readonly style: DirectoryStyle;
  readonly action: ActionName;
  readonly attribute: string;
  readonly isClosed: (values: readonly string[]) => boolean;
  readonly closedValue: string;
  readonly config?: Partial<LdapConfig>;
};

const users = ["alice", "bob", "carol", "dave", "erin"] as const;

const open = async (
  { style, action, attribute, isClosed, closedValue, config }: Account,
  options: OpenOptions,
): Promise<Opened | string> => {
  const missing = slapdMissing();
  if (missing !== undefined) return missing;
  const slapd = await startSlapd(style);
  const between = await startLdapFaults(Number(new URL(slapd.urls.ldap).port));
  const closeByHand = (uid: string): Promise<void> =>
    slapd.change(dnOf(style, uid), [
      new Change({ operation: "replace", modification: new Attribute({ type: attribute, values: [closedValue] }) }),
    ]);
  /** Changes made by administrators are not the connector's effects. */
  let byHand = 0;
  const changes = async () =>
    (await slapd.modifications())
      .filter(({ kind, changes }) => kind === "modify" && changes.some((one) => one.startsWith(`${attribute}:`)))
      .map(({ dn, changes }) => {
        const values = changes.flatMap((one) => new RegExp(`^${attribute}:[+=] (.*)$`).exec(one)?.[1] ?? []);
        return { verb: isClosed(values) ? ("apply" as const) : ("undo" as const), key: `${action} ${dn}` };
      });
  return {
    connector: async () => {
      const made = openLdap(
        {
          kind: "ldap",
          name: "directory",
          style,
          url: between.url,
          ca_file: "ca.pem",
          bind_dn: slapd.service.dn,
          bind_password: "env:BIND",
          base: slapd.base,
          call_ms: options.callTimeoutMs,
          ...config,
        },
        { secrets: { read: () => ok(secretOf(slapd.service.password)) }, readText: () => between.caPem },
      );
      if (!made.ok) throw new Error(made.error);
      const started = await made.value.start();
      if (!started.ok) throw new Error(`it does not start: ${started.error.code} ${started.error.detail}`);
      return made.value;
    },
    present: async () => {
      const closed: string[] = [];
      for (const uid of users) {
        if (isClosed(await slapd.read(dnOf(style, uid), attribute))) closed.push(`${action} ${dnOf(style, uid)}`);
      }
      return closed;
    },
    changes: async () => (await changes()).slice(byHand),
    faults: between.faults,
    secrets: () => [slapd.service.password],
    addForeign: async () => {
      await closeByHand("erin");
      byHand += 1;
      return `${action} ${dnOf(style, "erin")}`;
    },
    addSame: async () => {
      await closeByHand("alice");
      byHand += 1;
    },
    close: async () => {
      await between.close();
      await slapd.stop();
    },
  };
};

const subjectOf = (name: string, account: Account): Subject => ({
  name,
  action: account.action,
  target: { type: "user", value: "alice" },
  otherTarget: { type: "user", value: "bob@corp.example" },
  illegalTargets: illegalUsers("alice", ["desk@corp.example", "nobody", "alic", "a*", "alice)(uid=*", "OTHER\\alice"]),
  open: (options) => open(account, options),
  notApplicable: {
    "429 waits as asked": "LDAP says busy without a time to come back; see 5xx storm",
    "stale read": "one server is asked, whose reads follow its writes; a swap of values fails on anything older",
  },
});

const isDisabled = ([value]: readonly string[]): boolean => (Number(value ?? 0) & 2) !== 0;

export const subjects: readonly Subject[] = [
  subjectOf("openldap (slapd)", {
    style: "openldap",
    action: "disable_user",
    attribute: "pwdAccountLockedTime",
    closedValue: "000001010000Z",
    isClosed: (values) => values.includes("000001010000Z"),
  }),
  subjectOf("openldap (slapd)", {
    style: "openldap",
    action: "suspend_account",
    attribute: "loginShell",
    closedValue: "/usr/sbin/nologin",
    isClosed: (values) => values.includes("/usr/sbin/nologin"),
    config: { locks: { suspend_account: { attribute: "loginShell", value: "/usr/sbin/nologin" } } },
  }),
  subjectOf("active directory (slapd)", {
    style: "active-directory",
    action: "disable_user",
    attribute: "userAccountControl",
    closedValue: "66050",
    isClosed: isDisabled,
  }),
  subjectOf("active directory (slapd)", {
    style: "active-directory",
    action: "suspend_account",
    attribute: "accountExpires",
    closedValue: "125911584000000000",
    isClosed: (values) => values.includes("125911584000000000"),
  }),
];
