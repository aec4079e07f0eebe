import type { Refusal } from "@reflex/protocol/refusal";
import type { Result } from "@reflex/protocol/result";

/** A password, key or token. Printing, logging or storing it gives `[secret]`; only the call that needs it reveals it. */
export type Secret = { readonly reveal: () => string };

/**
 * Secrets by reference: `env:NAME`, `file:/path` or `credential:NAME` (systemd). Read at each use, so that a rotated
 * secret works at once, and never kept.
 */
export type Secrets = { readonly read: (ref: string) => Result<Secret, Refusal> };

const mark = "[secret]";

export const secretOf = (text: string): Secret => {
  const print = (): string => mark;
  const secret = { reveal: () => text };
  // Not enumerable, so that copying or comparing the object shows nothing either.
  for (const key of ["toString", "toJSON", Symbol.toPrimitive, Symbol.for("nodejs.util.inspect.custom")]) {
    Object.defineProperty(secret, key, { value: print });
  }
  return Object.freeze(secret);
};
