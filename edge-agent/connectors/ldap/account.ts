import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { EqualityFilter, PresenceFilter } from "ldapts";
import type { DirectoryStyle } from "./account-lock.ts";
import type { Asking, DirectoryEntry, LinkFailure } from "./link.ts";

/** An id that stays when an account is renamed or moved: its text, and how the directory is asked for it. */
const idAttributes: Readonly<Record<DirectoryStyle, { readonly name: string; readonly isBytes: boolean }>> = {
  "active-directory": { name: "objectGUID", isBytes: true },
  openldap: { name: "entryUUID", isBytes: false },
  "389-ds": { name: "nsUniqueId", isBytes: false },
};

export const idAttributeOf = (style: DirectoryStyle): string => idAttributes[style].name;
export const byteAttributes = ["objectGUID", "objectSid"] as const;

export const textsOf = (entry: DirectoryEntry, attribute: string): readonly string[] =>
  (entry.attributes.get(attribute.toLowerCase()) ?? []).filter((value) => typeof value === "string");

export const bytesOf = (entry: DirectoryEntry, attribute: string): Buffer | undefined => {
  const [value] = entry.attributes.get(attribute.toLowerCase()) ?? [];
  return value === undefined ? undefined : Buffer.from(value);
};

/** The id of an entry; its distinguished name where the directory shows us no id. */
export const idOf = (style: DirectoryStyle, entry: DirectoryEntry): string => {
  const { name, isBytes } = idAttributes[style];
  const value = isBytes ? bytesOf(entry, name)?.toString("hex") : textsOf(entry, name)[0];
  return value === undefined || value === "" ? entry.dn : value;
};

/**
 * The account as it is now, wherever it stands: where it was last seen, else by its id, because an administrator may have
 * moved it since. `gone` only if the directory shows us the tree and no such account in it.
 */
export const locate = async (
  ask: Asking,
  options: { readonly style: DirectoryStyle; readonly base: string },
  account: { readonly id: string; readonly dn: string },
  attribute: string,
): Promise<Result<DirectoryEntry | "gone", LinkFailure | { readonly kind: "several"; readonly detail: string }>> => {
  const { name, isBytes } = idAttributes[options.style];
  const wanted = { attributes: [name, attribute], bytes: isBytes ? [name] : [], entriesMax: 2 };
  const there = await ask.search({ base: account.dn, scope: "base", filter: anything, ...wanted });
  if (!there.ok && !isNoSuchObject(there.error)) return there;
  const [entry] = there.ok ? there.value : [];
  if (entry !== undefined && idOf(options.style, entry) === account.id) return ok(entry);
  if (account.id === account.dn) return isShown(ask, options.base);
  const value = isBytes ? Buffer.from(account.id, "hex") : account.id;
  const found = await ask.search({
    base: options.base,
    scope: "sub",
    filter: new EqualityFilter({ attribute: name, value }),
    ...wanted,
  });
  if (!found.ok) return found;
  const [moved, ...more] = found.value;
  if (moved === undefined) return isShown(ask, options.base);
  return more.length === 0 ? ok(moved) : err({ kind: "several", detail: "one id names several accounts" });
};

const anything = new PresenceFilter({ attribute: "objectClass" });
const isNoSuchObject = (failure: LinkFailure): boolean => failure.kind === "answered" && failure.code === 32;

/** A directory that lost our rights, or its data, hides everything: then nothing is known to be gone. */
const isShown = async (ask: Asking, base: string): Promise<Result<"gone", LinkFailure>> => {
  const root = await ask.search({ base, scope: "base", filter: anything, attributes: ["1.1"], entriesMax: 2 });
  if (!root.ok) return root;
  return root.value.length === 1 ? ok("gone") : err({ kind: "unknown", detail: `${base} is not shown to us` });
};

/** What was there before, kept with the command. */
export type Captured = { readonly attribute: string; readonly values: readonly string[] };

/** Attributes of accounts are short; a longer value is not one of the kind we swap. */
const valueLengthMax = 1_024;
const valuesMax = 16;

export const writeCaptured = ({ attribute, values }: Captured): Result<string, Refusal> => {
  if (values.length > valuesMax || values.some((value) => value.length > valueLengthMax)) {
    return err(refusal("connector-refused", `${attribute} holds more than could be given back`));
  }
  return ok(JSON.stringify({ attribute, values }));
};

export const readCaptured = (text: string | undefined, attribute: string): Captured | undefined => {
  try {
    const value: unknown = JSON.parse(text ?? "");
    if (typeof value !== "object" || value === null) return undefined;
    if (!("attribute" in value) || value.attribute !== attribute) return undefined;
    if (!("values" in value) || !Array.isArray(value.values)) return undefined;
    const values: readonly unknown[] = value.values;
    return values.every((one) => typeof one === "string") ? { attribute, values } : undefined;
  } catch {
    return undefined;
  }
};
