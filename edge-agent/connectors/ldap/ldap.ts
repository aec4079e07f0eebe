import type { ActionName } from "@reflex/protocol/action";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { PresenceFilter } from "ldapts";
import type { ActionTraits, ApplyOutcome, Connector, ConnectorCall, UndoOutcome, VerifyOutcome } from "../contract.ts";
import { idOf, locate, readCaptured, textsOf, writeCaptured } from "./account.ts";
import type { AccountLock, DirectoryStyle } from "./account-lock.ts";
import { entitiesOf, findUser } from "./find-user.ts";
import { groupsOf } from "./groups.ts";
import { type Asking, createLink, type DirectoryEntry, type LinkFailure, type LinkOptions } from "./link.ts";
import { meaningOf } from "./result-code.ts";

export type LdapOptions = {
  readonly name: string;
  readonly style: DirectoryStyle;
  readonly link: LinkOptions;
  /** The tree in which an account is found again after it was moved. */
  readonly base: string;
  readonly userBase: string;
  readonly groupBase: string;
  readonly nameAttributes: readonly string[];
  readonly domains: readonly string[];
  /** No two of them in one attribute: ending one action would free the account that the other holds. */
  readonly locks: Readonly<Partial<Record<ActionName, AccountLock>>>;
};

/**
 * Closes accounts of a directory (Active Directory, OpenLDAP, 389 Directory Server) and opens them again as they were. Each
 * change takes the old value away and puts the new one there in one request, so that what another writer did in between is
 * never lost: then nothing happens, and it is tried again on what is there.
 */
export const createLdap = (options: LdapOptions): Connector => {
  const link = createLink(options.link);

  const lockOf = ({ action }: Pick<ConnectorCall, "action">): Result<AccountLock, Refusal> => {
    const lock = options.locks[action];
    return lock === undefined ? err(refusal("connector-unknown", `${options.name} cannot ${action}`)) : ok(lock);
  };

  /** The account of the call with the values of the lock's attribute now. */
  const accountNow = async (
    ask: Asking,
    call: ConnectorCall,
    lock: AccountLock,
  ): Promise<Result<{ entry: DirectoryEntry; values: readonly string[] } | "gone", Failure>> => {
    if (call.resolved === undefined) return err(unusable("target-unresolved", "the account was not resolved"));
    const { id, label: dn } = call.resolved;
    const found = await locate(ask, options, { id, dn }, lock.attribute);
    if (!found.ok)
      return found.error.kind === "several" ? err(unusable("target-unresolved", found.error.detail)) : err(found.error);
    return ok(found.value === "gone" ? "gone" : { entry: found.value, values: textsOf(found.value, lock.attribute) });
  };

  const resolve: NonNullable<Connector["resolve"]> = async (call) => {
    const lock = lockOf(call);
    if (!lock.ok) return lock;
    const ask = link.begin();
    const found = await findUser(ask, options, call.target);
    if (!found.ok) return err(refusalOf(found.error));
    const entities = entitiesOf(found.value);
    if (isOurself(options.link, found.value, entities)) {
      return err(refusal("never-touch", "this is the account that Reflex itself uses"));
    }
    const groups = await groupsOf(ask, options, found.value);
    if (!groups.ok) return err(refusalOf(groups.error));
    return ok({ id: idOf(options.style, found.value), label: found.value.dn, entities, groups: groups.value });
  };

  const captureUndo = async (call: ConnectorCall): Promise<Result<string, Refusal>> => {
    const lock = lockOf(call);
    if (!lock.ok) return lock;
    const now = await accountNow(link.begin(), call, lock.value);
    if (!now.ok) return err(refusalOf(now.error));
    if (now.value === "gone") return err(refusal("target-unresolved", "the account is gone"));
    const isReadable = lock.value.isOn(now.value.values);
    if (!isReadable.ok) return isReadable;
    return writeCaptured({ attribute: lock.value.attribute, values: now.value.values });
  };

  const apply = async (call: ConnectorCall): Promise<ApplyOutcome> => {
    const lock = lockOf(call);
    if (!lock.ok) return { kind: "refused", ...lock.error };
    if (readCaptured(call.undoData, lock.value.attribute) === undefined) {
      return { kind: "refused", ...refusal("target-unresolved", "what was there before is not known") };
    }
    const ask = link.begin();
    const now = await accountNow(ask, call, lock.value);
    if (!now.ok) return untouched(now.error);
    if (now.value === "gone") return { kind: "refused", ...refusal("target-unresolved", "the account is gone") };
    const { entry, values } = now.value;
    const change = lock.value.close(values);
    if (!change.ok) return { kind: "refused", ...change.error };
    const { attribute } = lock.value;
    if (change.value === undefined) return { kind: "applied", detail: `${attribute} says closed already` };
    const done = await ask.modify(entry.dn, { attribute, ...change.value });
    if (done.ok) return { kind: "applied", detail: `${attribute} of ${entry.dn}` };
    switch (changeMeaning(done.error)) {
      case "unknown":
        return { kind: "unknown", detail: detailOf(done.error) };
      case "retry":
        return { kind: "retry", detail: detailOf(done.error) };
      case "refused":
        return refusedWith(done.error);
      case "changed":
      case "missing":
        return { kind: "retry", detail: `${entry.dn} was changed by somebody else at the same moment` };
      case "perhaps changed":
        return (await isStill(ask, call, lock.value, values))
          ? refusedWith(done.error)
          : { kind: "retry", detail: `${attribute} of ${entry.dn} was changed by somebody else at the same moment` };
    }
  };

  const isStill = async (
    ask: Asking,
    call: ConnectorCall,
    lock: AccountLock,
    seen: readonly string[],
  ): Promise<boolean> => {
    const now = await accountNow(ask, call, lock);
    return now.ok && now.value !== "gone" && JSON.stringify(now.value.values) === JSON.stringify(seen);
  };

  const verify = async (call: ConnectorCall): Promise<VerifyOutcome> => {
    const lock = lockOf(call);
    if (!lock.ok) return { kind: "unknown", detail: lock.error.detail };
    const now = await accountNow(link.begin(), call, lock.value);
    if (!now.ok) return { kind: "unknown", detail: detailOf(now.error) };
    if (now.value === "gone") return { kind: "absent", detail: "the account is gone" };
    const isOn = lock.value.isOn(now.value.values);
    if (!isOn.ok) return { kind: "unknown", detail: isOn.error.detail };
    return { kind: isOn.value ? "present" : "absent" };
  };

  const undo = async (call: ConnectorCall): Promise<UndoOutcome> => {
    const lock = lockOf(call);
    if (!lock.ok) return { kind: "retry", detail: lock.error.detail };
    const { attribute } = lock.value;
    // What was never resolved and captured was never applied.
    if (call.resolved === undefined || call.undoData === undefined) return { kind: "undone" };
    const before = readCaptured(call.undoData, attribute);
    if (before === undefined) return { kind: "retry", detail: `what ${attribute} was before is not known` };
    const ask = link.begin();
    const now = await accountNow(ask, call, lock.value);
    if (!now.ok) return { kind: "retry", detail: detailOf(now.error) };
    if (now.value === "gone") return { kind: "undone", detail: "the account is gone" };
    const { entry, values } = now.value;
    const change = lock.value.open(values, before.values);
    if (!change.ok) return { kind: "retry", detail: change.error.detail };
    if (change.value === undefined) return { kind: "undone", detail: `${attribute} is as it was` };
    const done = await ask.modify(entry.dn, { attribute, ...change.value });
    if (done.ok) return { kind: "undone", detail: `${attribute} of ${entry.dn}` };
    const meaning = changeMeaning(done.error);
    if (meaning !== "changed" && meaning !== "perhaps changed") return { kind: "retry", detail: detailOf(done.error) };
    const after = await accountNow(ask, call, lock.value);
    const isOn = after.ok && after.value !== "gone" ? lock.value.isOn(after.value.values) : undefined;
    return isOn?.ok === true && !isOn.value
      ? { kind: "undone", detail: `${attribute} was changed by somebody else, and is left so` }
      : { kind: "retry", detail: `${entry.dn} was changed by somebody else at the same moment` };
  };

  return {
    name: options.name,
    describe: () => ({
      about: `accounts of the directory at ${options.link.transport.url}: ${sentenceOfLocks(options)}; who is inside already stays until the session ends`,
      actions: Object.fromEntries(Object.keys(options.locks).map((action) => [action, traits])),
      needs: [
        `an account that may read users and groups below ${options.base}, their ids and memberships`,
        ...Object.values(options.locks).map(({ attribute }) => `the right to read and write ${attribute} of users`),
        ...(isPasswordPolicy(options)
          ? ["slapo-ppolicy, and a password policy with pwdLockout TRUE for these users"]
          : []),
      ],
      callsAtOnceMax: 4,
    }),
    start: async () => {
      const query = { base: options.userBase, scope: "base", filter: anything, attributes: ["1.1"] } as const;
      const found = await link.begin().search(query);
      // A directory that is away comes back; leases that wait for their undo must not keep the agent from starting.
      const why = found.ok ? undefined : refusalOf(found.error);
      return why === undefined || why.code === "unreachable" ? ok(undefined) : err(why);
    },
    resolve,
    captureUndo,
    apply,
    verify,
    undo,
    stop: () => link.close(),
  };
};

type Failure = LinkFailure;

const traits: ActionTraits = { targets: ["user"], nativeTtl: false, canVerify: true, canUndo: true };
const anything = new PresenceFilter({ attribute: "objectClass" });

const unusable = (code: Refusal["code"], detail: string): Failure => ({
  kind: "unusable",
  refusal: refusal(code, detail),
});
const detailOf = (failure: Failure): string => (failure.kind === "unusable" ? failure.refusal.detail : failure.detail);

/** The outcome of an apply that failed while it was still reading. */
const untouched = (failure: Failure): ApplyOutcome => {
  const isFinal = failure.kind === "unusable" || (failure.kind === "answered" && meaningOf(failure.code) === "refused");
  return isFinal ? refusedWith(failure) : { kind: "retry", detail: detailOf(failure) };
};

const refusedWith = (failure: Failure): ApplyOutcome => ({ kind: "refused", ...refusalOf(failure) });

const changeMeaning = (failure: Failure): ReturnType<typeof meaningOf> => {
  switch (failure.kind) {
    case "unsent":
      return "retry";
    case "unusable":
      return "refused";
    case "answered":
      return meaningOf(failure.code);
    case "unknown":
      return "unknown";
  }
};

/** For questions that change nothing: what cannot be asked now is asked again, what was answered with no is not. */
const refusalOf = (failure: Failure): Refusal => {
  if (failure.kind === "unusable") return failure.refusal;
  if (failure.kind !== "answered") return refusal("unreachable", failure.detail);
  switch (meaningOf(failure.code)) {
    case "refused":
      return refusal("connector-refused", failure.detail);
    case "missing":
      return refusal("target-unresolved", failure.detail);
    default:
      return refusal("unreachable", failure.detail);
  }
};

/** Whoever closes the account it works with cannot open it again. */
const isOurself = (
  { bind }: LinkOptions,
  entry: DirectoryEntry,
  entities: readonly { readonly value: string }[],
): boolean => {
  if ("external" in bind) return false;
  const self = bind.dn.toLowerCase();
  const login = self.slice(self.lastIndexOf("\\") + 1);
  return [entry.dn, ...entities.map(({ value }) => value)].some((name) => [self, login].includes(name.toLowerCase()));
};

const isPasswordPolicy = ({ locks }: LdapOptions): boolean =>
  Object.values(locks).some(({ attribute }) => attribute.toLowerCase() === "pwdaccountlockedtime");

const sentenceOfLocks = ({ locks }: LdapOptions): string =>
  Object.entries(locks)
    .map(([action, { attribute }]) => `${action} in ${attribute}`)
    .join(", ");
