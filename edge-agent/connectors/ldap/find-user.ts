import type { Entity } from "@reflex/protocol/entity";
import { entityValueLengthMax } from "@reflex/protocol/limits";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { AndFilter, EqualityFilter, type Filter, OrFilter } from "ldapts";
import { byteAttributes, idAttributeOf, textsOf } from "./account.ts";
import type { DirectoryStyle } from "./account-lock.ts";
import type { Asking, DirectoryEntry, LinkFailure } from "./link.ts";

export type UserNames = {
  readonly style: DirectoryStyle;
  readonly userBase: string;
  /** Attributes that hold a login name: `sAMAccountName`, `uid`. */
  readonly nameAttributes: readonly string[];
  /** Names that mean this directory in `CORP\alice` and `alice@corp.example`; in no case another domain's account is taken for ours. */
  readonly domains: readonly string[];
};

/** Exactly one account, or why not. */
export const findUser = async (
  ask: Asking,
  names: UserNames,
  target: Entity,
): Promise<Result<DirectoryEntry, LinkFailure | { readonly kind: "unusable"; readonly refusal: Refusal }>> => {
  const filter = userFilter(names, target);
  if (!filter.ok) return err({ kind: "unusable", refusal: filter.error });
  const found = await ask.search({
    base: names.userBase,
    scope: "sub",
    filter: filter.value,
    attributes: [idAttributeOf(names.style), ...accountAttributes],
    bytes: byteAttributes,
    entriesMax: 2,
  });
  if (!found.ok) return found;
  const [entry, ...others] = found.value;
  if (entry !== undefined && others.length === 0) return ok(entry);
  const count = entry === undefined ? "no account" : "more than one account";
  return err({ kind: "unusable", refusal: refusal("target-unresolved", `${count} is called so in ${names.userBase}`) });
};

/** Names a person is known by; each may be on the never-touch list. */
const userNameAttributes = ["sAMAccountName", "userPrincipalName", "uid", "mail", "cn", "displayName"] as const;
const accountAttributes = [...userNameAttributes, "memberOf", "primaryGroupID", "gidNumber", "objectSid"] as const;

/** Somebody with more names than this is not one person. */
const namesMax = 64;

export const entitiesOf = (entry: DirectoryEntry): readonly Entity[] => {
  const values = userNameAttributes.flatMap((attribute) => textsOf(entry, attribute));
  return [...new Set([...values, entry.dn])]
    .filter((value) => value !== "" && value.length <= entityValueLengthMax)
    .slice(0, namesMax)
    .map((value) => ({ type: "user", value }));
};

/** Values go into the filter as values; there is no text in which one could end. */
const userFilter = (names: UserNames, { type, value }: Entity): Result<Filter, Refusal> => {
  if (type !== "user") return err(refusal("target-unresolved", `a ${type} has no account`));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is refused
  if (value.trim() !== value || value === "" || /[\u0000-\u001f\u007f]/.test(value)) {
    return err(refusal("entity-malformed", "not the name of a user"));
  }
  const isOurs = (domain: string): boolean =>
    names.domains.some((known) => known.toLowerCase() === domain.toLowerCase());
  const byLogin = (login: string): Filter[] => names.nameAttributes.map((name) => equals(name, login));
  const backslash = names.style === "active-directory" ? value.indexOf("\\") : -1;
  if (backslash >= 0) {
    const domain = value.slice(0, backslash);
    if (isOurs(domain)) return ok(isUser(names.style, byLogin(value.slice(backslash + 1))));
    return err(refusal("target-unresolved", "the domain before the backslash is not among this connector's domains"));
  }
  const at = value.lastIndexOf("@");
  if (at < 1) return ok(isUser(names.style, byLogin(value)));
  const byAddress = [
    equals("mail", value),
    ...(names.style === "active-directory" ? [equals("userPrincipalName", value)] : byLogin(value)),
    ...(isOurs(value.slice(at + 1)) ? byLogin(value.slice(0, at)) : []),
  ];
  return ok(isUser(names.style, byAddress));
};

const equals = (attribute: string, value: string): Filter => new EqualityFilter({ attribute, value });

/** [MS-SAMR] 2.2.1.9: SAM_USER_OBJECT; computers, service accounts of machines and trusts have other numbers. */
const samUserObject = "805306368";

const isUser = (style: DirectoryStyle, names: readonly Filter[]): Filter =>
  new AndFilter({
    filters: [
      style === "active-directory" ? equals("sAMAccountType", samUserObject) : equals("objectClass", "person"),
      new OrFilter({ filters: [...names] }),
    ],
  });
