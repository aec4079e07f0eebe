/** Whose attributes the directory has; the server is OpenLDAP either way. */
export type DirectoryStyle = "active-directory" | "openldap";

const base = "dc=corp,dc=example";
export const servicePassword = "only-in-the-lab";

export const people = {
  base,
  password: "a-user-password",
  service: `cn=reflex,ou=services,${base}`,
  reader: `cn=reader,ou=services,${base}`,
  stranger: `cn=stranger,ou=services,${base}`,
} as const;

export type LabEntry = {
  readonly dn: string;
  readonly attributes: Readonly<Record<string, string | readonly string[]>>;
};

/** Where each person stands; a name with every character that filters and distinguished names treat specially is one of them. */
export const dnOf = (style: DirectoryStyle, uid: string): string =>
  style === "openldap" ? `uid=${escapeDn(uid)},ou=people,${base}` : `cn=${escapeDn(commonName(uid))},ou=people,${base}`;

export const oddName = "odd*)(uid=\\,+o'neil";
const names = ["alice", "bob", "carol", "dave", "erin", oddName] as const;
const commonName = (uid: string): string => `${uid} of corp`;

export const entriesOf = (style: DirectoryStyle): readonly LabEntry[] => [
  { dn: base, attributes: { objectClass: ["dcObject", "organization"], dc: "corp", o: "Corp" } },
  ...["people", "groups", "services", "policies", "leavers"].map((ou) => ({
    dn: `ou=${ou},${base}`,
    attributes: { objectClass: "organizationalUnit", ou },
  })),
  {
    dn: `cn=default,ou=policies,${base}`,
    attributes: {
      objectClass: ["device", "pwdPolicy"],
      cn: "default",
      pwdAttribute: "userPassword",
      pwdLockout: "TRUE",
    },
  },
  ...["reflex", "reader", "stranger"].map((cn) => ({
    dn: `cn=${cn},ou=services,${base}`,
    attributes: {
      objectClass: ["organizationalRole", "simpleSecurityObject"],
      cn,
      userPassword: servicePassword,
    },
  })),
  ...(style === "openldap" ? openldapPeople() : activeDirectoryPeople()),
];

const common = (uid: string) => ({
  cn: commonName(uid),
  sn: uid,
  // carol and dave read one mailbox: a name that stands for two accounts.
  mail: uid === "carol" || uid === "dave" ? "desk@corp.example" : `${uid === oddName ? "odd" : uid}@corp.example`,
  userPassword: people.password,
});

const openldapPeople = (): readonly LabEntry[] => [
  ...names.map((uid, index) => ({
    dn: dnOf("openldap", uid),
    attributes: {
      objectClass: ["inetOrgPerson", "posixAccount", "labAccount"],
      uid,
      ...common(uid),
      uidNumber: String(10_000 + index),
      gidNumber: "500",
      homeDirectory: "/home/someone",
      loginShell: "/bin/bash",
    },
  })),
  group("operators", [dnOf("openldap", "alice")], "groupOfNames"),
  group("administrators", [`cn=operators,ou=groups,${base}`], "groupOfNames"),
  {
    // No member of it knows: the server keeps memberOf for the other kind of group alone.
    dn: `cn=auditors,ou=groups,${base}`,
    attributes: {
      objectClass: "groupOfUniqueNames",
      cn: "auditors",
      uniqueMember: `cn=administrators,ou=groups,${base}`,
    },
  },
  {
    dn: `cn=accounts,ou=groups,${base}`,
    attributes: { objectClass: "posixGroup", cn: "accounts", gidNumber: "500" },
  },
  {
    dn: `cn=printers,ou=groups,${base}`,
    attributes: { objectClass: "posixGroup", cn: "printers", gidNumber: "501", memberUid: "bob" },
  },
];

/** Normal account. */
const normalUser = 0x200;
const passwordNeverExpires = 0x10000;

const activeDirectoryPeople = (): readonly LabEntry[] => [
  ...names.map((uid, index) => ({
    dn: dnOf("active-directory", uid),
    attributes: {
      objectClass: "user",
      ...common(uid),
      sAMAccountName: uid,
      sAMAccountType: "805306368",
      userPrincipalName: `${uid === oddName ? "odd" : uid}@corp.example`,
      userAccountControl: String(normalUser | passwordNeverExpires),
      accountExpires: "9223372036854775807",
      primaryGroupID: "513",
      objectSid: sidBytes(1_100 + index),
      objectGUID: `guid-of-user-${String(index).padStart(3, "0")}`,
    },
  })),
  group("operators", [dnOf("active-directory", "alice")], "group"),
  group("administrators", [`cn=operators,ou=groups,${base}`], "group"),
  {
    dn: `cn=Domain Users,ou=groups,${base}`,
    attributes: { objectClass: "group", cn: "Domain Users", sAMAccountName: "Domain Users", objectSid: sidBytes(513) },
  },
];

const group = (cn: string, member: readonly string[], objectClass: string): LabEntry => ({
  dn: `cn=${cn},ou=groups,${base}`,
  attributes: { objectClass, cn, member },
});

/** S-1-5-21-1-2-3-`rid` in the layout of [MS-DTYP] 2.4.2.2; every byte is below 0x80, so it is its own UTF-8. */
const sidBytes = (rid: number): string => {
  const bytes = Buffer.alloc(28);
  bytes.set([1, 5, 0, 0, 0, 0, 0, 5]);
  for (const [index, part] of [21, 1, 2, 3, rid].entries()) bytes.writeUInt32LE(part, 8 + 4 * index);
  return bytes.toString("latin1");
};

const escapeDn = (value: string): string => value.replace(/[\\,+"<>;=#]/g, (mark) => `\\${mark}`);
