import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { AndFilter, EqualityFilter, type Filter, OrFilter, PresenceFilter } from "ldapts";
import { bytesOf, textsOf } from "./account.ts";
import type { DirectoryStyle } from "./account-lock.ts";
import type { Asking, DirectoryEntry, LinkFailure } from "./link.ts";

type GroupsFailure = LinkFailure | { readonly kind: "unusable"; readonly refusal: Refusal };

/** Deeper nesting, or more groups, than anyone can review: then nobody can say that none of them is protected. */
const levelsMax = 10;
const groupsMax = 1_024;
/** Distinguished names in one question; servers bound the length of a filter. */
const namesPerQuestionMax = 64;

/**
 * Every group the account belongs to, directly, by primary group, or because one group is in another: by name and by
 * distinguished name. Fails rather than leave one out.
 */
export const groupsOf = async (
  ask: Asking,
  options: { readonly style: DirectoryStyle; readonly groupBase: string },
  account: DirectoryEntry,
): Promise<Result<readonly string[], GroupsFailure>> => {
  const found = new Map<string, DirectoryEntry>();
  const search: Search = async (filter) => {
    const wanted = { base: options.groupBase, scope: "sub", attributes: ["cn", "sAMAccountName", "memberOf"] } as const;
    const groups = await ask.search({ ...wanted, filter });
    const isCutOff = !groups.ok && groups.error.kind === "answered" && groups.error.code === sizeLimitExceeded;
    return isCutOff ? unusable("the account is in more groups than the directory lists") : groups;
  };

  const primary = await primaryGroup(options.style, account, search);
  if (!primary.ok) return primary;
  const logins = textsOf(account, "uid").map((uid) => equals("memberUid", uid));
  let level: readonly string[] = [account.dn];
  let listed: readonly string[] = textsOf(account, "memberOf");
  let entries: readonly DirectoryEntry[] = primary.value;

  for (let depth = 0; depth < levelsMax; depth += 1) {
    const byMember = await searchAll(level, depth === 0 ? logins : [], search);
    if (!byMember.ok) return byMember;
    const known = new Set([...entries, ...byMember.value].map(({ dn }) => keyOf(dn)));
    // A group outside the base, which only the account's own list names.
    const elsewhere = listed.filter((dn) => !known.has(keyOf(dn)) && !found.has(keyOf(dn)));
    const next = [...entries, ...byMember.value, ...elsewhere.map(groupNamed)].filter(
      ({ dn }) => !found.has(keyOf(dn)),
    );
    for (const group of next) found.set(keyOf(group.dn), group);
    if (found.size > groupsMax) return unusable(`the account is in more than ${groupsMax} groups`);
    if (next.length === 0) return ok(namesOf([...found.values()]));
    level = next.map(({ dn }) => dn);
    listed = next.flatMap((group) => textsOf(group, "memberOf"));
    entries = [];
  }
  return unusable(`groups are nested deeper than ${levelsMax} levels`);
};

type Search = (filter: Filter) => Promise<Result<readonly DirectoryEntry[], GroupsFailure>>;
/** RFC 4511 4.1.9. */
const sizeLimitExceeded = 4;

const searchAll = async (
  members: readonly string[],
  more: readonly Filter[],
  search: Search,
): Promise<Result<readonly DirectoryEntry[], GroupsFailure>> => {
  const all: DirectoryEntry[] = [];
  for (let at = 0; at < members.length; at += namesPerQuestionMax) {
    const filters = members
      .slice(at, at + namesPerQuestionMax)
      .flatMap((dn) => [equals("member", dn), equals("uniqueMember", dn)]);
    const found = await search(new OrFilter({ filters: [...filters, ...(at === 0 ? more : [])] }));
    if (!found.ok) return found;
    all.push(...found.value);
  }
  return ok(all);
};

/** The primary group does not list its members; it is named by a number on the account. */
const primaryGroup = async (
  style: DirectoryStyle,
  account: DirectoryEntry,
  search: Search,
): Promise<Result<readonly DirectoryEntry[], GroupsFailure>> => {
  if (style !== "active-directory") {
    const [gid] = textsOf(account, "gidNumber");
    return gid === undefined ? ok([]) : search(all(equals("objectClass", "posixGroup"), equals("gidNumber", gid)));
  }
  const [rid] = textsOf(account, "primaryGroupID");
  const sid = bytesOf(account, "objectSid");
  if (rid === undefined || sid === undefined || sid.length < 12 || !/^\d{1,10}$/.test(rid)) {
    return unusable("primaryGroupID and objectSid cannot be read, so its primary group is not known");
  }
  // [MS-DTYP] 2.4.2.2: the last four bytes of a SID are the number within its domain.
  const groupSid = Buffer.from(sid);
  groupSid.writeUInt32LE(Number(rid) >>> 0, groupSid.length - 4);
  const found = await search(new EqualityFilter({ attribute: "objectSid", value: groupSid }));
  if (!found.ok || found.value.length === 1) return found;
  return unusable("its primary group cannot be found; is the group base the whole domain?");
};

const namesOf = (groups: readonly DirectoryEntry[]): readonly string[] => [
  ...new Set(groups.flatMap((group) => [...textsOf(group, "cn"), ...textsOf(group, "sAMAccountName"), group.dn])),
];

/** `cn=Domain Admins,ou=…`: the value of the first part, for a group we only know the name of. */
const groupNamed = (dn: string): DirectoryEntry => {
  const first = /^[^=]+=((?:\\.|[^,+\\])*)/s.exec(dn)?.[1] ?? dn;
  const bytes = first.replace(/(?:\\[0-9a-f]{2})+|\\(.)/gis, (escaped, mark: string | undefined) =>
    mark === undefined ? Buffer.from(escaped.replaceAll("\\", ""), "hex").toString("utf8") : mark,
  );
  return { dn, attributes: new Map([["cn", [bytes]]]) };
};

/** Servers write one name in several ways of spacing and case; two keys for one group only ask twice. */
const keyOf = (dn: string): string => dn.toLowerCase();
const equals = (attribute: string, value: string): Filter => new EqualityFilter({ attribute, value });
const all = (...filters: Filter[]): Filter =>
  new AndFilter({ filters: [new PresenceFilter({ attribute: "cn" }), ...filters] });
const unusable = (detail: string): Result<never, GroupsFailure> =>
  err({ kind: "unusable", refusal: refusal("target-unresolved", detail) });
