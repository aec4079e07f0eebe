import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Secrets } from "../secrets-port.ts";
import { type Bindings, bindText } from "./bind.ts";
import { encodeText } from "./bind-request.ts";
import type { Json, Value } from "./value.ts";

/** The secrets a site refers to, read anew each time, and what must not be seen of them anywhere else. */
export type Credentials = {
  /** The texts of several values of `auth`, in order. */
  readonly texts: (values: readonly Value[]) => Result<readonly string[], Refusal>;
  /** Settings and secrets together, for a login request alone. */
  readonly bindings: () => Result<Bindings, Refusal>;
  /** Something was told to us in confidence: an access token. */
  readonly remember: (token: string) => void;
  /** The text without anything secret in it: products repeat in errors what they were sent. */
  readonly conceal: (text: string) => string;
  readonly isRevealedBy: (text: string) => boolean;
};

/** Shorter secrets would be found in any text. */
const concealedLengthMin = 4;
/** Tokens of the last few hours; older ones are of no use to anybody. */
const tokensMax = 16;

export const createCredentials = (
  refs: Readonly<Record<string, string>>,
  secrets: Secrets,
  settings: Bindings,
): Credentials => {
  const tokens: string[] = [];

  const bindings = (): Result<Bindings, Refusal> => {
    const all = new Map<string, Json>(settings);
    for (const [name, ref] of Object.entries(refs)) {
      const secret = secrets.read(ref);
      if (!secret.ok) return secret;
      all.set(`secrets.${name}`, secret.value.reveal());
    }
    return ok(all);
  };

  const known = (): string[] => {
    const read = Object.values(refs).flatMap((ref) => {
      const secret = secrets.read(ref);
      return secret.ok ? [secret.value.reveal()] : [];
    });
    return [...read, ...tokens]
      .flatMap((secret) => [
        secret,
        encodeURIComponent(secret.toWellFormed()),
        encodeText(secret.toWellFormed()),
        JSON.stringify(secret).slice(1, -1),
        btoaText(secret),
      ])
      .filter((secret) => secret.length >= concealedLengthMin)
      .sort((a, b) => b.length - a.length);
  };

  return {
    bindings,
    texts: (values) => {
      const bound = bindings();
      if (!bound.ok) return bound;
      const texts: string[] = [];
      for (const value of values) {
        const text = bindText(value, bound.value);
        if (!text.ok) return err(refusal("not-found", `a secret or setting that auth needs is not there`));
        texts.push(text.value);
      }
      return ok(texts);
    },
    remember: (token) => {
      if (tokens.includes(token)) return;
      tokens.push(token);
      if (tokens.length > tokensMax) tokens.shift();
    },
    conceal: (text) => known().reduce((concealed, secret) => concealed.replaceAll(secret, "[secret]"), text),
    isRevealedBy: (text) => known().some((secret) => text.includes(secret)),
  };
};

const btoaText = (text: string): string => Buffer.from(text, "utf8").toString("base64");
