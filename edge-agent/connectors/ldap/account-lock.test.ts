import { ok } from "@reflex/protocol/result";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { secretOf } from "../secrets-port.ts";
import { readCaptured, writeCaptured } from "./account.ts";
import { type AttributeChange, accountDisableBit, bitLock, styleLocks, valueLock } from "./account-lock.ts";
import { type LdapConfig, ldapOptionsOf } from "./config.ts";
import { readStartTlsAnswer } from "./transport.ts";

/** What a directory does with a change: all of it, or nothing (RFC 4511 4.6). */
const modified = (values: readonly string[], { remove, add }: AttributeChange): readonly string[] | "refused" => {
  if (remove.some((one) => !values.includes(one))) return "refused";
  const left = values.filter((one) => !remove.includes(one));
  return add.some((one) => left.includes(one)) ? "refused" : [...left, ...add];
};

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

describe("one bit of a number that others write as well", () => {
  const lock = bitLock("userAccountControl", accountDisableBit);
  const numberIn = (values: readonly string[] | "refused"): number => {
    if (values === "refused" || values.length !== 1) throw new Error("not one number");
    return Number(values[0]);
  };

  test("undo puts this bit back to what it was and leaves every other as it is then", () => {
    fc.assert(
      fc.property(int32, int32, (before, others) => {
        const closing = lock.close([String(before)]);
        if (!closing.ok) throw new Error(closing.error.detail);
        const closed = closing.value === undefined ? before : numberIn(modified([String(before)], closing.value));
        expect(closed).toBe(before | accountDisableBit);
        expect(lock.isOn([String(closed)])).toEqual(ok(true));
        const meanwhile = closed ^ (others & ~accountDisableBit);
        const opening = lock.open([String(meanwhile)], [String(before)]);
        if (!opening.ok) throw new Error(opening.error.detail);
        const after = opening.value === undefined ? meanwhile : numberIn(modified([String(meanwhile)], opening.value));
        expect(after & accountDisableBit).toBe(before & accountDisableBit);
        expect(after & ~accountDisableBit).toBe(meanwhile & ~accountDisableBit);
      }),
    );
  });

  test("a change made on a value that is no longer there does nothing at all", () => {
    fc.assert(
      fc.property(int32, int32, (seen, now) => {
        const change = lock.close([String(seen)]);
        if (!change.ok || change.value === undefined || seen === now) return;
        expect(modified([String(now)], change.value)).toBe("refused");
      }),
    );
  });

  test.each([[], ["1", "2"], [""], ["x"], ["4294967296"], ["1.5"]])("%j says nothing: nobody guesses", (...values) => {
    expect(lock.isOn(values).ok).toBe(false);
    expect(lock.close(values).ok).toBe(false);
    expect(lock.open(values, ["512"]).ok).toBe(false);
    expect(lock.open(["514"], values).ok).toBe(false);
  });
});

describe("one value that means closed", () => {
  const closedValue = "/usr/sbin/nologin";
  const lock = valueLock("loginShell", closedValue);
  const values = fc.uniqueArray(fc.constantFrom("/bin/sh", "/bin/bash", "/bin/zsh", closedValue), { maxLength: 3 });

  test("undo gives back exactly the values that were there", () => {
    fc.assert(
      fc.property(values, (before) => {
        const closing = lock.close(before);
        if (!closing.ok) throw new Error(closing.error.detail);
        const closed = closing.value === undefined ? before : modified(before, closing.value);
        if (closed === "refused") throw new Error("refused");
        expect(lock.isOn(closed)).toEqual(ok(true));
        const opening = lock.open(closed, before);
        if (!opening.ok) throw new Error(opening.error.detail);
        const after = opening.value === undefined ? closed : modified(closed, opening.value);
        expect([...after].sort()).toEqual([...before].sort());
      }),
    );
  });

  test("where somebody has put another value since, undo changes nothing", () => {
    fc.assert(
      fc.property(values, values, (before, now) => {
        fc.pre(!now.includes(closedValue));
        const opening = lock.open(now, before);
        if (!opening.ok) throw new Error(opening.error.detail);
        if (opening.value !== undefined) expect(modified(now, opening.value)).toBe("refused");
      }),
    );
  });

  test("389-DS says TRUE in any case", () => {
    expect(styleLocks["389-ds"].disable_user.isOn(["true"])).toEqual(ok(true));
    expect(styleLocks["389-ds"].disable_user.open(["true"], [])).toEqual(ok({ remove: ["true"], add: [] }));
    expect(lock.isOn(["/USR/SBIN/NOLOGIN"])).toEqual(ok(false));
  });
});

test("undo data comes back as it was written, and anything else is not believed", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 40 }), { maxLength: 16 }), (values) => {
      const text = writeCaptured({ attribute: "loginShell", values });
      if (!text.ok) throw new Error(text.error.detail);
      expect(readCaptured(text.value, "loginShell")).toEqual({ attribute: "loginShell", values });
      expect(readCaptured(text.value, "userAccountControl")).toBeUndefined();
    }),
  );
  for (const text of [undefined, "", "{}", "null", '{"attribute":"a"}', '{"attribute":"a","values":[1]}']) {
    expect(readCaptured(text, "a")).toBeUndefined();
  }
  expect(writeCaptured({ attribute: "a", values: ["x".repeat(2_000)] }).ok).toBe(false);
});

describe("the answer to StartTLS", () => {
  const yes = Buffer.from("300c02010178070a010004000400", "hex");

  test("is taken whole, and only with nothing behind it", () => {
    expect(readStartTlsAnswer(yes)).toEqual(ok(undefined));
    for (let length = 0; length < yes.length; length += 1) {
      expect(readStartTlsAnswer(yes.subarray(0, length))).toBe("incomplete");
    }
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (behind) => {
        expect(readStartTlsAnswer(Buffer.concat([yes, behind]))).toMatchObject({ ok: false });
      }),
    );
  });

  test("whatever else comes is not a yes", () => {
    fc.assert(
      fc.property(fc.nat({ max: yes.length - 1 }), fc.nat({ max: 255 }), (at, byte) => {
        fc.pre(yes[at] !== byte);
        // The two texts at the end are empty; their tags do not matter to us.
        fc.pre(at < 10);
        const bent = Buffer.from(yes);
        bent[at] = byte;
        expect(readStartTlsAnswer(bent)).not.toEqual(ok(undefined));
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(readStartTlsAnswer(bytes)).not.toEqual(ok(undefined));
      }),
    );
  });
});

describe("a configuration", () => {
  const good: LdapConfig = {
    kind: "ldap",
    name: "directory",
    style: "openldap",
    url: "ldaps://dc1.corp.example",
    bind_dn: "cn=reflex,dc=corp,dc=example",
    bind_password: "env:BIND",
    base: "dc=corp,dc=example",
  };
  const deps = { secrets: { read: () => ok(secretOf("s")) }, readText: () => "pem" };

  test("that is whole is taken", () => expect(ldapOptionsOf(good, deps).ok).toBe(true));

  test.each([
    [{ url: "ldap://dc1.corp.example" }, "loopback"],
    [{ url: "ldap://127.0.0.1.evil.example" }, "loopback"],
    [{ url: "http://dc1" }, "ldaps://"],
    [{ url: "ldaps://admin:pw@dc1" }, "host and port alone"],
    [{ url: "ldaps://dc1/dc=x" }, "host and port alone"],
    [{ start_tls: true }, "start_tls"],
    [{ cert_file: "c.pem" }, "key_file"],
    [{ locks: { suspend_account: { attribute: "PWDACCOUNTLOCKEDTIME", value: "x" } } }, "one attribute"],
  ] as const)("%j is refused with what to write", (change, words) => {
    const made = ldapOptionsOf({ ...good, ...change }, deps);
    expect(made).toMatchObject({ ok: false });
    if (!made.ok) expect(made.error).toContain(words);
  });

  test("without a name to bind with, a certificate must say who we are", () => {
    const { bind_dn: _dn, bind_password: _ref, ...rest } = good;
    expect(ldapOptionsOf(rest, deps).ok).toBe(false);
    expect(ldapOptionsOf({ ...rest, cert_file: "c", key_file: "k" }, deps)).toMatchObject({
      ok: true,
      value: { link: { bind: { external: true } } },
    });
  });
});
