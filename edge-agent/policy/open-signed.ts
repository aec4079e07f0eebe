import { type Envelope, openEnvelope, type PayloadKind, type RoleKey } from "@reflex/protocol/envelope";
import { parseJson } from "@reflex/protocol/json";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { checkEnvelope } from "@reflex/protocol/validate";
import type { Crypto } from "../ports.ts";

export type Role = { readonly keys: readonly RoleKey[]; readonly threshold: number };
export type Signed<T> = { readonly value: T; readonly payload: Uint8Array };

/** One key, eight rounds of signatures and the names around them, on top of the payload in base64. */
const envelopeOverheadBytes = 16 * 1024;
export const envelopeBytesMax = (payloadBytesMax: number): number =>
  Math.ceil(payloadBytesMax / 3) * 4 + envelopeOverheadBytes;

export type Gate<T> = {
  readonly kind: PayloadKind;
  /** Of the payload; the envelope may be a third longer. */
  readonly payloadBytesMax: number;
  readonly check: (value: unknown) => Result<T, Refusal>;
};

/** Bytes from anywhere to a checked value, or why not. Length first, signature before the payload is looked at. */
export const openSigned = <T>(
  crypto: Crypto,
  gate: Gate<T>,
  bytes: Uint8Array,
  roles: readonly Role[],
): Result<Signed<T>, Refusal> => {
  const envelope = readEnvelope(crypto, bytes, gate.payloadBytesMax);
  if (!envelope.ok) return envelope;
  let refused: Refusal = refusal("trust-missing");
  for (const role of roles) {
    const opened = openEnvelope(
      { verify: crypto.verifyEd25519, decodeBase64: crypto.decodeBase64 },
      envelope.value,
      gate.kind,
      role,
    );
    if (opened.ok) {
      const payload = opened.value;
      if (payload.length > gate.payloadBytesMax) return err(refusal("too-large", `payload of ${payload.length} bytes`));
      const value = readJson(crypto, payload, gate.check);
      return value.ok ? ok({ value: value.value, payload }) : value;
    }
    // The newest document's answer is the one to tell; older ones are only tried for what was accepted before.
    if (refused.code === "trust-missing") refused = opened.error;
  }
  return err(refused);
};

/** The envelope as it came: nothing in it is believed yet. */
export const readEnvelope = (crypto: Crypto, bytes: Uint8Array, payloadBytesMax: number): Result<Envelope, Refusal> => {
  const bytesMax = envelopeBytesMax(payloadBytesMax);
  if (bytes.length > bytesMax) return err(refusal("too-large", `${bytes.length} bytes, ${bytesMax} are allowed`));
  return readJson(crypto, bytes, checkEnvelope);
};

export const readJson = <T>(
  crypto: Crypto,
  bytes: Uint8Array,
  check: (value: unknown) => Result<T, Refusal>,
): Result<T, Refusal> => {
  const text = crypto.textOf(bytes);
  if (text === undefined) return err(refusal("text-malformed"));
  const parsed = parseJson(text);
  return parsed.ok ? check(parsed.value) : parsed;
};
