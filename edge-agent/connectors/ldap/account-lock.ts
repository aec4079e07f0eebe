import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";

/** How an account is closed and opened again in one directory attribute. Pure: values in, a change out. */
export type AccountLock = {
  readonly attribute: string;
  /** Fails where the values say nothing: attribute not readable, not a number. */
  readonly isOn: (values: readonly string[]) => Result<boolean, Refusal>;
  /** What closes the account; undefined where it is closed already. */
  readonly close: (values: readonly string[]) => Result<AttributeChange | undefined, Refusal>;
  /** What gives back what was there before; undefined where there is nothing to give back. */
  readonly open: (values: readonly string[], before: readonly string[]) => Result<AttributeChange | undefined, Refusal>;
};

/** The values to take away, each of which must still be there, and those to put in their place. */
export type AttributeChange = { readonly remove: readonly string[]; readonly add: readonly string[] };

/**
 * One bit of a number that others write as well (userAccountControl): closing sets it, opening puts this bit back to what it
 * was and leaves all others as they are now.
 */
export const bitLock = (attribute: string, bit: number): AccountLock => {
  const numberIn = (values: readonly string[]): Result<number, Refusal> => {
    const [text, ...more] = values;
    const value = text !== undefined && more.length === 0 && /^-?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    // A 32-bit number: beyond it, bit operations would change what they should keep.
    if ((value | 0) === value) return ok(value);
    return err(
      refusal("connector-refused", `${attribute} cannot be read as one 32-bit number; may the account read it?`),
    );
  };
  const to = (from: number, wanted: number): AttributeChange | undefined =>
    from === wanted ? undefined : { remove: [String(from)], add: [String(wanted)] };
  return {
    attribute,
    isOn: (values) => mapped(numberIn(values), (value) => (value & bit) !== 0),
    close: (values) => mapped(numberIn(values), (value) => to(value, value | bit)),
    open: (values, before) => {
      const was = numberIn(before);
      if (!was.ok) return was;
      return mapped(numberIn(values), (value) => to(value, (value & ~bit) | (was.value & bit)));
    },
  };
};

/**
 * One value that means closed (a lock time, a shell that lets nobody in): closing puts it in place of what is there, opening
 * puts back what was there. Nothing is given back where somebody has put another value there since.
 */
export const valueLock = (
  attribute: string,
  value: string,
  options: { readonly ignoresCase?: boolean } = {},
): AccountLock => {
  const fold = (text: string): string => (options.ignoresCase === true ? text.toLowerCase() : text);
  const isValue = (one: string): boolean => fold(one) === fold(value);
  return {
    attribute,
    isOn: (values) => ok(values.some(isValue)),
    close: (values) => ok(values.some(isValue) ? undefined : { remove: values, add: [value] }),
    open: (values, before) => {
      if (before.some(isValue)) return ok(undefined);
      // Taken away even if not seen: the server knows whether it is there, and an attribute hidden from us looks empty.
      const stored = values.find(isValue) ?? value;
      return ok({ remove: [stored], add: before.filter((one) => !values.includes(one)) });
    },
  };
};

const mapped = <T, U>(result: Result<T, Refusal>, change: (value: T) => U): Result<U, Refusal> =>
  result.ok ? ok(change(result.value)) : result;

/** [MS-ADTS] 2.2.16: ADS_UF_ACCOUNTDISABLE. */
export const accountDisableBit = 0x2;
/** Midnight 2000-01-01 in units of 100 ns since 1601 ([MS-ADA1] accountExpires): long past on any clock. */
const expiredLongAgo = "125911584000000000";
/** draft-behera-ldap-password-policy-10 5.3.3: locked until an administrator unlocks it. */
const lockedForGood = "000001010000Z";

export const directoryStyles = ["active-directory", "openldap", "389-ds"] as const;
export type DirectoryStyle = (typeof directoryStyles)[number];

/** Closed in two attributes, so that ending one action does not free the account that the other still holds. */
export const styleLocks: Readonly<
  Record<DirectoryStyle, { readonly disable_user: AccountLock; readonly suspend_account?: AccountLock }>
> = {
  "active-directory": {
    disable_user: bitLock("userAccountControl", accountDisableBit),
    suspend_account: valueLock("accountExpires", expiredLongAgo),
  },
  openldap: { disable_user: valueLock("pwdAccountLockedTime", lockedForGood) },
  "389-ds": { disable_user: valueLock("nsAccountLock", "TRUE", { ignoresCase: true }) },
};
